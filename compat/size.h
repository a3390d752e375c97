/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as qemu-img reads them.
 *
 * SIZE: decimal or hexadecimal, blanks and `+` in front, a fraction, one suffix of bkmgtpe in
 * either case. Plain integer: C rules with base detection, no suffix. The profile decides on
 * `.5M`, on `0x10k` and on the words of an error.
 */
#ifndef COMPAT_SIZE_H
#define COMPAT_SIZE_H

#include <glib.h>
#include <stdint.h>

enum size_status {
    SIZE_OK,
    SIZE_MALFORMED,
    SIZE_OUT_OF_RANGE,
};

/*
 * Reads a SIZE.
 *
 * in:      text, NUL-terminated, may be empty, not NULL
 * out:     *out_bytes, untouched on failure
 * returns: SIZE_OK; SIZE_MALFORMED for text that is no SIZE; SIZE_OUT_OF_RANGE at 2^64 or more,
 *          and for a negative number where the profile tells it from nonsense
 */
enum size_status size_parse(const char *text, uint64_t *out_bytes);

/*
 * Reads a plain integer by C's rules (0x10 is 16, 010 is 8), no suffix, no trailing text.
 *
 * out:     *out_value; a negative text wraps as two's complement, as option tables want it
 */
enum size_status size_parse_integer(const char *text, uint64_t *out_value);

/*
 * Reads a SIZE that must lie in [min, max]; `what` names it in the error ("image size").
 *
 * returns: FALSE with *error "Invalid <what> specified..." in the profile's words
 */
gboolean size_parse_named(const char *what, const char *text, uint64_t min, uint64_t max,
                          uint64_t *out_bytes, GError **error);

/* The same for a plain integer. */
gboolean size_parse_integer_named(const char *what, const char *text, uint64_t min, uint64_t max,
                                  uint64_t *out_value, GError **error);

/*
 * Reads the value of a size-typed key of an option string.
 *
 * returns: FALSE with *error "Parameter 'K' expects a non-negative number below 2^64" and its two
 *          hint lines, or "Value 'V' is out of range for parameter 'K'"
 */
gboolean size_parse_keyed(const char *key, const char *text, uint64_t *out_bytes, GError **error);

/*
 * Refuses a disk that is larger than any.
 *
 * returns: FALSE with *error "offset(<bytes>) exceeds maximum(<bytes>)"
 */
gboolean size_check_disk(uint64_t bytes, GError **error);

/*
 * Renders a byte count as info does: three significant digits and a unit ("197 KiB").
 *
 * returns: newly allocated text
 */
char *size_human(uint64_t bytes);

#define SIZE_MAX_SIGNED ((uint64_t)INT64_MAX)

#endif
