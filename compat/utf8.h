/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as qemu's JSON code reads it: standard, but that C0 80 stands for the character 0, and that
 * surrogates and noncharacters are invalid.
 */
#ifndef COMPAT_UTF8_H
#define COMPAT_UTF8_H

#include <glib.h>
#include <stddef.h>

/*
 * Decodes one character.
 *
 * in:      text, len bytes, at least one
 * out:     *used the bytes it takes, at least one; of an invalid sequence those up to the first
 * byte that cannot belong to it returns: the character, or -1
 */
int utf8_decode(const char *text, size_t len, size_t *used);

/* FALSE for surrogates, noncharacters and what lies past U+10FFFF. */
gboolean utf8_valid_character(int c);

#endif
