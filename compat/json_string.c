/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding of strings, and errors with their position.
 */
#include "compat/json_string.h"

#include <string.h>

#include "compat/profile.h"
#include "compat/utf8.h"
#include "compat/wording.h"

/* ---- errors ---- */

void json_set_error(GError **error, const struct json_token *token, const char *format, ...)
{
    g_autofree char *what = NULL;
    g_autofree char *position = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    position = profile_get()->json_position ? g_strdup_printf("%u:%u: ", token->line, token->column)
                                            : g_strdup("");
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "%sJSON parse error, %s", position, what);
}

void json_set_end_error(GError **error, const struct json_token *token)
{
    json_set_error(error, token, "%s",
                   profile_get()->json_position ? "premature end of input" : "premature EOI");
}

/* ---- strings ---- */

static int hex4(const char *text, size_t len)
{
    int value = 0;

    if (len < 4) {
        return -1;
    }
    for (size_t i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(text[i]);

        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

static void append_character(GString *out, int c)
{
    if (c == 0) {
        g_string_append(out, "\xc0\x80"); /* the string stays NUL-terminated */
    } else {
        g_string_append_unichar(out, (gunichar)c);
    }
}

/*
 * Decodes \uXXXX, or a pair of them, behind the `\u`.
 *
 * in:      len bytes up to and including the closing quote
 * returns: the bytes taken, 0 with *error
 */
static size_t decode_unicode(const char *text, size_t len, const struct json_token *token,
                             GString *out, GError **error)
{
    int c = hex4(text, len), low;
    size_t used = 4;

    if (c >= 0xd800 && c <= 0xdbff && len > 10 && text[4] == '\\' && text[5] == 'u') {
        low = hex4(text + 6, len - 6);
        if (low >= 0xdc00 && low <= 0xdfff) {
            c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
            used = 10;
        }
    }
    if (!utf8_valid_character(c)) {
        json_set_error(error, token, "\\u%.*s is not a valid Unicode character", (int)MIN(len, 4),
                       text);
        return 0;
    }
    append_character(out, c);
    return used;
}

/* Decodes what follows a backslash. Returns the bytes taken, 0 with *error. */
static size_t decode_escape(const char *text, size_t len, const struct json_token *token,
                            GString *out, GError **error)
{
    static const char letters[] = "\"'\\/bfnrt", characters[] = "\"'\\/\b\f\n\r\t";
    const char *at = strchr(letters, text[0]);
    size_t used;

    if (text[0] == 'u') {
        used = decode_unicode(text + 1, len - 1, token, out, error);
        return used > 0 ? used + 1 : 0;
    }
    if (at == NULL) {
        json_set_error(error, token, "invalid escape sequence in string");
        return 0;
    }
    g_string_append_c(out, characters[at - letters]);
    return 1;
}

char *json_decode_string(const struct json_token *token, GError **error)
{
    GString *out = g_string_new(NULL);
    const char *at = token->text + 1, *end = token->text + token->len - 1;

    while (at < end) {
        size_t used;

        if (*at == '\\') {
            used = decode_escape(at + 1, (size_t)(end - at), token, out, error);
            at += used > 0;
        } else if (utf8_decode(at, (size_t)(end - at), &used) < 0) {
            json_set_error(error, token, "invalid UTF-8 sequence in string");
            used = 0;
        } else {
            g_string_append_len(out, at, (gssize)used);
        }
        if (used == 0) {
            g_string_free(out, TRUE);
            return NULL;
        }
        at += used;
    }
    return g_string_free(out, FALSE);
}
