/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding what a shrink frees. See qcow2_shrink.h.
 * source: what stock 7.2 to 11.1 leave behind; see tests/diff/cases/resize-shrink.cases.
 */
#include "guest/formats/qcow2_shrink.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* ---- references that go ---- */

enum guest_err qcow2_shrink_drop(struct qcow2_shrink *s, uint64_t cluster, uint64_t nr,
                                 struct guest_err_detail *detail)
{
    for (uint64_t i = cluster; i < cluster + nr; i++) {
        if (i == 0 || i >= s->nr_clusters)
            return corrupt(detail, i << shrink_bits(s));
        if (!qcow2_counts_set(&s->gone, i, qcow2_counts_get(&s->gone, i) + 1ull))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static enum guest_err drop_entry(struct qcow2_shrink *s, struct qcow2_l2_entry e,
                                 struct guest_err_detail *detail)
{
    uint64_t first, last, offset, bytes;

    switch (qcow2_l2_cluster_kind(s->q, e)) {
    case QCOW2_L2_COMPRESSED:
        if (s->q->has_data_file)
            return corrupt(detail, e.raw & QCOW2_OFFSET_MASK);
        qcow2_compressed_range(s->q, e.raw, &offset, &bytes);
        first = offset >> shrink_bits(s);
        last = (offset + bytes - 1) >> shrink_bits(s);
        return qcow2_shrink_drop(s, first, last - first + 1, detail);
    case QCOW2_L2_NORMAL:
    case QCOW2_L2_ZERO_ALLOC:
        if (s->q->has_data_file)
            return GUEST_OK; /* it has no refcounts */
        if (e.offset % s->q->cluster_size != 0)
            return corrupt(detail, e.offset);
        return qcow2_shrink_drop(s, e.offset >> shrink_bits(s), 1, detail);
    default:
        return GUEST_OK;
    }
}

/* Entries of a table from `first` on. */
static enum guest_err drop_entries(struct qcow2_shrink *s, struct span table, uint32_t first,
                                   struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    for (uint32_t i = first; !err && i < s->q->l2_entries; i++) {
        struct qcow2_l2_entry e = qcow2_l2_entry_at(s->q, table, i);

        if (e.raw || e.alloc)
            err = drop_entry(s, e, detail);
    }
    return err;
}

/* What the tables behind the end refer to. */
static enum guest_err drop_data(struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    struct qcow2_l2_window window = {0};
    const struct qcow2 *q = s->q;
    enum guest_err err = GUEST_OK;

    qcow2_l2_window_reset(&window, q->l1, q->l1_size);
    for (uint64_t i = s->l1_entries; !err && i < q->l1_size; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET_MASK;
        struct span table = {0};

        if (!offset)
            continue;
        if (offset % q->cluster_size != 0)
            err = corrupt(detail, offset);
        if (!err)
            err = qcow2_l2_table(s->q, &window, i, &table, detail);
        if (!err)
            err = drop_entries(s, table, 0, detail);
    }
    qcow2_l2_window_clear(&window);
    return err;
}

/* The tables themselves, and the end of the L1 table. */
static enum guest_err drop_tables(struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    const struct qcow2 *q = s->q;
    uint64_t l1_clusters = div_round_up_u64(q->l1_size * 8, q->cluster_size);
    uint64_t l1_stay = div_round_up_u64(s->l1_entries * 8, q->cluster_size);
    enum guest_err err = qcow2_shrink_drop(
        s, (q->header.l1_table_offset >> shrink_bits(s)) + l1_stay, l1_clusters - l1_stay, detail);

    for (uint64_t i = s->l1_entries; !err && i < q->l1_size; i++) {
        if (q->l1[i] & QCOW2_OFFSET_MASK)
            err = qcow2_shrink_drop(s, (q->l1[i] & QCOW2_OFFSET_MASK) >> shrink_bits(s), 1, detail);
    }
    if (!err && s->edge_copy)
        err = qcow2_shrink_drop(s, (q->l1[s->edge_l1] & QCOW2_OFFSET_MASK) >> shrink_bits(s), 1,
                                detail);
    return err;
}

/* Data does not lie over metadata. */
static enum guest_err check_metadata(const struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < s->alloc.nr_metadata; i++) {
        uint64_t cluster = s->alloc.metadata[i];

        if (cluster < s->nr_clusters && qcow2_counts_get(&s->gone, cluster))
            return corrupt(detail, cluster << shrink_bits(s));
    }
    return GUEST_OK;
}

/* ---- the table at the new end ---- */

/* Clears what lies behind the end in s->edge_bytes; whether that changes anything. */
static bool clear_edge(struct qcow2_shrink *s, uint64_t from)
{
    bool changed = false;

    for (uint64_t i = from; i < s->q->cluster_size; i++)
        changed = changed || s->edge_bytes[i];
    memset(&s->edge_bytes[from], 0, s->q->cluster_size - from);
    s->edge_from = from & ~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
    return changed;
}

/* A table with other owners is copied. */
static enum guest_err own_edge(struct qcow2_shrink *s, uint64_t entry,
                               struct guest_err_detail *detail)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, count, nr;
    enum guest_err err = qcow2_alloc_refcount(&s->alloc, offset >> shrink_bits(s), &count, detail);

