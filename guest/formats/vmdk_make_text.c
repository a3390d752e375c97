/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a new descriptor, byte for byte as stock qemu-img 7.2 to 11.1 write it.
 */
#include "guest/formats/vmdk_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTORS_PER_TRACK 63u

void vmdk_text_add(struct vmdk_text *text, struct span s)
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

static void add(struct vmdk_text *text, const char *words)
{
    vmdk_text_add(text, span_of(words, strlen(words)));
}

void vmdk_text_add_number(struct vmdk_text *text, uint64_t number, unsigned base)
{
    uint8_t digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (uint8_t) "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    vmdk_text_add(text, span_of(digits + at, sizeof(digits) - at));
}

static void add_quoted(struct vmdk_text *text, const char *key, struct span value)
{
    add(text, key);
    add(text, "\"");
    vmdk_text_add(text, value);
    add(text, "\"");
}

void vmdk_text_add_extent(struct vmdk_text *text, uint64_t sectors, bool flat,
                          ProtobufCBinaryData name)
{
    add(text, "RW ");
    vmdk_text_add_number(text, sectors, 10);
    add(text, flat ? " FLAT " : " SPARSE ");
    add_quoted(text, "", span_of(name.data, name.len));
    add(text, flat ? " 0" : "");
}

static void add_extents(struct vmdk_text *text, const struct vmdk_description *d)
{
    uint64_t left = d->sectors;

    for (uint64_t i = 0; i < d->nr_extents; i++) {
        uint64_t sectors = min_u64(left, d->split_sectors);

        vmdk_text_add_extent(text, sectors, d->flat,
                             d->request->n_extent_name ? d->request->extent_name[i]
                                                       : d->request->file_name);
        add(text, "\n");
        left -= sectors;
    }
}

static void add_database(struct vmdk_text *text, const struct vmdk_description *d)
{
    add(text, "\n# The Disk Data Base\n#DDB\n\n");
    add_quoted(text, "ddb.virtualHWVersion = ", d->hwversion);
    add(text, "\nddb.geometry.cylinders = \"");
    vmdk_text_add_number(text, d->sectors / (SECTORS_PER_TRACK * (uint64_t)d->heads), 10);
    add(text, "\"\nddb.geometry.heads = \"");
    vmdk_text_add_number(text, d->heads, 10);
    add(text, "\"\nddb.geometry.sectors = \"");
    vmdk_text_add_number(text, SECTORS_PER_TRACK, 10);
    add(text, "\"\n");
    add_quoted(text, "ddb.adapterType = ", d->adapter);
    add(text, "\n");
    add_quoted(text, "ddb.toolsVersion = ", d->toolsversion);
    add(text, "\n");
}

uint8_t *vmdk_make_text(const struct vmdk_description *d, size_t *out_len)
{
    struct vmdk_text text = {0};

    add(&text, "# Disk DescriptorFile\nversion=1\nCID=");
    vmdk_text_add_number(&text, d->cid, 16);
    add(&text, "\nparentCID=");
    vmdk_text_add_number(&text, d->parent_cid, 16);
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
