/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apple Data Compression, of chunks of dmg images: bytes as they are, and copies of earlier ones.
 * source: the format as publicly described.
 *
 *   1nnnnnnn                     n + 1 bytes follow
 *   01nnnnnn oooooooo oooooooo   n + 4 bytes from o + 1 bytes back
 *   00nnnnoo oooooooo            n + 3 bytes from o + 1 bytes back
 */
#include "guest/codec/backends.h"

/* Copies one byte after the other: what is copied may be what was just written. */
static bool copy_back(uint8_t *out, size_t out_len, size_t *at, size_t distance, size_t len)
{
    if (distance > *at || len > out_len - *at)
        return false;
    for (size_t i = 0; i < len; i++, (*at)++)
        out[*at] = out[*at - distance];
    return true;
}

enum guest_err unadc(struct span in, uint8_t *out, size_t out_len)
{
    struct cursor c = cur_of(in);
    size_t at = 0;

    while (at < out_len) {
        unsigned code = cur_u8(&c);
        size_t len, distance;

        if (code & 0x80) {
            struct span bytes = cur_bytes(&c, (code & 0x7f) + 1);

            if (!cur_ok(&c) || bytes.len > out_len - at)
                return GUEST_ERR_DECODE;
            memcpy(out + at, bytes.data, bytes.len);
            at += bytes.len;
            continue;
        }
        if (code & 0x40) {
            len = (code & 0x3f) + 4;
            distance = (size_t)cur_be16(&c) + 1;
        } else {
            len = (code >> 2) + 3;
            distance = ((code & 3) << 8 | cur_u8(&c)) + 1;
        }
        if (!cur_ok(&c) || !copy_back(out, out_len, &at, distance, len))
            return GUEST_ERR_DECODE;
    }
    return GUEST_OK;
}
