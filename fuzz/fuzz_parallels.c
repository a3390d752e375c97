/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Parallels image, opened and read in every way. The input is the image; if it has a format
 * extension, then also with the right checksum, which no fuzzer would find.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "fuzz/whole.h"
#include "guest/formats/parallels_layout.h"
#include "guest/lib/bytes.h"

#define AT_TRACKS   28u
#define AT_CHECKSUM 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the extension's cluster is; false: not wholly inside. */
static bool find_extension(const uint8_t *data, size_t size, size_t *out_at, size_t *out_len)
{
    uint64_t sector, cluster;

    if (size < PARALLELS_HEADER_BYTES)
        return false;
    sector = load_le64(&data[PARALLELS_AT_EXT_OFF]);
    cluster = load_le32(&data[AT_TRACKS]) * PARALLELS_SECTOR;
    if (sector == 0 || sector > size / PARALLELS_SECTOR || cluster == 0 ||
        cluster > size - sector * PARALLELS_SECTOR)
        return false;
    *out_at = sector * PARALLELS_SECTOR;
    *out_len = cluster;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sum[CRYPTO_DIGEST_MAX], *copy;
    size_t at, len;

    fuzz_whole(data, size, "parallels");
    if (!find_extension(data, size, &at, &len))
        return 0;
    copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    crypto_hash_two(CRYPTO_HASH_MD5, &copy[at + PARALLELS_EXT_HEADER_BYTES],
                    len - PARALLELS_EXT_HEADER_BYTES, NULL, 0, sum);
    memcpy(&copy[at + AT_CHECKSUM], sum, crypto_hash_bytes(CRYPTO_HASH_MD5));
    fuzz_whole(copy, size, "parallels");
    free(copy);
    return 0;
}
