/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the cell's error codes to sentences.
 *
 * A sentence has placeholders of its own and never meets printf: whatever numbers and bytes the
 * cell sent, the worst they can do is to look odd. Formats add their tables with
 * wording_register; the number of tables is small, so they are searched in a row.
 */
#include "compat/wording.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define MAX_TABLES 32

static struct {
    const struct wording_row *rows;
    size_t nr;
} tables[MAX_TABLES];
static size_t nr_tables;

void wording_register(const struct wording_row *rows, size_t nr)
{
    g_assert(nr_tables < MAX_TABLES);
    tables[nr_tables].rows = rows;
    tables[nr_tables].nr = nr;
    nr_tables++;
}

static const char *find_sentence(unsigned code)
{
    for (size_t t = nr_tables; t-- > 0;) {
        for (size_t i = 0; i < tables[t].nr; i++) {
            if (tables[t].rows[i].code == code) {
                return tables[t].rows[i].sentence;
            }
        }
    }
    return NULL;
}

/* Characters that move the cursor, forge lines or turn text around. */
static gboolean is_treacherous(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
        return TRUE;
    default:
        return FALSE;
    }
}

char *wording_escape_span(const uint8_t *bytes, size_t len)
{
    GString *out = g_string_sized_new(len);

    for (size_t i = 0; i < len;) {
        const char *at = (const char *)bytes + i;
        gunichar c = bytes[i] != 0 ? g_utf8_get_char_validated(at, (gssize)(len - i)) : 0;
        gboolean invalid = c == (gunichar)-1 || c == (gunichar)-2 || c == 0;
        size_t width = invalid ? 1 : (size_t)(g_utf8_next_char(at) - at);

        if (invalid || is_treacherous(c)) {
            for (size_t k = i; k < i + width; k++) {
                g_string_append_printf(out, "\\x%02x", bytes[k]);
            }
        } else {
            g_string_append_len(out, at, (gssize)width);
        }
        i += width;
    }
    return g_string_free(out, FALSE);
}

/*
 * Appends a number in the form asked for by what follows it: "", "d", "e", "x", "#x", "x8"
 * or "x16".
 */
static gboolean append_number(GString *out, uint64_t value, const char *form, size_t form_len)
{
    if (form_len == 0) {
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, value);
    } else if (form[0] == 'd' && form_len == 1) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT, (gint64)value);
    } else if (form[0] == 'e' && form_len == 1) {
        g_string_append(out, g_strerror(value <= INT_MAX ? (int)value : EINVAL));
    } else if (form[0] == '#' && form_len == 2 && form[1] == 'x') {
        g_string_append_printf(out, "%#" G_GINT64_MODIFIER "x", value);
    } else if (form[0] == 'x' && form_len == 1) {
        g_string_append_printf(out, "%" G_GINT64_MODIFIER "x", value);
    } else if (form[0] == 'x' && form_len == 2 && g_ascii_isdigit(form[1])) {
        g_string_append_printf(out, "%0*" G_GINT64_MODIFIER "x", form[1] - '0', value);
    } else if (form_len == 3 && memcmp(form, "x16", form_len) == 0) {
        g_string_append_printf(out, "%016" G_GINT64_MODIFIER "x", value);
    } else {
        return FALSE;
    }
    return TRUE;
}

/* Fills one placeholder, named without its braces. FALSE when there is none of that name. */
static gboolean append_placeholder(GString *out, const char *key, size_t len,
                                   const struct wording_detail *detail, const char *name)
{
    if (len == 4 && memcmp(key, "span", len) == 0) {
        g_autofree char *text = wording_escape_span(detail->span, detail->span_len);

        g_string_append(out, text);
        return TRUE;
    }
    if (len == 4 && memcmp(key, "name", len) == 0) {
        g_string_append(out, name != NULL ? name : "");
        return TRUE;
    }
    if (len >= 1 && key[0] >= '0' && key[0] <= '3') {
        return append_number(out, detail->number[key[0] - '0'], key + 1, len - 1);
    }
    return FALSE;
}

char *wording_cell_sentence(unsigned code, const struct wording_detail *detail, const char *name)
{
    static const struct wording_detail no_detail;
    const char *sentence = find_sentence(code);
    GString *out;

    if (sentence == NULL) {
        return g_strdup_printf("The image was refused (reason %u)", code);
    }
    if (detail == NULL) {
        detail = &no_detail;
    }
    out = g_string_new(NULL);
    while (*sentence != '\0') {
        const char *close = *sentence == '{' ? strchr(sentence, '}') : NULL;

        if (close != NULL &&
            append_placeholder(out, sentence + 1, (size_t)(close - sentence - 1), detail, name)) {
            sentence = close + 1;
        } else {
            g_string_append_c(out, *sentence++);
        }
    }
    return g_string_free(out, FALSE);
}
