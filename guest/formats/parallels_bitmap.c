/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty bitmaps of a Parallels image, for who asks: their list, and their bits.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/message.h"
#include "guest/formats/parallels.h"
#include "guest/lib/arena.h"

/* A UUID as text: the bytes in order, a dash behind the 4th, 6th, 8th and 10th. */
void parallels_bitmap_name(const uint8_t *id, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned at = 0;

    for (unsigned i = 0; i < PARALLELS_BITMAP_ID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = (uint8_t)digits[id[i] >> 4];
        out[at++] = (uint8_t)digits[id[i] & 15];
    }
}

static bool fill_bitmap(const struct parallels_bitmap *from, Abi__Bitmap *out)
{
    uint8_t name[PARALLELS_BITMAP_NAME_BYTES];

    parallels_bitmap_name(from->id, name);
    out->granularity = from->granularity;
    return message_set_bytes(&out->name, span_of(name, sizeof(name)));
}

enum guest_err parallels_info(struct node *node, Abi__InfoReply *reply,
                              struct guest_err_detail *detail)
{
    const struct parallels *p = parallels_of(node);
    Abi__ParallelsInfo *out = malloc(sizeof(*out));

    reply->no_summary = true; /* stock's driver has none to show */
    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__parallels_info__init(out);
    reply->parallels = out;
    out->bitmap = arena_array(p->nr_bitmaps, sizeof(*out->bitmap));
    if (!out->bitmap)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < p->nr_bitmaps; i++) {
        Abi__Bitmap *b = malloc(sizeof(*b));

        if (!b)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        abi__bitmap__init(b);
        out->bitmap[out->n_bitmap++] = b;
        if (!fill_bitmap(&p->bitmaps[i], b))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static const struct parallels_bitmap *find(const struct parallels *p, struct span wanted)
{
    uint8_t name[PARALLELS_BITMAP_NAME_BYTES];

    for (uint32_t i = 0; i < p->nr_bitmaps; i++) {
        parallels_bitmap_name(p->bitmaps[i].id, name);
        if (wanted.len == sizeof(name) && memcmp(wanted.data, name, sizeof(name)) == 0)
            return &p->bitmaps[i];
    }
    return NULL;
}

/* Bytes of the cluster of bits that one entry stands for. */
static enum guest_err read_entry(const struct parallels *p, const struct parallels_bitmap *b,
                                 uint64_t index, uint64_t within, uint64_t len, uint8_t *buf,
                                 struct guest_err_detail *detail)
{
    uint8_t bytes[PARALLELS_L1_ENTRY_BYTES];
    enum guest_err err = source_read_padded(
        p->source, b->l1_offset + index * PARALLELS_L1_ENTRY_BYTES, sizeof(bytes), bytes, detail);
    uint64_t entry = load_le64(bytes);

    if (err)
        return err;
    if (entry <= PARALLELS_BITMAP_SET) {
        memset(buf, entry == PARALLELS_BITMAP_SET ? 0xff : 0, len);
        return GUEST_OK;
    }
    return source_read_padded(p->source, entry * PARALLELS_SECTOR + within, len, buf, detail);
}

enum guest_err parallels_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                     uint8_t *buf, struct guest_err_detail *detail)
{
    const struct parallels *p = parallels_of(node);
    struct span name = span_of(request->name.data, request->name.len);
    const struct parallels_bitmap *b = find(p, name);

    if (!b)
        return err_text(detail, GUEST_ERR_PLAN_BITMAP_NOT_FOUND, name, 0);
    for (uint64_t at = 0; at < request->length;) {
        uint64_t offset = request->offset + at;
        uint64_t index = offset / p->cluster_size, within = offset % p->cluster_size;
        uint64_t len = min_u64(request->length - at, p->cluster_size - within);
        enum guest_err err = GUEST_OK;

        if (index < b->l1_size)
            err = read_entry(p, b, index, within, len, &buf[at], detail);
        else
            memset(&buf[at], 0, len);
        if (err)
            return err;
        at += len;
    }
    return GUEST_OK;
}
