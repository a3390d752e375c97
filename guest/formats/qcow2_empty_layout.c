/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of an image that has no clusters: placing and writing them. See qcow2_empty.h.
 */
#include "guest/formats/qcow2_empty.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/checked.h"

#define SWITCH_OFFSET 40u /* l1_table_offset, refcount_table_offset, refcount_table_clusters */
#define SWITCH_BYTES  20u

static unsigned block_bits(const struct qcow2 *q)
{
    return q->refblock_entries_bits;
}

static uint64_t l1_clusters(const struct qcow2 *q)
{
    return div_round_up_u64((uint64_t)q->header.l1_size * 8, q->cluster_size);
}

void empty_layout_clear(struct empty_layout *l)
{
    qcow2_bump_clear(&l->bump);
    *l = (struct empty_layout){0};
}

enum guest_err empty_layout_small(struct empty_layout *l, const struct qcow2 *q)
{
    *l = (struct empty_layout){
        .bump = {.block_bits = block_bits(q)},
        .rt_cluster = 1,
        .rt_clusters = 1,
        .l1_cluster = 3,
        .l1_clusters = l1_clusters(q),
    };
    enum guest_err err = qcow2_bump_claim(&l->bump, 0, l->l1_cluster + l->l1_clusters);
    return err ? err : qcow2_bump_set_block(&l->bump, 0, 2);
}

/* The block that counts `cluster` is there itself, with the one that counts the header beside it.
 */
static enum guest_err place_blocks(struct empty_layout *l, uint64_t cluster)
{
    uint64_t index = cluster >> l->bump.block_bits;
    enum guest_err err = qcow2_bump_claim(&l->bump, 0, 1);
    if (!err)
        err = qcow2_bump_claim(&l->bump, cluster, index ? 2 : 1);
    if (!err && index)
        err = qcow2_bump_set_block(&l->bump, 0, cluster + 1);
    return err ? err : qcow2_bump_set_block(&l->bump, index, cluster);
}

enum guest_err empty_layout_behind(struct empty_layout *l, const struct qcow2 *q, uint64_t cluster)
{
    uint64_t per_cluster = q->cluster_size / 8;
    /* Two adjacent clusters that one block counts. */
    if ((cluster + 1) >> block_bits(q) != cluster >> block_bits(q))
        cluster++;
    *l = (struct empty_layout){.rt_clusters = 1, .l1_clusters = l1_clusters(q)};
    for (;;) {
        qcow2_bump_clear(&l->bump);
        l->bump.block_bits = block_bits(q);
        enum guest_err err = place_blocks(l, cluster);
        if (!err)
            err = qcow2_bump_take(&l->bump, l->rt_clusters, &l->rt_cluster);
        if (!err && l->l1_clusters)
            err = qcow2_bump_take(&l->bump, l->l1_clusters, &l->l1_cluster);
        if (err || l->bump.nr_blocks <= l->rt_clusters * per_cluster)
            return err;
        l->rt_clusters = div_round_up_u64(l->bump.nr_blocks, per_cluster);
    }
}

/* ---- writing ---- */

static bool yield_l1(const struct empty_layout *l, const struct qcow2 *q, struct plan_sink *sink)
{
    uint64_t end = qcow2_bump_end(&l->bump) << q->header.cluster_bits;
    if (!plan_room(sink, 2, 0))
        return false;
    if (end > q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, q->source->blob, end, 0, CELL_NOTE_FILE_SIZE);
    if (l->l1_clusters)
        plan_simple(sink, CELL_OP_ZERO, q->source->blob, l->l1_cluster << q->header.cluster_bits,
                    l->l1_clusters << q->header.cluster_bits, CELL_NOTE_L1_TABLE);
    return true;
}

/* One cluster of the refcount table. */
static bool yield_table(const struct empty_layout *l, const struct qcow2 *q, uint64_t index,
                        struct plan_sink *sink)
{
    uint64_t entries = q->cluster_size / 8, first = index * entries;
    if (!plan_room(sink, 1, q->cluster_size))
        return false;
    uint8_t *at =
        plan_write(sink, q->source->blob, (l->rt_cluster + index) << q->header.cluster_bits,
                   q->cluster_size, CELL_NOTE_REFCOUNT_TABLE);
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t block = first + i < l->bump.nr_blocks ? l->bump.block[first + i] : 0;
        store_be64(&at[i * 8], block << q->header.cluster_bits);
    }
    return true;
}

static bool yield_block(const struct empty_layout *l, const struct qcow2 *q, uint64_t index,
                        struct plan_sink *sink)
{
    return !l->bump.block[index] ||
           qcow2_refblock_yield_runs(sink, q->source->blob,
                                     l->bump.block[index] << q->header.cluster_bits,
                                     q->header.cluster_bits, q->header.refcount_order,
                                     index << l->bump.block_bits, l->bump.used, l->bump.nr_used);
}

static bool yield_switch(const struct empty_layout *l, const struct qcow2 *q,
                         struct plan_sink *sink)
{
    if (!plan_room(sink, 3, SWITCH_BYTES))
        return false;
    plan_barrier(sink);
    uint8_t *at = plan_write(sink, q->source->blob, SWITCH_OFFSET, SWITCH_BYTES, CELL_NOTE_HEADER);
    store_be64(at, l->l1_clusters ? l->l1_cluster << q->header.cluster_bits : 0);
    store_be64(&at[8], l->rt_cluster << q->header.cluster_bits);
    store_be32(&at[16], (uint32_t)l->rt_clusters);
    plan_barrier(sink);
    return true;
}

bool empty_layout_yield(const struct empty_layout *l, const struct qcow2 *q, uint64_t *index,
                        struct plan_sink *sink)
{
    uint64_t tables = 1 + l->rt_clusters, blocks = tables + l->bump.nr_blocks;
    for (; *index <= blocks; ++*index) {
        bool ok;
        if (*index == 0)
            ok = yield_l1(l, q, sink);
        else if (*index < tables)
            ok = yield_table(l, q, *index - 1, sink);
        else if (*index < blocks)
            ok = yield_block(l, q, *index - tables, sink);
        else
            ok = yield_switch(l, q, sink);
        if (!ok)
            return false;
    }
    return true;
}
