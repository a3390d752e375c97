/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/parent_name.h"

#include "guest/lib/utf16.h"

#define URL_START "file://"

struct span parent_name_base(struct span name)
{
    size_t start = name.len;

    while (start > 0 && name.data[start - 1] != '/')
        start--;
    return span_of(name.data + start, name.len - start);
}

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Whether it starts at a drive or a server, neither of which there is here. */
static bool starts_elsewhere(struct span name)
{
    return span_starts_with(name, "//") ||
           (name.len >= 2 && is_letter(name.data[0]) && name.data[1] == ':');
}

/* Whether something could take what is before the first slash for a protocol. */
static bool looks_like_protocol(struct span name)
{
    for (size_t i = 0; i < name.len && name.data[i] != '/'; i++)
        if (name.data[i] == ':')
            return true;
    return false;
}

/* Makes what is in out->text, with slashes, the name of a file here. */
static bool localize(struct parent_name *out)
{
    struct span name = span_of(out->text, out->len);

    if (starts_elsewhere(name))
        name = parent_name_base(name);
    while (span_starts_with(name, "./"))
        name = span_of(name.data + 2, name.len - 2);
    if (name.len == 0 || parent_name_base(name).len == 0)
        return false;
    memmove(out->text, name.data, name.len);
    out->len = name.len;
    if (!looks_like_protocol(span_of(out->text, out->len)))
        return true;
    if (out->len > PARENT_NAME_MAX - 2)
        return false;
    memmove(out->text + 2, out->text, out->len);
    memcpy(out->text, "./", 2);
    out->len += 2;
    return true;
}

bool parent_name_from_utf16(struct span bytes, bool big_endian, struct parent_name *out)
{
    if (!utf16_to_utf8(bytes, big_endian, out->text, sizeof(out->text), &out->len))
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->text[i] == '\\')
            out->text[i] = '/';
    return localize(out);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parent_name_from_url(struct span url, struct parent_name *out)
{
    size_t i = sizeof(URL_START) - 1;

    if (!span_starts_with(url, URL_START))
        return false;
    while (i < url.len && url.data[i] != '/') /* the host */
        i++;
    for (out->len = 0; i < url.len && url.data[i] != 0; i++) {
        uint8_t c = url.data[i];

        if (c == '%') {
            int high = url.len - i > 2 ? hex_digit(url.data[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(url.data[i + 2]);

            if (low < 0 || (c = (uint8_t)(high << 4 | low)) == 0)
                return false;
            i += 2;
        }
        if (out->len == sizeof(out->text))
            return false;
        out->text[out->len++] = c;
    }
    return localize(out);
}

bool parent_name_to_utf16(struct span name, bool big_endian, uint8_t *out, size_t max,
                          size_t *out_len, bool *out_absolute)
{
    uint8_t text[PARENT_NAME_MAX];
    size_t used = 0;

    *out_absolute = span_starts_with(name, "/");
    if (name.len == 0 || name.len > sizeof(text) - 2)
        return false;
    if (!*out_absolute && !span_starts_with(name, "./")) {
        memcpy(text, "./", 2);
        used = 2;
    }
    memcpy(text + used, name.data, name.len);
    used += name.len;
    for (size_t i = 0; i < used; i++) {
        if (text[i] == '\\' || text[i] == 0)
            return false;
        if (text[i] == '/')
            text[i] = '\\';
    }
    return utf8_to_utf16(span_of(text, used), big_endian, out, max, out_len);
}

enum guest_err parent_name_add_ref(struct node *node, const struct parent_name *name,
                                   struct guest_err_detail *detail)
{
    const char *format = node->driver->name;

    return node_add_ref(node, ABI__ROLE__ROLE_BACKING, span_of(name->text, name->len),
                        span_of(format, strlen(format)), 0, detail);
}
