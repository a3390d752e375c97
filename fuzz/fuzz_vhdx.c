/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VHDX, opened and read in every way: the whole map, info, check, and repaired, its log replayed.
 * The input is the image with the checksums of headers, region table and log made right.
 */
#include <glib.h>

#include "fuzz/whole.h"
#include "guest/lib/crc32c.h"

#define SECTOR      4096u
#define IMAGE_BYTES (10u << 20)
#define MAP_WORDS   2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Small inputs for an image that is mostly empty: the first sector of 4 KiB that is not zero says
 * where the others go, as pairs of 16 bits: sector of the input, place in the image.
 */
static void seal(uint8_t *image, size_t size, size_t at, size_t len)
{
    if (at + len <= size) {
        uint32_t sum = crc32c_sealed(image + at, len, 4);
        memcpy(image + at + 4, &sum, sizeof(sum));
    }
}

static uint8_t *unpack(const uint8_t *data, size_t *size)
{
    uint8_t *image = g_malloc0(IMAGE_BYTES);
    size_t sectors = *size / SECTOR;

    for (size_t i = 1; i < sectors && i < MAP_WORDS; i++) {
        uint16_t place;
        memcpy(&place, data + 2 * i, sizeof(place));
        if (place < IMAGE_BYTES / SECTOR)
            memcpy(image + (size_t)place * SECTOR, data + i * SECTOR, SECTOR);
    }
    *size = IMAGE_BYTES;
    if (sectors > 0 && (data[0] & 1)) {
        seal(image, *size, 65536, 4096);
        seal(image, *size, 131072, 4096);
        seal(image, *size, 196608, 65536);
        seal(image, *size, 1 << 20, 8192);
        seal(image, *size, (1 << 20) + 8192, 8192);
    }
    return image;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_session s;
    g_autofree uint8_t *image = unpack(data, &size);
    fuzz_session_start(&s, image, size);
    fuzz_read_all(&s, "vhdx");
    fuzz_check(&s, "vhdx");
    fuzz_repair(&s, "vhdx");
    fuzz_session_end(&s);
    return 0;
}
