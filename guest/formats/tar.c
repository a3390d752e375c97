/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   OFFSET SIZE NAME      MEANING
 *   0      100  name      ends at the first NUL
 *   124    12   size      octal digits, or base 256 behind a byte with the top bit set
 *   156    1    typeflag  '0' or NUL: a regular file
 *   257    5    magic     "ustar"
 *
 * Members follow each other on blocks of 512 bytes. A member that lies about its size leads to a
 * header that is none, and there the search ends.
 */
#include "guest/formats/tar.h"

#include "guest/lib/checked.h"

#define BLOCK_BYTES 512u
#define NAME_BYTES  100u
#define SIZE_AT     124u
#define SIZE_BYTES  12u
#define TYPE_AT     156u
#define MAGIC_AT    257u

static bool decode_size(const uint8_t *field, uint64_t *out)
{
    *out = 0;
    if (field[0] & 0x80) {
        *out = load_be64(field + SIZE_BYTES - 8);
        return *out <= INT64_MAX;
    }
    for (unsigned i = 0; i < SIZE_BYTES && field[i] != 0 && field[i] != ' '; i++) {
        if (field[i] < '0' || field[i] > '7')
            return false;
        *out = *out << 3 | (uint64_t)(field[i] - '0');
    }
    return true;
}

static bool names_disk(const uint8_t *name)
{
    static const char suffix[] = ".vmdk";
    size_t len = strnlen((const char *)name, NAME_BYTES), tail = sizeof(suffix) - 1;

    if (len < tail)
        return false;
    for (size_t i = 0; i < tail; i++)
        if ((name[len - tail + i] | 0x20) != (uint8_t)(suffix[i] | 0x20))
            return false;
    return true;
}

enum guest_err tar_find_disk(struct source *source, uint64_t *out_offset, uint64_t *out_size,
                             struct guest_err_detail *detail)
{
    uint64_t at = 0, size, next;

    *out_offset = *out_size = 0;
    for (unsigned i = 0; i < TAR_MEMBERS_MAX; i++) {
        uint8_t header[BLOCK_BYTES];
        enum guest_err err;

        if (!range_inside_u64(at, BLOCK_BYTES, source->size_bytes))
            return GUEST_OK;
        err = source_read(source, at, BLOCK_BYTES, header, detail);
        if (err)
            return err;
        at += BLOCK_BYTES;
        if (memcmp(header + MAGIC_AT, "ustar", 5) != 0 || !decode_size(header + SIZE_AT, &size))
            return GUEST_OK;
        if ((header[TYPE_AT] == '0' || header[TYPE_AT] == 0) && names_disk(header) && size &&
            range_inside_u64(at, size, source->size_bytes)) {
            *out_offset = at;
            *out_size = size;
            return GUEST_OK;
        }
        if (!align_up_u64(size, BLOCK_BYTES, &size) || !add_u64(at, size, &next))
            return GUEST_OK;
        at = next;
    }
    return GUEST_OK;
}
