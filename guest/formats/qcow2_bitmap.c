/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of persistent bitmaps and their tables. The bits themselves are not read here.
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
    bool fail = b->table_size == 0 || b->table_offset == 0 ||
                b->table_offset % q->cluster_size != 0 || b->table_size > QCOW2_BITMAP_TABLE_MAX ||
                b->granularity_bits > QCOW2_BITMAP_GRANULARITY_MAX ||
                b->granularity_bits < QCOW2_BITMAP_GRANULARITY_MIN ||
                k.name_size > QCOW2_BITMAP_NAME_MAX || k.type != BITMAP_TYPE_DIRTY_TRACKING ||
                (b->flags & ~(QCOW2_BITMAP_IN_USE | QCOW2_BITMAP_AUTO));

    if (!fail) {
        uint64_t physical = b->table_size * q->cluster_size;
        uint64_t needed = div_round_up_u64(qcow2_virtual_size(q), 1ull << b->granularity_bits);

        /* One that is in use may be of a disk that was shorter. */
        fail = physical > QCOW2_BITMAP_PHYSICAL_MAX ||
               (!(b->flags & QCOW2_BITMAP_IN_USE) && physical * 8 < needed);
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
    /* An entry of 2 GiB and more wraps in stock, which then sees the extra data first. */
    if ((uint64_t)k.extra_data_size + k.name_size + QCOW2_BITMAP_HEADER_BYTES > INT32_MAX - 7 &&
        cur_ok(c))
        return qcow2_error(detail, QCOW2_ERR_BITMAP_EXTRA);
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
    if (name.len)
        memcpy(copy, name.data, name.len);
    b->name = span_of(copy, name.len);
    return validate(q, b, k, detail);
}

static enum guest_err decode_directory(struct qcow2 *q, struct span bytes,
                                       struct guest_err_detail *detail)
{
    struct cursor c = cur_of(bytes);

    while (cur_left(&c) > 0) {
        enum guest_err err;

        if (q->nr_bitmaps == q->ext.nb_bitmaps)
            return qcow2_error(detail, QCOW2_ERR_BITMAP_MORE);
        err = decode_entry(q, &c, &q->bitmaps[q->nr_bitmaps++], detail);
        if (err)
            return err;
    }
    return q->nr_bitmaps == q->ext.nb_bitmaps ? GUEST_OK
                                              : qcow2_error(detail, QCOW2_ERR_BITMAP_FEWER);
}

static enum guest_err read_directory(struct qcow2 *q, struct guest_err_detail *detail)
{
    uint64_t len = q->ext.bitmap_directory_size;
    uint8_t *bytes;
    enum guest_err err;

    if (len == 0)
        return qcow2_error(detail, QCOW2_ERR_BITMAP_EMPTY);
    bytes = arena_bytes(len);
    q->bitmaps = arena_array(q->ext.nb_bitmaps, sizeof(*q->bitmaps));
    if (bytes && q->bitmaps)
        err = source_read_padded(q->source, q->ext.bitmap_directory_offset, len, bytes, detail);
    else
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = decode_directory(q, span_of(bytes, len), detail);
    free(bytes);
    return err;
}

uint8_t *qcow2_store_bitmap_entry(uint8_t *at, const struct qcow2_bitmap *b)
{
    uint64_t bytes = qcow2_bitmap_entry_bytes(b->name.len);

    memset(at, 0, bytes);
    store_be64(at, b->table_offset);
    store_be32(&at[8], b->table_size);
    store_be32(&at[12], b->flags);
    at[16] = BITMAP_TYPE_DIRTY_TRACKING;
    at[17] = b->granularity_bits;
    store_be16(&at[18], (uint16_t)b->name.len);
    store_be32(&at[20], 0); /* extra_data_size */
    if (b->name.len)
        memcpy(&at[QCOW2_BITMAP_HEADER_BYTES], b->name.data, b->name.len);
    return at + bytes;
}

enum guest_err qcow2_read_bitmap_table(const struct qcow2 *q, const struct qcow2_bitmap *bitmap,
                                       uint64_t **out, struct guest_err_detail *detail)
{
    return qcow2_read_l1(q, bitmap->table_offset, bitmap->table_size, out, detail);
}

bool qcow2_bitmap_entry_ok(const struct qcow2 *q, uint64_t entry)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    if (entry & QCOW2_BITMAP_ENTRY_RESERVED)
        return false;
    return offset == 0 || (offset % q->cluster_size == 0 && !(entry & QCOW2_BITMAP_ENTRY_ONES));
}

/* A bitmap that is in use is stale anyway; of the others the bits would be loaded. */
static enum guest_err check_table(const struct qcow2 *q, const struct qcow2_bitmap *b,
                                  struct guest_err_detail *detail)
{
    uint64_t covered_bits = b->granularity_bits + 3 + q->header.cluster_bits;
    uint64_t *table;
    bool ok = true;
    enum guest_err err;

    if (b->flags & QCOW2_BITMAP_IN_USE)
        return GUEST_OK;
    err = qcow2_read_bitmap_table(q, b, &table, detail);
    if (err)
        return err;
    for (uint32_t i = 0; ok && i < b->table_size; i++)
        ok = qcow2_bitmap_entry_ok(q, table[i]);
    free(table);
    if (!ok)
        return err_text(detail, (enum guest_err)(int)QCOW2_ERR_BITMAP_TABLE, b->name, 0);
    if (b->table_size != div_round_up_u64(qcow2_virtual_size(q), 1ull << covered_bits))
        return err_text(detail, (enum guest_err)(int)QCOW2_ERR_BITMAP_DATA, b->name, 0);
    return GUEST_OK;
}

enum guest_err qcow2_read_bitmaps(struct qcow2 *q, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (q->ext.has_bitmaps)
        err = read_directory(q, detail);
    for (uint32_t i = 0; !err && i < q->nr_bitmaps; i++)
        err = check_table(q, &q->bitmaps[i], detail);
    return err;
}

void qcow2_free_bitmaps(struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->nr_bitmaps; i++)
        free((void *)q->bitmaps[i].name.data);
    free(q->bitmaps);
    q->bitmaps = NULL;
    q->nr_bitmaps = 0;
}
