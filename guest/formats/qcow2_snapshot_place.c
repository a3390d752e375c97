/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places for the new state, in clusters that were free in the old one, so that images on which
 * snapshots come and go do not grow without end.
 *
 * Taking a cluster changes the block that counts it, which then needs a place itself, and gives
 * the old block's cluster back, which another block counts: that goes on until no block is touched
 * anew. Each turn adds a block to the set, so that it ends.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"

#define FREE_RUNS_MAX  4096u
#define FREED_RUNS_MAX (1u << 19)
#define BLOCKS_MAX     (QCOW2_REFTABLE_BYTES_MAX / 8)

/* Makes room for `needed` elements of `size` bytes. */
static enum guest_err enlarge(void **array, uint64_t *max, uint64_t needed, uint64_t size,
                              struct guest_err_detail *detail)
{
    return arena_grow(array, max, needed, size) ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err snap_add_free(struct snap_plan *p, uint64_t cluster, uint64_t nr,
                             struct guest_err_detail *detail)
{
    if (p->nr_free && p->free[p->nr_free - 1].end == cluster) {
        p->free[p->nr_free - 1].end += nr;
        return GUEST_OK;
    }
    if (p->nr_free == FREE_RUNS_MAX)
        return GUEST_OK;
    enum guest_err err =
        enlarge((void **)&p->free, &p->max_free, p->nr_free + 1, sizeof(*p->free), detail);
    if (err)
        return err;
    p->free[p->nr_free++] = (struct snap_room){cluster, cluster + nr, cluster};
    return GUEST_OK;
}

enum guest_err snap_add_freed(struct snap_plan *p, uint64_t cluster, uint64_t nr,
                              struct guest_err_detail *detail)
{
    if (p->nr_freed && p->freed[p->nr_freed - 1].end == cluster) {
        p->freed[p->nr_freed - 1].end += nr;
        return GUEST_OK;
    }
    if (p->nr_freed == FREED_RUNS_MAX)
        return GUEST_OK;
    enum guest_err err =
        enlarge((void **)&p->freed, &p->max_freed, p->nr_freed + 1, sizeof(*p->freed), detail);
    if (err)
        return err;
    p->freed[p->nr_freed++] = (struct qcow2_run){cluster, cluster + nr};
    return GUEST_OK;
}

enum guest_err snap_touch(struct snap_plan *p, uint64_t cluster, struct guest_err_detail *detail)
{
    uint64_t index = cluster >> p->alloc.block_bits;
    if (index < p->nr_blocks && p->touched[index])
        return GUEST_OK;
    if (index >= BLOCKS_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
    if (index >= p->max_blocks) {
        uint64_t room = p->max_blocks;
        enum guest_err err = enlarge((void **)&p->touched, &room, index + 1, 1, detail);
        if (!err)
            err = enlarge((void **)&p->block_place, &p->max_blocks, index + 1,
                          sizeof(*p->block_place), detail);
        if (err)
            return err;
    }
    p->touched[index] = 1;
    p->nr_blocks = max_u64(p->nr_blocks, index + 1);
    return GUEST_OK;
}

static enum guest_err change(struct snap_plan *p, uint64_t cluster, uint64_t nr, int add,
                             struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    struct snap_change *last = p->nr_changes ? &p->changes[p->nr_changes - 1] : NULL;
    for (uint64_t c = cluster; c < cluster + nr && !err; c++)
        err = snap_touch(p, c, detail);
    if (err || !nr)
        return err;
    if (last && last->add == add && last->cluster + last->nr == cluster) {
        last->nr += nr;
        return GUEST_OK;
    }
    err = enlarge((void **)&p->changes, &p->max_changes, p->nr_changes + 1, sizeof(*p->changes),
                  detail);
    if (!err)
        p->changes[p->nr_changes++] = (struct snap_change){cluster, nr, add};
    return err;
}

/* The first free room for that many clusters. */
static uint64_t find_room(struct snap_plan *p, uint64_t nr)
{
    while (p->next_free < p->nr_free && p->free[p->next_free].next == p->free[p->next_free].end)
        p->next_free++;
    for (uint64_t i = p->next_free; i < p->nr_free; i++) {
        struct snap_room *room = &p->free[i];
        if (room->end <= p->tail && room->end - room->next >= nr) {
            room->next += nr;
            return room->next - nr;
        }
    }
    uint64_t at = max_u64(p->tail, p->end);
    p->end = at + nr;
    return at;
}

static enum guest_err take(struct snap_plan *p, uint64_t nr, uint64_t *out_cluster,
                           struct guest_err_detail *detail)
{
    uint64_t at = find_room(p, nr);
    for (uint64_t c = at; c < at + nr; c++) {
        if (qcow2_alloc_is_metadata(&p->alloc, c))
            return snap_corrupt(p, detail, c);
    }
    p->end = max_u64(p->end, at + nr);
    *out_cluster = at;
    return change(p, at, nr, 1, detail);
}

static uint64_t clusters_of(const struct snap_plan *p, uint64_t bytes)
{
    return div_round_up_u64(bytes, p->q->cluster_size);
}

/* ---- what is written anew ---- */

static enum guest_err table_changes(const struct snap_plan *p, struct span table, bool *out,
                                    struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    *out = false;
    for (uint64_t i = 0, nr, flip; i < p->q->l2_entries && !err; i += nr) {
        err = snap_entries(p, table.data, i, &nr, &flip, detail);
        *out = *out || (!err && flip);
    }
    return err;
}

/* Stock's rule, whether or not the table is shared here: one reference more must fit. */
static enum guest_err check_shareable(struct snap_plan *p, uint64_t cluster,
                                      struct guest_err_detail *detail)
{
    const uint8_t *block;
    uint64_t index = cluster >> p->alloc.block_bits;
    enum guest_err err = qcow2_block_window_get(&p->blocks, index, &block, detail);
    if (err)
        return err;
    uint64_t count =
        qcow2_refblock_load(block, cluster - (index << p->alloc.block_bits), p->alloc.order);
    if (count == 0)
        return snap_corrupt(p, detail, cluster);
    if (count == qcow2_refcount_max(p->alloc.order))
        return err_numbers(detail, GUEST_ERR_PLAN_REFCOUNT_FULL, cluster << snap_bits(p), 0, 0, 0);
    return GUEST_OK;
}

static enum guest_err place_l2(struct snap_plan *p, struct guest_err_detail *detail)
{
    bool deletes = p->action == ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE;
    enum guest_err err = GUEST_OK;
    p->l2_place = arena_array(p->base_l1_size, sizeof(*p->l2_place));
    if (!p->l2_place)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    qcow2_l2_window_reset(&p->walk, p->base_l1, p->base_l1_size);
    for (uint64_t i = 0; i < p->base_l1_size && !err; i++) {
        uint64_t offset = p->base_l1[i] & QCOW2_OFFSET_MASK, cluster = offset >> snap_bits(p);
        struct span table = {0};
        bool changes = false;
        if (!offset)
            continue;
        if (offset % p->q->cluster_size != 0 || cluster >= p->nr_clusters)
            return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
        err = check_shareable(p, cluster, detail);
        if (err == GUEST_ERR_PLAN_REFCOUNT_FULL && deletes)
            err = GUEST_OK;
        if (!err)
            err = qcow2_l2_table(p->q, &p->walk, i, &table, detail);
        if (!err)
            err = table_changes(p, table, &changes, detail);
        if (!err && changes)
            err = take(p, 1, &p->l2_place[i], detail);
        /* The old table of a copy in delete goes; one that is shared has one reference more. */
        if (!err && changes == deletes)
            err = snap_touch(p, cluster, detail);
    }
    return err;
}

static bool l1_changes(const struct snap_plan *p)
{
    if (p->action != ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE || p->l1_entries != p->base_l1_size)
        return true;
    for (uint64_t i = 0; i < p->l1_entries; i++) {
        if (snap_l1_entry(p, i) != p->base_l1[i])
            return true;
    }
    return false;
}

static enum guest_err place_l1(struct snap_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    if (p->l1_entries == 0 || !l1_changes(p))
        return GUEST_OK;
    enum guest_err err = take(p, clusters_of(p, p->l1_entries * 8), &p->l1_cluster, detail);
    if (err || p->action == ABI__SNAPSHOT_ACTION__SNAPSHOT_CREATE)
        return err;
    return change(p, h->l1_table_offset >> snap_bits(p), clusters_of(p, (uint64_t)h->l1_size * 8),
                  -1, detail);
}

static enum guest_err place_snapshots(struct snap_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    if (!p->table)
        return GUEST_OK;
    if (p->table_bytes)
        err = take(p, clusters_of(p, p->table_bytes), &p->table_cluster, detail);
    if (!err && p->q->nr_snapshots)
        err = change(p, p->q->header.snapshots_offset >> snap_bits(p),
                     clusters_of(p, p->q->snapshots_bytes), -1, detail);
    return err;
}

/* A place for every block that changes; *out_any: whether one was found. */
static enum guest_err place_blocks(struct snap_plan *p, bool *out_any,
                                   struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; i < p->nr_blocks && !err; i++) {
        uint64_t cluster = 0, old = i < p->alloc.table_entries ? p->alloc.table[i] : 0;
        if (!p->touched[i] || p->block_place[i])
            continue;
        *out_any = true;
        err = take(p, 1, &cluster, detail);
        if (!err && old)
            err = change(p, old >> snap_bits(p), 1, -1, detail);
        if (!err)
            p->block_place[i] = cluster;
    }
    return err;
}

/* The room of a table that has become too small is given back at once. */
static enum guest_err place_reftable(struct snap_plan *p, bool *out_any,
                                     struct guest_err_detail *detail)
{
    uint64_t entries = max_u64(p->nr_blocks, p->alloc.table_entries);
    uint64_t wanted = clusters_of(p, entries * 8);
    enum guest_err err = GUEST_OK;
    if (wanted <= p->rt_clusters)
        return GUEST_OK;
    if (p->rt_clusters)
        err = change(p, p->rt_cluster, p->rt_clusters, -1, detail);
    *out_any = true;
    p->rt_clusters = max_u64(wanted, p->rt_clusters * 2);
    if (p->rt_clusters * p->q->cluster_size > QCOW2_REFTABLE_BYTES_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
    return err ? err : take(p, p->rt_clusters, &p->rt_cluster, detail);
}

enum guest_err snap_place(struct snap_plan *p, struct guest_err_detail *detail)
{
    bool any = true;
    enum guest_err err = place_l2(p, detail);
    if (!err)
        err = place_l1(p, detail);
    if (!err)
        err = change(p, p->gone_l1, p->gone_l1_clusters, -1, detail);
    if (!err)
        err = place_snapshots(p, detail);
    if (!err)
        err = change(p, p->alloc.table_offset >> snap_bits(p), p->alloc.table_clusters, -1, detail);
    while (!err && any) {
        any = false;
        err = place_blocks(p, &any, detail);
        if (!err)
            err = place_reftable(p, &any, detail);
    }
    return err;
}
