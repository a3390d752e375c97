/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a repair, in the order that qcow2_repair.h gives.
 *
 * Tables that are changed in place are read again here and lose only the sectors that change; a
 * table is never larger than one op, so that a step needs room for one table at a time.
 */
#include "guest/formats/qcow2_repair_yield.h"

#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Offsets of the header's fields that change. */
#define HEADER_REFTABLE  48u
#define HEADER_SNAPSHOTS 60u
#define HEADER_FEATURES  72u

/* A step fills the sink from r->index on; false: it is to be called again with the next batch. */
typedef bool (*repair_step)(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                            struct guest_err_detail *detail);

static uint32_t blob_of(const struct qcow2_repair *r)
{
    return r->check.q->source->blob;
}

static uint32_t bits_of(const struct qcow2_repair *r)
{
    return r->check.q->header.cluster_bits;
}

/* The sectors of r->block in which it differs from `old`; nothing when it does not. */
static void write_changed(struct qcow2_repair *r, struct plan_sink *sink, uint64_t offset,
                          const uint8_t *old, enum cell_op_note note)
{
    uint64_t size = r->check.q->cluster_size, from = 0, to = size;

    while (from < size && memcmp(&old[from], &r->block[from], QCOW2_SECTOR_BYTES) == 0)
        from += QCOW2_SECTOR_BYTES;
    if (from == size)
        return;
    while (memcmp(&old[to - QCOW2_SECTOR_BYTES], &r->block[to - QCOW2_SECTOR_BYTES],
                  QCOW2_SECTOR_BYTES) == 0)
        to -= QCOW2_SECTOR_BYTES;
    memcpy(plan_write(sink, blob_of(r), offset + from, to - from, note), &r->block[from],
           to - from);
}

static bool yield_barrier(struct plan_sink *sink)
{
    if (!plan_room(sink, 1, 0))
        return false;
    if (sink->nr_ops == 0 || sink->ops[sink->nr_ops - 1].kind != CELL_OP_BARRIER)
        plan_barrier(sink);
    return true;
}

/* ---- size, entries ---- */

