/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding of single characters.
 */
#include "compat/utf8.h"

gboolean utf8_valid_character(int c)
{
    return c >= 0 && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff) &&
           !(c >= 0xfdd0 && c <= 0xfdef) && (c & 0xfffe) != 0xfffe;
}

/* The length that a lead byte announces; 1 for what cannot lead. */
static size_t announced_length(unsigned char lead)
{
    size_t ones = 0;

    while (ones < 8 && (lead & (0x80 >> ones)) != 0) {
        ones++;
    }
    return ones >= 2 && ones <= 6 ? ones : 1;
}

int utf8_decode(const char *text, size_t len, size_t *used)
{
    static const int smallest[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
    unsigned char lead = (unsigned char)text[0];
    size_t length = announced_length(lead);
    int c;

    *used = 1;
    if (lead < 0x80) {
        return lead;
    }
    if (length == 1) {
        return -1;
    }
    c = lead & (0x7f >> length);
    for (; *used < length; (*used)++) {
        if (*used >= len || ((unsigned char)text[*used] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (text[*used] & 0x3f);
    }
    if (c == 0 && length == 2) {
        return 0;
    }
    return c >= smallest[length] && utf8_valid_character(c) ? c : -1;
}
