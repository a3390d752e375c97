/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: it owns commas, escapes and indentation.
 */
#include "compat/json_write.h"

#include <string.h>

#include "compat/utf8.h"

static void append_unit(GString *out, unsigned unit)
{
    g_string_append_printf(out, "\\u%04X", unit);
}

static void append_character(GString *out, int c)
{
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c != 0 && c < 0x80 ? strchr(special, c) : NULL;

    if (at != NULL) {
        g_string_append_c(out, '\\');
        g_string_append_c(out, letters[at - special]);
    } else if (c >= 0x20 && c < 0x7f) {
        g_string_append_c(out, (char)c);
    } else if (c < 0) {
        append_unit(out, 0xfffd);
    } else if (c > 0xffff) {
        append_unit(out, 0xd800 + ((unsigned)(c - 0x10000) >> 10));
        append_unit(out, 0xdc00 + ((unsigned)(c - 0x10000) & 0x3ff));
    } else {
        append_unit(out, (unsigned)c);
    }
}

void json_write_string(GString *out, const char *text)
{
    const char *end = text + strlen(text);
    size_t used;

    g_string_append_c(out, '"');
    for (; text < end; text += used) {
        append_character(out, utf8_decode(text, (size_t)(end - text), &used));
    }
    g_string_append_c(out, '"');
}

static void write_value(GString *out, const struct value *value, enum json_layout layout,
                        unsigned level);

static void new_line(GString *out, enum json_layout layout, unsigned level)
{
    if (layout == JSON_PRETTY) {
        g_string_append_printf(out, "\n%*s", (int)level * 4, "");
    }
}

static void write_container(GString *out, const struct value *value, enum json_layout layout,
                            unsigned level)
{
    gboolean object = value_kind(value) == VALUE_OBJECT;

    g_string_append_c(out, object ? '{' : '[');
    for (size_t i = 0; i < value_count(value); i++) {
        if (i > 0) {
            g_string_append(out, layout == JSON_PRETTY ? "," : ", ");
        }
        new_line(out, layout, level + 1);
        if (object) {
            json_write_string(out, value_key(value, i));
            g_string_append(out, ": ");
        }
        write_value(out, value_item(value, i), layout, level + 1);
    }
    new_line(out, layout, level);
    g_string_append_c(out, object ? '}' : ']');
}

static void write_value(GString *out, const struct value *value, enum json_layout layout,
                        unsigned level)
{
    switch (value_kind(value)) {
    case VALUE_BOOL:
        g_string_append(out, value_truth(value) ? "true" : "false");
        break;
    case VALUE_UINT:
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, value_number(value));
        break;
    case VALUE_INT:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, (gint64)value_number(value));
        break;
    case VALUE_TEXT:
        json_write_string(out, value_string(value));
        break;
    case VALUE_LITERAL:
        g_string_append(out, value_string(value));
        break;
    case VALUE_LIST:
    case VALUE_OBJECT:
        write_container(out, value, layout, level);
        break;
    }
}

void json_write(GString *out, const struct value *value, enum json_layout layout)
{
    write_value(out, value, layout, 0);
}