static bool yield_size(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                       struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    if (!plan_room(sink, 1, 0))
        return false;
    if (r->base.file_size > r->check.q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), r->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

static bool yield_zeros(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                        struct guest_err_detail *detail)
{
    struct qcow2_l2_entry e = qcow2_check_plain_zero(&r->check);
    uint64_t len = r->check.q->l2_entry_bytes;

    (void)err, (void)detail;
    for (; r->index < r->nr_zeros; r->index++) {
        uint8_t *at;

        if (!plan_room(sink, 1, len))
            return false;
        at = plan_write(sink, blob_of(r), r->zeros[r->index], len, CELL_NOTE_L2_TABLE);
        store_be64(at, e.raw);
        if (len == 16) {
            store_be32(&at[8], e.zero);
            store_be32(&at[12], e.alloc);
        }
    }
    return !r->nr_zeros || yield_barrier(sink);
}

/* ---- refcounts ---- */

/* The block at an index as it will be, made of what it is; counters that are cut short stay. */
static void fill_block(struct qcow2_repair *r, uint64_t index, const uint8_t *old)
{
    struct qcow2_check *c = &r->check;
    uint32_t order = c->q->header.refcount_order;
    uint64_t first = index << c->q->refblock_entries_bits;
    uint64_t end = min_u64(first + (1ull << c->q->refblock_entries_bits), c->nr_clusters);

    if (old)
        memcpy(r->block, old, c->q->cluster_size);
    else
        memset(r->block, 0, c->q->cluster_size);
    for (uint64_t i = first; i < end; i++) {
        uint64_t count = qcow2_counts_get(&c->counts, i);

        if (count != UINT32_MAX)
            qcow2_refblock_store(r->block, i - first, order, count);
    }
}

static bool is_bad(const struct qcow2_check *c, uint64_t index)
{
    return c->bad_blocks && index < c->nr_bad_blocks && c->bad_blocks[index];
}

/* `whole`: all of the block, since what is on disk is not what was read last. */
static enum guest_err yield_block(struct qcow2_repair *r, struct plan_sink *sink, uint64_t index,
                                  bool whole, struct guest_err_detail *detail)
{
    struct qcow2_check *c = &r->check;
    uint64_t offset = c->reftable[index] & QCOW2_REFTABLE_MASK, size = c->q->cluster_size;
    uint8_t *old = NULL;
    enum guest_err err = GUEST_OK;

    if (!r->rebuilt) {
        old = arena_bytes(size);
        err = old ? qcow2_read(c->q, offset, size, old, detail)
                  : err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    if (!err) {
        fill_block(r, index, old);
        if (old && !whole)
            write_changed(r, sink, offset, old, CELL_NOTE_REFCOUNT_BLOCK);
        else
            memcpy(plan_write(sink, blob_of(r), offset, size, CELL_NOTE_REFCOUNT_BLOCK), r->block,
                   size);
    }
    free(old);
    return err;
}

static bool yield_blocks(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                         struct guest_err_detail *detail)
{
    struct qcow2_check *c = &r->check;

    if (!r->settled)
        return true;
    for (; r->index < c->reftable_entries && !*err; r->index++) {
        bool wanted = r->rebuilt || (r->index < r->nr_touched && r->touched[r->index]);

        if (!wanted || !(c->reftable[r->index] & QCOW2_REFTABLE_MASK) ||
            (!r->rebuilt && is_bad(c, r->index)))
            continue;
        if (!plan_room(sink, 1, c->q->cluster_size))
            return false;
        *err = yield_block(r, sink, r->index, false, detail);
    }
    return yield_barrier(sink);
}

static bool yield_reftable(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                           struct guest_err_detail *detail)
{
    const struct qcow2_check *c = &r->check;

    (void)err, (void)detail;
    while (r->rebuilt && r->index < c->reftable_entries) {
        uint64_t nr = min_u64(c->reftable_entries - r->index, PLAN_CHUNK_BYTES / 8);
        uint8_t *at;

        if (!plan_room(sink, 1, nr * 8))
            return false;
        at = plan_write(sink, blob_of(r), c->q->header.refcount_table_offset + r->index * 8, nr * 8,
                        CELL_NOTE_REFCOUNT_TABLE);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(&at[i * 8], c->reftable[r->index + i]);
        r->index += nr;
    }
    return yield_barrier(sink);
}

static bool yield_reftable_switch(struct qcow2_repair *r, struct plan_sink *sink,
                                  enum guest_err *err, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &r->check.q->header;
    uint8_t *at;

    (void)err, (void)detail;
    if (!r->rebuilt)
        return true;
    if (!plan_room(sink, 2, 12))
        return false;
    at = plan_write(sink, blob_of(r), HEADER_REFTABLE, 12, CELL_NOTE_HEADER);
    store_be64(at, h->refcount_table_offset);
    store_be32(&at[8], h->refcount_table_clusters);
    plan_barrier(sink);
    return true;
}

/* ---- COPIED flags ---- */

static bool yield_l1(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                     struct guest_err_detail *detail)
{
    const struct qcow2 *q = r->check.q;

    (void)err, (void)detail;
    for (uint64_t from = r->l1_from + r->index; from < r->l1_to; from = r->l1_from + r->index) {
        uint64_t nr = min_u64(r->l1_to - from, PLAN_CHUNK_BYTES / 8);
        uint8_t *at;

        if (!plan_room(sink, 1, nr * 8))
            return false;
        at = plan_write(sink, blob_of(r), q->header.l1_table_offset + from * 8, nr * 8,
                        CELL_NOTE_L1_TABLE);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(&at[i * 8], q->l1[from + i]);
        r->index += nr;
    }
    return true;
}

static void fill_l2(struct qcow2_repair *r, struct span table)
{
    struct qcow2_check *c = &r->check;

    memcpy(r->block, table.data, table.len);
    for (uint32_t i = 0; i < c->q->l2_entries; i++) {
        struct qcow2_l2_entry e = qcow2_l2_entry_at(c->q, table, i), now;
        uint8_t *at = &r->block[(uint64_t)i * c->q->l2_entry_bytes];

        if (!e.raw)
            continue;
        if (c->zeros_fixed && qcow2_l2_cluster_kind(c->q, e) == QCOW2_L2_ZERO_ALLOC &&
            qcow2_check_is_askew_zero(c, e))
            now = qcow2_check_plain_zero(c);
        else
            now = qcow2_check_copied_entry(c, e);
        store_be64(at, now.raw);
        if (c->q->extended_l2) {
            store_be32(&at[8], now.zero);
            store_be32(&at[12], now.alloc);
        }
    }
}

static bool yield_l2(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                     struct guest_err_detail *detail)
{
    struct qcow2 *q = r->check.q;

    if (!r->l2_changes)
        return yield_barrier(sink);
    if (r->index == 0)
        qcow2_l2_window_reset(&r->walk, q->l1, q->l1_size);
    for (; r->index < r->l2_tables && !*err; r->index++) {
        uint64_t offset = q->l1[r->index] & QCOW2_OFFSET_MASK;
        struct span table;

        if (!offset)
            continue;
        if (!plan_room(sink, 1, q->cluster_size))
            return false;
        *err = qcow2_l2_table(q, &r->walk, r->index, &table, detail);
        if (*err)
            break;
        fill_l2(r, table);
        write_changed(r, sink, offset, table.data, CELL_NOTE_L2_TABLE);
    }
    return yield_barrier(sink);
}

/* ---- snapshots ---- */

static bool yield_snapshots(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                            struct guest_err_detail *detail)
{
    uint64_t offset = r->snapshots_cluster << bits_of(r);

    (void)err, (void)detail;
    if (!r->new_snapshots)
        return true;
    while (r->index < r->snapshots_bytes) {
        uint64_t len = min_u64(r->snapshots_bytes - r->index, PLAN_CHUNK_BYTES);

        if (!plan_room(sink, 1, len))
            return false;
        memcpy(plan_write(sink, blob_of(r), offset + r->index, len, CELL_NOTE_SNAPSHOT_TABLE),
               &r->snapshots[r->index], len);
        r->index += len;
    }
    return yield_barrier(sink);
}

static bool yield_snapshots_switch(struct qcow2_repair *r, struct plan_sink *sink,
                                   enum guest_err *err, struct guest_err_detail *detail)
{
    uint8_t *at;

    (void)err, (void)detail;
    if (!r->new_snapshots)
        return true;
    if (!plan_room(sink, 2, 12))
        return false;
    at = plan_write(sink, blob_of(r), HEADER_SNAPSHOTS, 12, CELL_NOTE_HEADER);
    store_be32(at, r->check.q->nr_snapshots);
    store_be64(&at[4], r->snapshots_bytes ? r->snapshots_cluster << bits_of(r) : 0);
    plan_barrier(sink);
    return true;
}

/* The clusters of the old table: one reference less. None when it was not counted. */
static uint64_t old_table_clusters(const struct qcow2_repair *r)
{
    uint64_t end = r->old_snapshots_offset + r->old_snapshots_bytes;

    if (!r->new_snapshots || end > r->check.nr_clusters << bits_of(r) || !r->old_snapshots_bytes)
        return 0;
    return div_round_up_u64(end, r->check.q->cluster_size) -
           (r->old_snapshots_offset >> bits_of(r));
}

static bool yield_old_snapshots(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                                struct guest_err_detail *detail)
{
    struct qcow2_check *c = &r->check;
    uint64_t first = r->old_snapshots_offset >> bits_of(r), nr = old_table_clusters(r);
    uint64_t block_bits = c->q->refblock_entries_bits;

    for (; r->index < nr && !*err; r->index++) {
        uint64_t cluster = first + r->index, block = cluster >> block_bits;
        uint64_t count = qcow2_counts_get(&c->counts, cluster);

        if (block >= c->reftable_entries || !(c->reftable[block] & QCOW2_REFTABLE_MASK) ||
            (!r->rebuilt && is_bad(c, block)) || count == 0 || count == UINT32_MAX)
            continue;
        if (!plan_room(sink, 1, c->q->cluster_size))
            return false;
        (void)qcow2_counts_set(&c->counts, cluster, count - 1);
        if (count == 1)
            qcow2_repair_add_freed(r, cluster);
        /* A block is written with its last cluster of the table. */
        if (r->index + 1 == nr || (cluster + 1) >> block_bits != block)
            *err = yield_block(r, sink, block, true, detail);
    }
    return nr == 0 || yield_barrier(sink);
}

/* ---- the end ---- */

static bool yield_discards(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                           struct guest_err_detail *detail)
{
    const struct qcow2_counts *counts = &r->check.counts;

    (void)err, (void)detail;
    for (; r->settled && r->index < r->nr_freed; r->index++) {
        struct qcow2_run run = r->freed[r->index];
        uint64_t used = qcow2_counts_next(counts, run.start, min_u64(run.end, counts->nr));

        if (!plan_room(sink, 1, 0))
            return false;
        if (used == run.end)
            plan_simple(sink, CELL_OP_DISCARD, blob_of(r), run.start << bits_of(r),
                        (run.end - run.start) << bits_of(r), CELL_NOTE_NONE);
    }
    return true;
}

static bool yield_features(struct qcow2_repair *r, struct plan_sink *sink, enum guest_err *err,
                           struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    if (!r->set_features)
        return true;
    if (!plan_room(sink, 2, 8))
        return false;
    if (!yield_barrier(sink))
        return false;
    store_be64(plan_write(sink, blob_of(r), HEADER_FEATURES, 8, CELL_NOTE_HEADER), r->features);
    return true;
}

static const repair_step steps[] = {
    yield_size,     yield_zeros,    yield_blocks,    yield_reftable,         yield_reftable_switch,
    yield_l1,       yield_l2,       yield_snapshots, yield_snapshots_switch, yield_old_snapshots,
    yield_discards, yield_features,
};

static enum guest_err repair_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct qcow2_repair *r = (struct qcow2_repair *)plan;
    enum guest_err err = GUEST_OK;

    r->check.repair = r;
    r->check.detail = detail;
    for (; r->phase < sizeof(steps) / sizeof(steps[0]); r->phase++, r->index = 0) {
        bool done = steps[r->phase](r, sink, &err, detail);

        if (err || !done)
            break;
    }
    *out_done = r->phase == sizeof(steps) / sizeof(steps[0]);
    return err;
}

static void repair_free(struct plan *plan)
{
    qcow2_repair_free((struct qcow2_repair *)plan);
}

const struct plan_verbs qcow2_repair_verbs = {.next = repair_next, .free = repair_free};