    if (err)
        return err;
    if (count == 0)
        return corrupt(detail, offset);
    if (count == 1 && entry & QCOW2_OFLAG_COPIED)
        return GUEST_OK;
    return qcow2_alloc_take(&s->alloc, 1, &s->edge_copy, &nr, detail);
}

static enum guest_err plan_edge(struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    const struct qcow2 *q = s->q;
    uint32_t first = (uint32_t)(s->end_cluster % q->l2_entries);
    uint64_t entry, offset;
    struct span table;
    enum guest_err err;

    s->edge_l1 = s->end_cluster / q->l2_entries;
    if (first == 0 || s->edge_l1 >= q->l1_size)
        return GUEST_OK;
    entry = q->l1[s->edge_l1];
    offset = entry & QCOW2_OFFSET_MASK;
    if (!offset)
        return GUEST_OK;
    if (offset % q->cluster_size != 0)
        return corrupt(detail, offset);
    s->edge_bytes = arena_bytes(q->cluster_size);
    if (!s->edge_bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = qcow2_read(q, offset, q->cluster_size, s->edge_bytes, detail);
    if (err)
        return err;
    table = span_of(s->edge_bytes, q->cluster_size);
    err = drop_entries(s, table, first, detail);
    if (err)
        return err;
    s->edge = clear_edge(s, (uint64_t)first * q->l2_entry_bytes);
    return s->edge ? own_edge(s, entry, detail) : GUEST_OK;
}

/* ---- refcounts ---- */

enum guest_err qcow2_shrink_block(struct qcow2_shrink *s, uint64_t index, uint8_t *old,
                                  struct guest_err_detail *detail)
{
    uint64_t first = index << s->alloc.block_bits;
    uint64_t end = min_u64(first + (1ull << s->alloc.block_bits), s->nr_clusters);
    enum guest_err err = qcow2_read(s->q, s->alloc.table[index], s->q->cluster_size, old, detail);

    if (err)
        return err;
    memcpy(s->block, old, s->q->cluster_size);
    for (uint64_t c = first; c < end; c++) {
        uint64_t gone, count;

        c = qcow2_counts_next(&s->gone, c, end);
        if (c == end)
            break;
        gone = qcow2_counts_get(&s->gone, c);
        count = qcow2_refblock_load(old, c - first, s->alloc.order);
        if (gone > count)
            return corrupt(detail, c << shrink_bits(s));
        qcow2_refblock_store(s->block, c - first, s->alloc.order, count - gone);
    }
    /* The copy of the table is counted already, by a plan that may not be read back. */
    if (s->edge_copy && s->edge_copy >> s->alloc.block_bits == index)
        qcow2_refblock_store(s->block, s->edge_copy - first, s->alloc.order, 1);
    return GUEST_OK;
}

/* The last cluster that s->block, the one at `index`, counts. False: at most it counts itself. */
static bool find_last(const struct qcow2_shrink *s, uint64_t index, uint64_t *out)
{
    uint64_t first = index << s->alloc.block_bits;
    uint64_t own = s->alloc.table[index] >> shrink_bits(s);
    bool found = false, other = false;

    for (uint64_t i = 1ull << s->alloc.block_bits; i > 0 && !other; i--) {
        uint64_t count = qcow2_refblock_load(s->block, i - 1, s->alloc.order);

        if (!count)
            continue;
        *out = found ? *out : first + i - 1;
        found = true;
        other = first + i - 1 != own || count != 1;
    }
    return other;
}

/*
 * From the last block down to the one that counts something: those above it that count nothing but
 * themselves go. One that counts nothing and lies elsewhere stays: nothing is in its way.
 */
static enum guest_err find_end(struct qcow2_shrink *s, uint8_t *old,
                               struct guest_err_detail *detail)
{
    for (uint64_t i = s->alloc.table_entries; i-- > 0;) {
        enum guest_err err;

        if (!s->alloc.table[i])
            continue;
        /* What was made for the copy is not on disk yet. */
        if (s->alloc.blocks[i] && s->alloc.blocks[i]->is_new) {
            s->last_cluster = max_u64(s->alloc.end, s->edge_copy + 1) - 1;
            return GUEST_OK;
        }
        err = qcow2_shrink_block(s, i, old, detail);
        if (err || find_last(s, i, &s->last_cluster))
            return err;
        s->dropped[i] = s->alloc.table[i] >> shrink_bits(s) >> s->alloc.block_bits == i;
    }
    return corrupt(detail, 0); /* not even the header is counted */
}

/* Before the first op: each block that changes can be read, and counts what goes. */
static enum guest_err check_blocks(struct qcow2_shrink *s, uint8_t *old,
                                   struct guest_err_detail *detail)
{
    uint64_t cluster = 0;
    enum guest_err err = GUEST_OK;

    while (!err) {
        uint64_t index;

        cluster = qcow2_counts_next(&s->gone, cluster, s->nr_clusters);
        if (cluster == s->nr_clusters)
            break;
        index = cluster >> s->alloc.block_bits;
        if (index >= s->alloc.table_entries || !s->alloc.table[index])
            return corrupt(detail, cluster << shrink_bits(s));
        err = qcow2_shrink_block(s, index, old, detail);
        cluster = (index + 1) << s->alloc.block_bits;
    }
    return err;
}

/* ---- all of it ---- */

static enum guest_err prepare(struct qcow2_shrink *s, struct guest_err_detail *detail)
{
    uint8_t *old = arena_bytes(s->q->cluster_size);
    enum guest_err err = qcow2_alloc_init(&s->alloc, s->q, detail);

    s->block = arena_bytes(s->q->cluster_size);
    s->nr_clusters = div_round_up_u64(s->q->source->size_bytes, s->q->cluster_size) + 1;
    s->dropped = arena_array(s->alloc.table_entries, 1);
    if (!err && (!old || !s->block || !s->dropped || !qcow2_counts_init(&s->gone, s->nr_clusters)))
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    /* Metadata past the end of the file: nothing is built upon that. */
    if (!err && s->alloc.metadata[s->alloc.nr_metadata - 1] >= s->nr_clusters)
        err = corrupt(detail, s->alloc.metadata[s->alloc.nr_metadata - 1] << shrink_bits(s));
    if (!err)
        err = plan_edge(s, detail);
    if (!err)
        err = drop_data(s, detail);
    if (!err)
        err = check_metadata(s, detail);
    if (!err)
        err = drop_tables(s, detail);
    if (!err)
        err = qcow2_shrink_drop_bitmaps(s, detail);
    if (!err)
        err = check_blocks(s, old, detail);
    if (!err)
        err = find_end(s, old, detail);
    free(old);
    return err;
}

enum guest_err qcow2_shrink_plan(struct node *node, uint64_t new_size, struct plan **out,
                                 struct guest_err_detail *detail)
{
    struct qcow2_shrink *s = arena_array(1, sizeof(*s));
    enum guest_err err;
    uint64_t end;

    if (!s)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    s->base.verbs = &qcow2_shrink_verbs;
    s->q = qcow2_of(node);
    s->blob = s->q->source->blob;
    s->data = node->data_file ? node->data_file->source : NULL;
    s->new_size = new_size;
    s->end_cluster = div_round_up_u64(new_size, s->q->cluster_size);
    s->l1_entries = min_u64(div_round_up_u64(new_size, 1ull << s->q->l1_shift), s->q->l1_size);
    err = prepare(s, detail);
    if (err) {
        qcow2_shrink_verbs.free(&s->base);
        return err;
    }
    end = (s->last_cluster + 1) << shrink_bits(s);
    s->base.file_size = s->edge_copy ? max_u64(end, s->q->source->size_bytes)
                                     : min_u64(end, s->q->source->size_bytes);
    *out = &s->base;
    return GUEST_OK;
}
