/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VHDX, opened and read in every way: the whole map, info, check. and its log replayed. The input
 * is the image with the checksums of headers, region table and log made right.
 */
#include <glib.h>

#include "fuzz/session.h"
#include "guest/lib/crc32c.h"

#define MAP_RECORDS   512
#define SECTOR        4096u
#define IMAGE_BYTES   (10u << 20)
#define MAP_WORDS     2048u
#define TAIL_BYTES    (1u << 20)
#define DRAIN_BATCHES 64

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

static void read_all(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "vhdx", false, false);
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;

    if (!node)
        return;
    uint64_t tail = MIN(node->virtual_size, TAIL_BYTES);
    fuzz_map(s, node, 0, node->virtual_size, MAP_RECORDS, 0);
    fuzz_map(s, node, node->virtual_size - tail, tail, MAP_RECORDS, 1);
    request.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_INFO, &request.base, 0, &abi__info_reply__descriptor));
}

static void check(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "vhdx", false, true);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;

    if (!node)
        return;
    request.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_CHECK, &request.base, 0, &abi__check_reply__descriptor));
}

/* A log that must be replayed: the plan is drained. */
static void replay(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "vhdx", true, true);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;

    if (!node || !node->dirty)
        return;
    request.node = node->id;
    request.fix_errors = true;
    Abi__CheckReply *reply = (Abi__CheckReply *)fuzz_call(s, CELL_METHOD_CHECK, &request.base, 0,
                                                          &abi__check_reply__descriptor);
    if (reply && reply->repairs)
        fuzz_drain(s, DRAIN_BATCHES, UINT64_MAX / 2);
    fuzz_forget(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_session s;
    g_autofree uint8_t *image = unpack(data, &size);
    fuzz_session_start(&s, image, size);
    read_all(&s);
    check(&s);
    replay(&s);
    fuzz_session_end(&s);
    return 0;
}
