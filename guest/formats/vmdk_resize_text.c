/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor of a disk that gets another size, made line by line from the one it has.
 */
#include <stdlib.h>

#include "guest/formats/vmdk_resize.h"
#include "guest/lib/checked.h"

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

/* Whether a line is an extent's that is written to; its number then. */
static bool is_extent(struct span line, struct found *out)
{
    struct vmdk_line parsed;

    if (!span_starts_with(line, "RW "))
        return false;
    vmdk_text_line(line, &parsed);
    return parsed.matches >= 4 && number_at(line, 3, out);
}

/* A line with another number in the place of one. */
static void add_with(struct vmdk_text *out, struct span line, const struct found *old,
                     uint64_t number)
{
    size_t behind = old->at + old->digits;

    vmdk_text_add(out, span_of(line.data, old->at));
    vmdk_text_add_number(out, number, 10);
    vmdk_text_add(out, span_of(line.data + behind, line.len - behind));
}

static void add_new_lines(struct vmdk_text *out, const struct vmdk_text_change *change,
                          struct span line)
{
    bool has_end = line.len && line.data[line.len - 1] == '\n';
    bool has_return = has_end && line.len > 1 && line.data[line.len - 2] == '\r';
    uint64_t left = change->new_sectors;

    for (unsigned i = 0; i < change->nr_new; i++) {
        uint64_t sectors = min_u64(left, VMDK_SPLIT_SECTORS);

        if (!has_end)
            vmdk_text_add(out, span_of((const uint8_t *)"\n", 1));
        vmdk_text_add_extent(out, sectors, change->flat, change->names[i]);
        if (has_end)
            vmdk_text_add(out, span_of((const uint8_t *)"\r\n" + !has_return, 1 + has_return));
        left -= sectors;
    }
}

/* The line of an extent, by its number. */
static void add_extent(struct vmdk_text *out, const struct vmdk_text_change *change,
                       unsigned number, struct span line, const struct found *sectors)
{
    if (number < change->edge)
        vmdk_text_add(out, line);
    if (number != change->edge)
        return;
    add_with(out, line, sectors, change->edge_sectors);
    add_new_lines(out, change, line);
}

bool vmdk_resize_text(struct span text, const struct vmdk_text_change *change, uint8_t **out,
                      size_t *out_len)
{
    struct vmdk_text made = {0};
    struct found cylinders = {0}, heads = {0}, sectors;
    bool has_geometry = find_value(text, "ddb.geometry.cylinders = \"", &cylinders) &&
                        find_value(text, "ddb.geometry.heads = \"", &heads) && heads.value &&
                        heads.value <= UINT32_MAX;
    unsigned number = 0;

    for (size_t at = 0, next; at < text.len && !made.failed; at = next) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        struct span line;

        next = end ? (size_t)(end - text.data) + 1 : text.len;
        line = span_of(text.data + at, next - at);
        if (is_extent(line, &sectors)) {
            add_extent(&made, change, number++, line, &sectors);
        } else if (has_geometry && cylinders.at >= at && cylinders.at < next) {
            cylinders.at -= at;
            has_geometry = false;
            add_with(&made, line, &cylinders,
                     change->disk_sectors / (heads.value * SECTORS_PER_TRACK));
        } else {
            vmdk_text_add(&made, line);
        }
    }
    if (made.failed || number != change->nr_extents) {
        free(made.data);
        return false;
    }
    *out = made.data;
    *out_len = made.len;
    return true;
}
