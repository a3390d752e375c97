/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bitmaps of a disk that becomes shorter: bits behind the new end are cleared, and a table that
 * describes fewer clusters of bits is cut.
 *
 * A table's length and the size of the disk cannot change with one write. So a bitmap whose table
 * is cut is in use while they disagree, as it would be in a running machine: after a crash it
 * counts as inconsistent, and the image is valid.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_shrink.h"
#include "guest/lib/checked.h"

/* Fields of a directory entry. */
#define ENTRY_TABLE_SIZE 8u
#define ENTRY_FLAGS      12u

/* Entries of the table that a disk of the new size needs. */
static uint64_t entries_needed(const struct qcow2_shrink *s, const struct qcow2_bitmap *b)
{
    uint64_t bits = div_round_up_u64(s->new_size, 1ull << b->granularity_bits);

    return div_round_up_u64(div_round_up_u64(bits, 8), s->q->cluster_size);
}

static bool is_cut(const struct qcow2_shrink *s, const struct qcow2_bitmap *b)
{
    return entries_needed(s, b) < b->table_size;
}

/* Where the directory entry at an index is in the file; entries have no extra data. */
static uint64_t entry_offset(const struct qcow2_shrink *s, uint64_t index)
{
    uint64_t at = s->q->ext.bitmap_directory_offset;

    for (uint64_t i = 0; i < index; i++)
        at += qcow2_bitmap_entry_bytes(s->q->bitmaps[i].name.len);
    return at;
}

static enum guest_err drop_bitmap(struct qcow2_shrink *s, const struct qcow2_bitmap *b,
                                  struct guest_err_detail *detail)
{
    uint64_t entries = entries_needed(s, b), size = s->q->cluster_size, *table;
    uint64_t stay = div_round_up_u64(entries * 8, size);
    enum guest_err err = qcow2_read_bitmap_table(s->q, b, &table, detail);

    if (err)
        return err;
    for (uint64_t i = entries; !err && i < b->table_size; i++) {
        uint64_t offset = table[i] & QCOW2_OFFSET_MASK;

        if (offset)
            err = qcow2_shrink_drop(s, offset >> shrink_bits(s), 1, detail);
    }
    free(table);
    if (!err)
        err = qcow2_shrink_drop(s, (b->table_offset >> shrink_bits(s)) + stay,
                                div_round_up_u64(b->table_size * 8ull, size) - stay, detail);
    return err;
}

enum guest_err qcow2_shrink_drop_bitmaps(struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && i < s->q->nr_bitmaps; i++) {
        if (is_cut(s, &s->q->bitmaps[i]))
            err = drop_bitmap(s, &s->q->bitmaps[i], detail);
    }
    return err;
}

bool qcow2_shrink_yield_in_use(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                               struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    for (; s->index < s->q->nr_bitmaps; s->index++) {
        const struct qcow2_bitmap *b = &s->q->bitmaps[s->index];

        if (!is_cut(s, b))
            continue;
        if (!plan_room(sink, 2, 4))
            return false;
        store_be32(
            plan_write(sink, s->blob, entry_offset(s, s->index) + ENTRY_FLAGS, 4, CELL_NOTE_BITMAP),
            b->flags | QCOW2_BITMAP_IN_USE);
        plan_barrier(sink);
    }
    return true;
}

/* The bits behind the new end of a bitmap's last cluster, in s->block; false: there are none. */
static bool load_last(struct qcow2_shrink *s, const struct qcow2_bitmap *b, uint64_t *out_offset,
                      uint64_t *out_from, enum guest_err *err, struct guest_err_detail *detail)
{
    uint64_t bits = div_round_up_u64(s->new_size, 1ull << b->granularity_bits), *table;
    uint64_t last = entries_needed(s, b) - 1;

    if (last >= b->table_size)
        return false;
    *err = qcow2_read_bitmap_table(s->q, b, &table, detail);
    if (*err)
        return false;
    *out_offset = table[last] & QCOW2_OFFSET_MASK;
    free(table);
    bits -= last * s->q->cluster_size * 8;
    *out_from = bits / 8;
    if (*out_offset == 0 || *out_from >= s->q->cluster_size)
        return false;
    *err = qcow2_read(s->q, *out_offset, s->q->cluster_size, s->block, detail);
    s->block[bits / 8] &= (uint8_t)((1u << bits % 8) - 1);
    memset(&s->block[bits / 8 + 1], 0, s->q->cluster_size - bits / 8 - 1);
    return !*err;
}

bool qcow2_shrink_yield_bits(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                             struct guest_err_detail *detail)
{
    for (; s->index < s->q->nr_bitmaps && !*err; s->index++) {
        uint64_t offset, from;

        if (!plan_room(sink, 1, s->q->cluster_size))
            return false;
        if (!load_last(s, &s->q->bitmaps[s->index], &offset, &from, err, detail))
            continue;
        from &= ~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
        memcpy(
            plan_write(sink, s->blob, offset + from, s->q->cluster_size - from, CELL_NOTE_BITMAP),
            &s->block[from], s->q->cluster_size - from);
    }
    return true;
}

bool qcow2_shrink_yield_cuts(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                             struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    for (; s->index < s->q->nr_bitmaps; s->index++) {
        const struct qcow2_bitmap *b = &s->q->bitmaps[s->index];
        uint8_t *at;

        if (!is_cut(s, b))
            continue;
        if (!plan_room(sink, 2, 8))
            return false;
        plan_barrier(sink);
        at = plan_write(sink, s->blob, entry_offset(s, s->index) + ENTRY_TABLE_SIZE, 8,
                        CELL_NOTE_BITMAP);
        store_be32(at, (uint32_t)entries_needed(s, b));
        store_be32(&at[4], b->flags);
    }
    return true;
}
