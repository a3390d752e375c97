/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding things in the text of a descriptor.
 *
 * Stock searches the text for words, wherever they stand, and takes lines apart with sscanf; what
 * it makes of odd text follows from that, and so this does the same. source: black-box runs of
 * stock qemu-img 7.2 to 11.1 on descriptors with one thing changed.
 */
#include "guest/formats/vmdk.h"
#include "guest/lib/checked.h"

#define ACCESS_MAX    10u
#define TYPE_MAX      10u
#define FILE_NAME_MAX 511u

static struct span rest_of(struct span text, size_t from)
{
    struct span rest = span_of(NULL, 0);

    (void)span_sub(text, from, text.len - from, &rest);
    return rest;
}

bool vmdk_text_after(struct span text, const char *word, struct span *out)
{
    size_t len = strlen(word);

    for (size_t i = 0; len <= text.len && i <= text.len - len; i++) {
        if (text.data[i] == (uint8_t)word[0] && memcmp(text.data + i, word, len) == 0) {
            *out = rest_of(text, i + len);
            return true;
        }
    }
    return false;
}

bool vmdk_text_value(struct span text, const char *name, struct span *out)
{
    struct span at;
    const uint8_t *end;

    if (!vmdk_text_after(text, name, &at) || at.len <= 2)
        return false;
    at = rest_of(at, 2); /* whatever stands for `="` */
    end = memchr(at.data, '"', at.len);
    if (!end)
        return false;
    *out = span_of(at.data, (size_t)(end - at.data));
    return true;
}

/* ---- numbers ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int digit_of(uint8_t c, unsigned base)
{
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : 16;

    return value < (int)base ? value : -1;
}

static void skip_blanks(struct span *text)
{
    size_t i = 0;

    while (i < text->len && is_blank(text->data[i]))
        i++;
    *text = rest_of(*text, i);
}

/* Takes a number off *text: blanks, a sign, digits; saturated. */
static bool take_number(struct span *text, unsigned base, uint64_t *out, bool *negative)
{
    size_t i = 0;
    size_t digits = 0;

    skip_blanks(text);
    *out = 0;
    *negative = text->len && text->data[0] == '-';
    if (text->len && (text->data[0] == '-' || text->data[0] == '+'))
        i++;
    if (base == 16 && text->len >= i + 2 && text->data[i] == '0' &&
        (text->data[i + 1] | 0x20) == 'x') {
        i += 2;
        digits = 1; /* "0x" alone is the number 0 */
    }
    for (; i < text->len && digit_of(text->data[i], base) >= 0; i++, digits++) {
        uint64_t more;
        if (!mul_u64(*out, base, &more) ||
            !add_u64(more, (uint64_t)digit_of(text->data[i], base), out))
            *out = UINT64_MAX;
    }
    *text = rest_of(*text, i);
    return digits != 0;
}

bool vmdk_text_hex(struct span text, uint32_t *out)
{
    uint64_t value;
    bool negative;

    if (!take_number(&text, 16, &value, &negative))
        return false;
    *out = (uint32_t)(negative && value != UINT64_MAX ? 0 - value : value);
    return true;
}

static bool take_decimal(struct span *text, int64_t *out)
{
    uint64_t value;
    bool negative;

    if (!take_number(text, 10, &value, &negative))
        return false;
    if (negative)
        *out = value > INT64_MAX ? INT64_MIN : -(int64_t)value;
    else
        *out = value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return true;
}

/* ---- extent lines ---- */

static bool take_word(struct span *text, size_t most, struct span *out)
{
    size_t i = 0;

    skip_blanks(text);
    while (i < text->len && i < most && !is_blank(text->data[i]))
        i++;
    *out = span_of(text->data, i);
    *text = rest_of(*text, i);
    return i != 0;
}

static bool take_char(struct span *text, uint8_t c)
{
    if (!text->len || text->data[0] != c)
        return false;
    *text = rest_of(*text, 1);
    return true;
}

static bool take_name(struct span *text, struct span *out)
{
    size_t i = 0;

    skip_blanks(text);
    if (!take_char(text, '"'))
        return false;
    while (i < text->len && i < FILE_NAME_MAX && text->data[i] != '\n' && text->data[i] != '\r' &&
           text->data[i] != '"')
        i++;
    *out = span_of(text->data, i);
    *text = rest_of(*text, i);
    return i != 0;
}

void vmdk_text_line(struct span text, struct vmdk_line *out)
{
    *out = (struct vmdk_line){.matches = 0};
    if (!take_word(&text, ACCESS_MAX, &out->access))
        return;
    out->matches++;
    if (!take_decimal(&text, &out->sectors))
        return;
    out->matches++;
    if (!take_word(&text, TYPE_MAX, &out->type))
        return;
    out->matches++;
    if (!take_name(&text, &out->name))
        return;
    out->matches++;
    if (take_char(&text, '"') && take_decimal(&text, &out->offset))
        out->matches++;
}
