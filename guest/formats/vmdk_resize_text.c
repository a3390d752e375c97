/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "guest/formats/vmdk_resize.h"

#define SECTORS_PER_TRACK 63u

/* A number in the text, and how many digits it has there. */
struct found {
    size_t at, digits;
    uint64_t value;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool number_at(struct span text, size_t at, struct found *out)
{
    *out = (struct found){.at = at};
    for (; at < text.len && is_digit(text.data[at]) && out->digits < 20; at++, out->digits++)
        out->value = out->value * 10 + (uint64_t)(text.data[at] - '0');
    return out->digits != 0;
}

/* The number in `key = "number"`. */
static bool find_value(struct span text, const char *key, struct found *out)
{
    struct span after;

    return vmdk_text_after(text, key, &after) &&
           number_at(text, (size_t)(after.data - text.data), out);
}

/* The number of sectors in the first line that is an extent. */
static bool find_extent(struct span text, struct found *out)
{
    for (size_t at = 0; at < text.len; at++) {
        struct span rest, word;
        struct vmdk_line line;
        bool starts = at == 0 || text.data[at - 1] == '\n';

        if (!starts || !span_sub(text, at, text.len - at, &rest) || !span_starts_with(rest, "RW "))
            continue;
        vmdk_text_line(rest, &line);
        if (line.matches < 4 || !span_sub(rest, 3, rest.len - 3, &word))
            continue;
        return number_at(text, at + 3, out);
    }
    return false;
}

static size_t print(uint64_t number, uint8_t digits[20])
{
    uint8_t reversed[20];
    size_t nr = 0;

    do {
        reversed[nr++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < nr; i++)
        digits[i] = reversed[nr - 1 - i];
    return nr;
}

/* The text with another number in the place of one; NULL when out of memory. */
static uint8_t *replace(struct span text, const struct found *old, uint64_t number, size_t *out_len)
{
    uint8_t digits[20];
    size_t nr = print(number, digits), behind = old->at + old->digits;
    uint8_t *out = malloc(text.len - old->digits + nr);

    if (!out)
        return NULL;
    memcpy(out, text.data, old->at);
    memcpy(out + old->at, digits, nr);
    memcpy(out + old->at + nr, text.data + behind, text.len - behind);
    *out_len = text.len - old->digits + nr;
    return out;
}

bool vmdk_resize_text(struct span text, uint64_t sectors, uint8_t **out, size_t *out_len)
{
    struct found extent, cylinders, heads;
    uint8_t *first, *second;
    size_t len;

    if (!find_extent(text, &extent))
        return false;
    first = replace(text, &extent, sectors, &len);
    if (!first)
        return false;
    text = span_of(first, len);
    if (find_value(text, "ddb.geometry.cylinders = \"", &cylinders) &&
        find_value(text, "ddb.geometry.heads = \"", &heads) && heads.value &&
        heads.value <= UINT32_MAX) {
        second = replace(text, &cylinders, sectors / (heads.value * SECTORS_PER_TRACK), &len);
        free(first);
        if (!second)
            return false;
        first = second;
    }
    *out = first;
    *out_len = len;
    return true;
}
