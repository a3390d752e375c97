/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text between UTF-16, as Windows writes it into files, and UTF-8.
 */
#ifndef INSTAR_GUEST_LIB_UTF16_H
#define INSTAR_GUEST_LIB_UTF16_H

#include "guest/lib/bytes.h"

/*
 * Converts UTF-16 to UTF-8. A zero ends the text.
 *
 * in:      bytes: an odd one at the end is left out; max: size of out in bytes
 * out:     *out_len bytes, not terminated
 * returns: false for a surrogate without its other half, or when out is too small
 * source:  RFC 2781, RFC 3629
 */
bool utf16_to_utf8(struct span bytes, bool big_endian, uint8_t *out, size_t max, size_t *out_len);

/*
 * Converts UTF-8 to UTF-16.
 *
 * returns: false for what is not UTF-8, or when out is too small
 */
bool utf8_to_utf16(struct span text, bool big_endian, uint8_t *out, size_t max, size_t *out_len);

#endif
