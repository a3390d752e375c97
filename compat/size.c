/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number grammar.
 *
 * A SIZE is an integer part, which is exact, and a fraction, which goes through a double and is
 * rounded to the nearest byte, as stock does it: 0.2k is 205.
 */
#include "compat/size.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"

/* A multiplier letter in either case; 0 for anything else. */
static uint64_t suffix_multiplier(char letter)
{
    static const char letters[] = "bkmgtpe";
    const char *at = letter != '\0' ? strchr(letters, g_ascii_tolower(letter)) : NULL;

    return at != NULL ? UINT64_C(1) << (10 * (at - letters)) : 0;
}

static gboolean add_digit(uint64_t *value, unsigned base, unsigned digit)
{
    return !__builtin_mul_overflow(*value, base, value) &&
           !__builtin_add_overflow(*value, digit, value);
}

/*
 * Reads digits at *at.
 *
 * out:     *at stands behind them, *value holds them, *overflow is set past 2^64
 * returns: the number of digits read
 */
static size_t read_digits(const char **at, unsigned base, uint64_t *value, gboolean *overflow)
{
    size_t nr = 0;

    for (; base == 16 ? g_ascii_isxdigit(**at) : g_ascii_isdigit(**at); (*at)++, nr++) {
        if (!add_digit(value, base, (unsigned)g_ascii_xdigit_value(**at))) {
            *overflow = TRUE;
        }
    }
    return nr;
}

/* Reads ".digits" at *at into a fraction between 0 and 1; 1 itself where rounding carries. */
static size_t read_fraction(const char **at, double *fraction)
{
    const char *start = *at;
    size_t nr;
    g_autofree char *text = NULL;

    (*at)++;
    for (nr = 0; g_ascii_isdigit(**at); nr++) {
        (*at)++;
    }
    text = g_strndup(start, (gsize)(*at - start));
    *fraction = nr > 0 ? g_ascii_strtod(text, NULL) : 0.0;
    if (!profile_get()->size_strict && *fraction >= 1.0) {
        *fraction = 0.0; /* the carry is lost in 7.2: 15.99999999999999999k is 15k there */
    }
    return nr;
}

enum size_status size_parse(const char *text, uint64_t *out_bytes)
{
    const gboolean strict = profile_get()->size_strict;
    const char *at = text;
    gboolean negative = FALSE, overflow = FALSE, hex = FALSE;
    uint64_t whole = 0, part = 0, multiplier;
    double fraction = 0.0;
    size_t nr;

    while (g_ascii_isspace(*at) || *at == '\v') {
        at++;
    }
    if (*at == '-' && strict) {
        negative = TRUE;
        at++;
    } else if (*at == '+') {
        at++;
    }

    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
        hex = TRUE;
        at += 2;
    }
    nr = read_digits(&at, hex ? 16 : 10, &whole, &overflow);
    if (nr == 0 && (hex || !strict || *at != '.')) {
        return SIZE_MALFORMED;
    }
    if (overflow || (negative && whole != 0)) {
        return *at == '\0' ? SIZE_OUT_OF_RANGE : SIZE_MALFORMED;
    }
    if (!hex && *at == '.') {
        nr += read_fraction(&at, &fraction);
        if (nr == 0 || (negative && fraction != 0.0)) {
            return SIZE_MALFORMED;
        }
    }

    multiplier = suffix_multiplier(*at);
    if (multiplier != 0) {
        if (hex && strict) {
            return SIZE_MALFORMED;
        }
        if (hex) {
            report_warning("Using a multiplier suffix on hex numbers is deprecated: %s", text);
        }
        at++;
    } else {
        multiplier = 1;
    }
    if (*at != '\0' || (multiplier == 1 && fraction != 0.0)) {
        return SIZE_MALFORMED;
    }

    part = (uint64_t)(fraction * (double)multiplier + 0.5);
    if (__builtin_mul_overflow(whole, multiplier, &whole) ||
        __builtin_add_overflow(whole, part, &whole)) {
        return SIZE_OUT_OF_RANGE;
    }
    *out_bytes = whole;
    return SIZE_OK;
}

