/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the new state beside the old one, then the header. See qcow2_snapshot_plan.h.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"

/* One step: fills the sink as far as it has room; *out_more when it has to be called again. */
typedef enum guest_err (*snap_step)(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                    struct guest_err_detail *detail);

static enum guest_err yield_size(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                 struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !plan_room(sink, 1, 0);
    if (!*out_more && p->base.file_size > p->q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    return GUEST_OK;
}

/* ---- L2 tables ---- */

/* Whether the entries ascend by the same step throughout. */
static bool ascends(const struct snap_plan *p, const uint8_t *table, uint64_t *out_first,
                    uint64_t *out_step)
{
    uint64_t unit = p->q->l2_entry_bytes, first = load_be64(table);
    uint64_t step = load_be64(&table[unit]) - first;
    for (uint64_t i = 0; i < p->q->l2_entries; i++) {
        if (load_be64(&table[i * unit]) != first + i * step ||
            (unit == 16 && load_be64(&table[i * unit + 8]) != 0))
            return false;
    }
    *out_first = first;
    *out_step = step;
    return true;
}

static enum guest_err yield_l2_table(struct snap_plan *p, struct plan_sink *sink, uint64_t index,
                                     struct guest_err_detail *detail)
{
    uint64_t offset = p->l2_place[index] << snap_bits(p), first, step;
    struct span table;
    enum guest_err err = qcow2_l2_table(p->q, &p->walk, index, &table, detail);
    if (err)
        return err;
    memcpy(p->block, table.data, p->q->cluster_size);
    for (uint64_t i = 0, nr, flip; i < p->q->l2_entries && !err; i += nr) {
        err = snap_entries(p, table.data, i, &nr, &flip, detail);
        for (uint64_t k = i; !err && flip && k < i + nr; k++) {
            uint8_t *at = &p->block[k * p->q->l2_entry_bytes];
            store_be64(at, load_be64(at) ^ flip);
        }
    }
    if (err)
        return err;
    if (ascends(p, p->block, &first, &step))
        plan_ascend(sink, p->blob, offset, p->q->cluster_size, first, step, p->q->l2_entry_bytes,
                    CELL_NOTE_L2_TABLE);
    else
        memcpy(plan_write(sink, p->blob, offset, p->q->cluster_size, CELL_NOTE_L2_TABLE), p->block,
               p->q->cluster_size);
    return GUEST_OK;
}

static enum guest_err yield_l2(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                               struct guest_err_detail *detail)
{
    if (p->index == 0)
        qcow2_l2_window_reset(&p->walk, p->base_l1, p->base_l1_size);
    for (; p->index < p->base_l1_size; p->index++) {
        if (!p->l2_place[p->index])
            continue;
        if (!plan_room(sink, 1, p->q->cluster_size)) {
            *out_more = true;
            return GUEST_OK;
        }
        enum guest_err err = yield_l2_table(p, sink, p->index, detail);
        if (err)
            return err;
    }
    return GUEST_OK;
}

/* ---- tables of numbers, filled up to whole clusters ---- */

static bool yield_entries(struct snap_plan *p, struct plan_sink *sink, uint64_t cluster,
                          uint64_t entries, enum cell_op_note note,
                          uint64_t (*entry)(const struct snap_plan *, uint64_t))
{
    uint64_t per_cluster = p->q->cluster_size / 8;
    uint64_t end = div_round_up_u64(entries, per_cluster) * per_cluster;
    while (p->index < end) {
        uint64_t nr = min_u64(end - p->index, PLAN_CHUNK_BYTES / 8);
        if (!plan_room(sink, 1, nr * 8))
            return false;
        uint8_t *at =
            plan_write(sink, p->blob, (cluster << snap_bits(p)) + p->index * 8, nr * 8, note);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(&at[i * 8], entry(p, p->index + i));
        p->index += nr;
    }
    return true;
}

static enum guest_err yield_l1(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                               struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = p->l1_cluster && !yield_entries(p, sink, p->l1_cluster, p->l1_entries,
                                                CELL_NOTE_L1_TABLE, snap_l1_entry);
    return GUEST_OK;
}

static uint64_t reftable_entry(const struct snap_plan *p, uint64_t index)
{
    if (index < p->nr_blocks && p->block_place[index])
        return p->block_place[index] << snap_bits(p);
    return index < p->alloc.table_entries ? p->alloc.table[index] : 0;
}

static enum guest_err yield_reftable(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                     struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !yield_entries(p, sink, p->rt_cluster, p->rt_clusters * (p->q->cluster_size / 8),
                               CELL_NOTE_REFCOUNT_TABLE, reftable_entry);
    return GUEST_OK;
}

static enum guest_err yield_snapshots(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                      struct guest_err_detail *detail)
{
    (void)detail;
    uint64_t bytes = p->table_cluster ? p->table_bytes : 0;
    uint64_t end = div_round_up_u64(bytes, p->q->cluster_size) * p->q->cluster_size;
    while (p->index < end) {
        uint64_t len = min_u64(end - p->index, PLAN_CHUNK_BYTES);
        if (!plan_room(sink, 1, len)) {
            *out_more = true;
            return GUEST_OK;
        }
        uint8_t *at = plan_write(sink, p->blob, (p->table_cluster << snap_bits(p)) + p->index, len,
                                 CELL_NOTE_SNAPSHOT_TABLE);
        uint64_t used = p->index < bytes ? min_u64(len, bytes - p->index) : 0;
        memcpy(at, &p->table[p->index], used);
        memset(&at[used], 0, len - used);
        p->index += len;
    }
    return GUEST_OK;
}

/* ---- refcount blocks ---- */

static enum guest_err yield_blocks(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    uint64_t bytes = p->q->cluster_size, unit = p->alloc.order < 3 ? 1 : 1u << (p->alloc.order - 3);
    for (; p->index < p->nr_blocks; p->index++) {
        uint64_t offset = p->block_place[p->index] << snap_bits(p);
        if (!p->touched[p->index])
            continue;
        if (!plan_room(sink, 1, bytes)) {
            *out_more = true;
            return GUEST_OK;
        }
        enum guest_err err = snap_new_block(p, p->index, detail);
        if (err)
            return err;
        if (memcmp(p->block, &p->block[unit], bytes - unit) == 0)
            plan_pattern(sink, p->blob, offset, bytes, p->block, (unsigned)unit,
                         CELL_NOTE_REFCOUNT_BLOCK);
        else
            memcpy(plan_write(sink, p->blob, offset, bytes, CELL_NOTE_REFCOUNT_BLOCK), p->block,
                   bytes);
    }
    return GUEST_OK;
}

/* ---- the switch ---- */

#define SWITCH_OFFSET   24u /* size, crypt_method, l1_size ... snapshots_offset */
#define SWITCH_BYTES_V2 48u
#define SWITCH_BYTES_V3 72u /* and the three words of features */

/* Unknown autoclear features do not survive a change by somebody who does not know them. */
static void store_features(const struct qcow2_header *h, uint8_t *at)
{
    store_be64(at, h->incompatible_features);
    store_be64(&at[8], h->compatible_features);
    store_be64(&at[16], h->autoclear_features & QCOW2_AUTOCLEAR_KNOWN);
}

static enum guest_err yield_switch(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    uint64_t bytes = h->version >= 3 ? SWITCH_BYTES_V3 : SWITCH_BYTES_V2;
    (void)detail;
    if (!plan_room(sink, 3, bytes)) {
        *out_more = true;
        return GUEST_OK;
    }
    plan_barrier(sink);
    uint8_t *at = plan_write(sink, p->blob, SWITCH_OFFSET, bytes, CELL_NOTE_HEADER);
    store_be64(at, p->new_size);
    store_be32(&at[8], h->crypt_method);
    store_be32(&at[12], (uint32_t)p->l1_entries);
    store_be64(&at[16], p->l1_cluster ? p->l1_cluster << snap_bits(p) : h->l1_table_offset);
    store_be64(&at[24], p->rt_cluster << snap_bits(p));
    store_be32(&at[32], (uint32_t)p->rt_clusters);
    store_be32(&at[36], p->nr_snapshots);
    store_be64(&at[40], p->table ? p->table_cluster << snap_bits(p) : h->snapshots_offset);
    if (h->version >= 3)
        store_features(h, &at[48]);
    plan_barrier(sink);
    return GUEST_OK;
}

static enum guest_err yield_discards(struct snap_plan *p, struct plan_sink *sink, bool *out_more,
                                     struct guest_err_detail *detail)
{
    const struct source *data = p->drops_data_file ? p->data_file->source : NULL;
    (void)detail;
    if (data && p->index == 0 && data->size_bytes) {
        if (!plan_room(sink, 1, 0)) {
            *out_more = true;
            return GUEST_OK;
        }
        plan_simple(sink, CELL_OP_DISCARD, data->blob, 0, data->size_bytes, CELL_NOTE_DATA);
        p->drops_data_file = false;
    }
    for (; p->index < p->nr_freed; p->index++) {
        const struct qcow2_run *run = &p->freed[p->index];
        if (!plan_room(sink, 1, 0)) {
            *out_more = true;
            return GUEST_OK;
        }
        plan_simple(sink, CELL_OP_DISCARD, p->blob, run->start << snap_bits(p),
                    (run->end - run->start) << snap_bits(p), CELL_NOTE_DATA);
    }
    return GUEST_OK;
}

static const snap_step steps[] = {
    yield_size,     yield_l2,        yield_l1,     yield_blocks,
    yield_reftable, yield_snapshots, yield_switch, yield_discards,
};
#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

static enum guest_err snap_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct snap_plan *p = (struct snap_plan *)plan;
    for (; p->phase < NR_STEPS; p->phase++, p->index = 0) {
        bool more = false;
        enum guest_err err = steps[p->phase](p, sink, &more, detail);
        if (err || more)
            return err;
    }
    *out_done = true;
    return GUEST_OK;
}

static void snap_free(struct plan *plan)
{
    struct snap_plan *p = (struct snap_plan *)plan;
    qcow2_alloc_clear(&p->alloc);
    qcow2_l2_window_clear(&p->walk);
    free(p->snapshot_l1);
    free(p->l2_place);
    free(p->one);
    qcow2_deltas_clear(&p->deltas);
    qcow2_block_window_clear(&p->blocks);
    free(p->block);
    free(p->free);
    free(p->freed);
    free(p->changes);
    free(p->block_place);
    free(p->touched);
    free(p->table);
    free(p);
}

const struct plan_verbs snap_verbs = {snap_next, snap_free};
