/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a new descriptor, byte for byte as stock qemu-img 7.2 to 11.1 write it.
 */
#include "guest/formats/vmdk_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTORS_PER_TRACK 63u

struct text {
    uint8_t *data;
    size_t len, room;
    bool failed;
};

static void add_span(struct text *text, struct span s)
{
    while (!text->failed && text->room - text->len < s.len) {
        size_t room = text->room ? 2 * text->room : 4096;
        uint8_t *grown = realloc(text->data, room);

        if (!grown) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->room = room;
    }
    if (!text->failed && s.len) {
        memcpy(text->data + text->len, s.data, s.len);
        text->len += s.len;
    }
}

static void add(struct text *text, const char *words)
{
    add_span(text, span_of(words, strlen(words)));
}

static void add_number(struct text *text, uint64_t number, unsigned base)
{
    uint8_t digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (uint8_t) "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    add_span(text, span_of(digits + at, sizeof(digits) - at));
}

static void add_quoted(struct text *text, const char *key, struct span value)
{
    add(text, key);
    add(text, "\"");
    add_span(text, value);
    add(text, "\"");
}

static void add_extents(struct text *text, const struct vmdk_description *d)
{
    uint64_t left = d->sectors;

    for (uint64_t i = 0; i < d->nr_extents; i++) {
        uint64_t sectors = min_u64(left, d->split_sectors);
        ProtobufCBinaryData name =
            d->request->n_extent_name ? d->request->extent_name[i] : d->request->file_name;

        add(text, "RW ");
        add_number(text, sectors, 10);
        add(text, d->flat ? " FLAT " : " SPARSE ");
        add_quoted(text, "", span_of(name.data, name.len));
        add(text, d->flat ? " 0\n" : "\n");
        left -= sectors;
    }
}

static void add_database(struct text *text, const struct vmdk_description *d)
{
    add(text, "\n# The Disk Data Base\n#DDB\n\n");
    add_quoted(text, "ddb.virtualHWVersion = ", d->hwversion);
    add(text, "\nddb.geometry.cylinders = \"");
    add_number(text, d->sectors / (SECTORS_PER_TRACK * (uint64_t)d->heads), 10);
    add(text, "\"\nddb.geometry.heads = \"");
    add_number(text, d->heads, 10);
    add(text, "\"\nddb.geometry.sectors = \"");
    add_number(text, SECTORS_PER_TRACK, 10);
    add(text, "\"\n");
    add_quoted(text, "ddb.adapterType = ", d->adapter);
    add(text, "\n");
    add_quoted(text, "ddb.toolsVersion = ", d->toolsversion);
    add(text, "\n");
}

uint8_t *vmdk_make_text(const struct vmdk_description *d, size_t *out_len)
{
    struct text text = {0};

    add(&text, "# Disk DescriptorFile\nversion=1\nCID=");
    add_number(&text, d->cid, 16);
    add(&text, "\nparentCID=");
    add_number(&text, d->parent_cid, 16);
    add(&text, "\n");
    add_quoted(&text, "createType=", d->create_type);
    add(&text, "\n");
    if (d->parent.len) {
        add_quoted(&text, "parentFileNameHint=", d->parent);
        add(&text, "\n");
    }
    add(&text, "\n# Extent description\n");
    add_extents(&text, d);
    add_database(&text, d);
    if (text.failed) {
        free(text.data);
        return NULL;
    }
    *out_len = text.len;
    return text.data;
}