enum size_status size_parse_integer(const char *text, uint64_t *out_value)
{
    char *end = NULL;
    guint64 value;

    errno = 0;
    value = g_ascii_strtoull(text, &end, 0);
    if (end == text || *end != '\0') {
        return SIZE_MALFORMED;
    }
    if (errno == ERANGE) {
        return SIZE_OUT_OF_RANGE;
    }
    *out_value = value;
    return SIZE_OK;
}

static void set_named_error(const char *what, const char *text, uint64_t min, uint64_t max,
                            enum size_status status, GError **error)
{
    if (status == SIZE_OUT_OF_RANGE) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Invalid %s specified. Must be between %" G_GUINT64_FORMAT
                    " and %" G_GUINT64_FORMAT ".",
                    what, min, max);
    } else if (profile_get()->number_ranges) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Invalid %s specified: '%s'%s", what,
                    text, profile_get()->id == PROFILE_10_0 ? "." : "");
    } else {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Invalid %s specified. You may use k, M, G, T, P or E suffixes for\n"
                    "%s: kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
                    what, report_program());
    }
}

gboolean size_parse_named(const char *what, const char *text, uint64_t min, uint64_t max,
                          uint64_t *out_bytes, GError **error)
{
    uint64_t value = 0;
    enum size_status status = size_parse(text, &value);

    if (status == SIZE_OK && (value < min || value > max)) {
        status = SIZE_OUT_OF_RANGE;
    }
    if (status != SIZE_OK) {
        set_named_error(what, text, min, max, status, error);
        return FALSE;
    }
    *out_bytes = value;
    return TRUE;
}

gboolean size_parse_integer_named(const char *what, const char *text, uint64_t min, uint64_t max,
                                  uint64_t *out_value, GError **error)
{
    uint64_t value = 0;
    enum size_status status = size_parse_integer(text, &value);

    /* A negative number has wrapped, so that it lies above every max used. */
    if (status == SIZE_OK && (value < min || value > max)) {
        status = SIZE_OUT_OF_RANGE;
    }
    if (status != SIZE_OK && !profile_get()->number_ranges) {
        return wording_fail(error, "Invalid %s specified", what);
    }
    if (status != SIZE_OK) {
        set_named_error(what, text, min, max, status, error);
        return FALSE;
    }
    *out_value = value;
    return TRUE;
}

gboolean size_parse_keyed(const char *key, const char *text, uint64_t *out_bytes, GError **error)
{
    switch (size_parse(text, out_bytes)) {
    case SIZE_OK:
        return TRUE;
    case SIZE_OUT_OF_RANGE:
        return wording_fail(error, "Value '%s' is out of range for parameter '%s'", text, key);
    case SIZE_MALFORMED:
        break;
    }
    return wording_fail(
        error,
        "Parameter '%s' expects a non-negative number below 2^64\n"
        "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
        "and exabytes, respectively.",
        key);
}

gboolean size_check_disk(uint64_t bytes, GError **error)
{
    const uint64_t most = UINT64_C(9223372035781033984);

    return bytes <= most ||
           wording_fail(error,
                        "offset(%" G_GUINT64_FORMAT ") exceeds maximum(%" G_GUINT64_FORMAT ")",
                        bytes, most);
}

char *size_human(uint64_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    int exponent;
    unsigned unit;
    char digits[G_ASCII_DTOSTR_BUF_SIZE];

    /* The largest unit in which the value is at least 1000/1024: 1000448 bytes are 977 KiB. */
    frexp((double)bytes / (1000.0 / 1024.0), &exponent);
    unit = exponent > 0 ? (unsigned)(exponent - 1) / 10 : 0;
    g_ascii_formatd(digits, sizeof(digits), "%0.3g",
                    (double)bytes / (double)(UINT64_C(1) << (unit * 10)));
    return g_strdup_printf("%s %sB", digits, units[unit]);
}
