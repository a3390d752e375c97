/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of persistent bitmaps, as far as listing them needs it.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define BITMAP_TYPE_DIRTY_TRACKING 1u

/* The fields of a directory entry that only decide whether it is sound. */
struct entry_check {
    uint8_t type;
    uint16_t name_size;
    uint32_t extra_data_size;
};

static enum guest_err validate(const struct qcow2 *q, const struct qcow2_bitmap *b,
                               struct entry_check k, struct guest_err_detail *detail)
{
    uint64_t bytes_covered_bits = b->granularity_bits + 3 + q->header.cluster_bits;
    bool fail = b->table_size == 0 || b->table_offset == 0 ||
                b->table_offset % q->cluster_size != 0 || b->table_size > QCOW2_BITMAP_TABLE_MAX ||
                b->granularity_bits > QCOW2_BITMAP_GRANULARITY_MAX ||
                b->granularity_bits < QCOW2_BITMAP_GRANULARITY_MIN || k.name_size == 0 ||
                k.name_size > QCOW2_BITMAP_NAME_MAX || k.type != BITMAP_TYPE_DIRTY_TRACKING;

    if (!fail) {
        uint64_t physical = b->table_size * q->cluster_size;
        uint64_t needed = div_round_up_u64(q->header.size, 1ull << b->granularity_bits);

        fail = physical > QCOW2_BITMAP_PHYSICAL_MAX || physical * 8 < needed ||
               (!(b->flags & QCOW2_BITMAP_IN_USE) &&
                b->table_size != div_round_up_u64(q->header.size, 1ull << bytes_covered_bits));
    }
    if (fail)
        return err_text(detail, (enum guest_err)(int)QCOW2_ERR_BITMAP_ENTRY, b->name, 0);
    return GUEST_OK;
}

/* Decodes the entry at the cursor. */
static enum guest_err decode_entry(const struct qcow2 *q, struct cursor *c, struct qcow2_bitmap *b,
                                   struct guest_err_detail *detail)
{
    struct entry_check k;
    struct span name;
    uint8_t *copy;

    b->table_offset = cur_be64(c);
    b->table_size = cur_be32(c);
    b->flags = cur_be32(c);
    k.type = cur_u8(c);
    b->granularity_bits = cur_u8(c);
    k.name_size = cur_be16(c);
    k.extra_data_size = cur_be32(c);
    cur_skip(c, k.extra_data_size);
    name = cur_bytes(c, k.name_size);
    if (!cur_ok(c))
        return qcow2_error(detail, QCOW2_ERR_BITMAP_BROKEN);
    if (c->pos % 8)
        cur_skip(c, 8 - c->pos % 8);
    if (!cur_ok(c))
        return qcow2_error(detail, QCOW2_ERR_BITMAP_BROKEN);
    if (k.extra_data_size)
        return qcow2_error(detail, QCOW2_ERR_BITMAP_EXTRA);
    copy = arena_bytes(name.len);
    if (!copy)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(copy, name.data, name.len);
    b->name = span_of(copy, name.len);
    return validate(q, b, k, detail);
}

static enum guest_err decode_directory(const struct qcow2 *q, struct span bytes,
                                       struct qcow2_bitmap *bitmaps, uint32_t *out_nr,
                                       struct guest_err_detail *detail)
{
    struct cursor c = cur_of(bytes);
    uint32_t nr = 0;

    while (cur_left(&c) > 0) {
        enum guest_err err;

        if (nr == q->ext.nb_bitmaps)
            return qcow2_error(detail, QCOW2_ERR_BITMAP_MORE);
        *out_nr = nr + 1;
        err = decode_entry(q, &c, &bitmaps[nr], detail);
        if (err)
            return err;
        nr++;
    }
    return nr == q->ext.nb_bitmaps ? GUEST_OK : qcow2_error(detail, QCOW2_ERR_BITMAP_FEWER);
}

void qcow2_free_bitmaps(struct qcow2_bitmap *bitmaps, uint32_t nr)
{
    for (uint32_t i = 0; bitmaps && i < nr; i++)
        free((void *)bitmaps[i].name.data);
    free(bitmaps);
}

enum guest_err qcow2_read_bitmaps(struct qcow2 *q, struct qcow2_bitmap **out, uint32_t *out_nr,
                                  struct guest_err_detail *detail)
{
    uint64_t len = q->ext.bitmap_directory_size;
    struct qcow2_bitmap *bitmaps = NULL;
    uint8_t *bytes;
    uint32_t nr = 0;
    enum guest_err err;

    bytes = arena_bytes(len);
    bitmaps = arena_array(q->ext.nb_bitmaps, sizeof(*bitmaps));
    if (bytes && bitmaps)
        err = source_read_padded(q->source, q->ext.bitmap_directory_offset, len, bytes, detail);
    else
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = decode_directory(q, span_of(bytes, len), bitmaps, &nr, detail);
    free(bytes);
    if (err) {
        qcow2_free_bitmaps(bitmaps, nr);
        return err;
    }
    *out = bitmaps;
    *out_nr = nr;
    return GUEST_OK;
}
