/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of snapshots does to refcounts, a window of host clusters at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"

/* ---- into the window ---- */

static enum guest_err add_at(struct snap_plan *p, uint64_t cluster, int add,
                             struct guest_err_detail *detail)
{
    if (cluster >= p->nr_clusters)
        return snap_corrupt(p, detail, cluster);
    if (cluster < p->window_from || cluster >= p->window_to)
        return GUEST_OK;
    int32_t *at = &p->delta[cluster - p->window_from];
    return __builtin_add_overflow(*at, add, at) ? snap_corrupt(p, detail, cluster) : GUEST_OK;
}

/* A compressed entry refers to every cluster that its sectors touch. */
static enum guest_err add_compressed(struct snap_plan *p, uint64_t entry, int add,
                                     struct guest_err_detail *detail)
{
    uint64_t offset, bytes;
    enum guest_err err = GUEST_OK;
    qcow2_compressed_range(p->q, entry, &offset, &bytes);
    uint64_t last = (offset + bytes - 1) >> snap_bits(p);
    for (uint64_t c = offset >> snap_bits(p); c <= last && !err; c++)
        err = add_at(p, c, add, detail);
    return err;
}

static enum guest_err add_table(struct snap_plan *p, struct span table, int add,
                                struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    for (uint64_t at = 0; at < p->q->cluster_size && !err; at += p->q->l2_entry_bytes) {
        uint64_t entry = load_be64(&table.data[at]), offset = entry & QCOW2_OFFSET_MASK;
        if (entry & QCOW2_OFLAG_COMPRESSED)
            err = add_compressed(p, entry, add, detail);
        else if (offset % p->q->cluster_size != 0)
            err = err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
        else if (offset && !p->q->has_data_file)
            err = add_at(p, offset >> snap_bits(p), add, detail);
    }
    return err;
}

/* The data of a tree, and the tables of one that goes. */
static enum guest_err add_tree(struct snap_plan *p, const struct snap_tree *tree,
                               struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    qcow2_l2_window_reset(&p->walk, tree->l1, tree->l1_size);
    for (uint64_t i = 0; i < tree->l1_size && !err; i++) {
        uint64_t offset = tree->l1[i] & QCOW2_OFFSET_MASK;
        struct span table;
        if (!offset)
            continue;
        if (offset % p->q->cluster_size != 0)
            return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
        err = qcow2_l2_table(p->q, &p->walk, i, &table, detail);
        if (!err)
            err = add_table(p, table, tree->add, detail);
        if (!err && tree->add < 0)
            err = add_at(p, offset >> snap_bits(p), -1, detail);
    }
    return err;
}

static enum guest_err fill_window(struct snap_plan *p, uint64_t from,
                                  struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    p->window_from = from;
    p->window_to = from + p->window_clusters;
    p->window_final = false;
    memset(p->delta, 0, p->window_clusters * sizeof(*p->delta));
    for (unsigned i = 0; i < p->nr_trees && !err && from < p->nr_clusters; i++)
        err = add_tree(p, &p->trees[i], detail);
    return err;
}

/* ---- against the old refcounts ---- */

static enum guest_err load_block(struct snap_plan *p, uint64_t index,
                                 struct guest_err_detail *detail)
{
    uint64_t offset = index < p->alloc.table_entries ? p->alloc.table[index] : 0;
    if (offset)
        return source_read_padded(p->q->source, offset, p->q->cluster_size, p->block, detail);
    memset(p->block, 0, p->q->cluster_size);
    return GUEST_OK;
}

static enum guest_err new_count(const struct snap_plan *p, uint64_t cluster, uint64_t old,
                                int32_t add, uint64_t *out, struct guest_err_detail *detail)
{
    uint64_t max = qcow2_refcount_max(p->alloc.order);
    if (add < 0 && old < (uint64_t) - (int64_t)add)
        return snap_corrupt(p, detail, cluster);
    if (add > 0 && (uint64_t)add > max - old)
        return err_numbers(detail, GUEST_ERR_PLAN_REFCOUNT_FULL, cluster << snap_bits(p), 0, 0, 0);
    *out = old + (uint64_t)(int64_t)add;
    return GUEST_OK;
}

static enum guest_err count_block(struct snap_plan *p, uint64_t index,
                                  struct guest_err_detail *detail)
{
    uint64_t first = index << p->alloc.block_bits, count = 1ull << p->alloc.block_bits;
    enum guest_err err = load_block(p, index, detail);
    for (uint64_t i = 0; i < count && !err; i++) {
        uint64_t cluster = first + i, final;
        uint64_t old = qcow2_refblock_load(p->block, i, p->alloc.order);
        int32_t add = p->delta[cluster - p->window_from];
        if (old == 0) {
            err = add ? snap_corrupt(p, detail, cluster) : snap_add_free(p, cluster, detail);
            continue;
        }
        p->tail = cluster + 1;
        err = new_count(p, cluster, old, add, &final, detail);
        if (!err && final == 1)
            p->one[cluster / 8] |= (uint8_t)(1u << cluster % 8);
        if (!err && add)
            err = snap_touch(p, cluster, detail);
    }
    return err;
}

/* Clusters that a window holds: whole blocks, all of them if that is not too much. */
#define WINDOW_CLUSTERS_MAX (20ull << 20)

static enum guest_err prepare(struct snap_plan *p, struct guest_err_detail *detail)
{
    uint64_t blocks = 0, per_block = 1ull << p->alloc.block_bits;
    for (uint64_t i = 0; i < p->alloc.table_entries; i++) {
        if (p->alloc.table[i])
            blocks = i + 1;
    }
    p->nr_clusters = blocks << p->alloc.block_bits;
    p->window_clusters = max_u64(WINDOW_CLUSTERS_MAX / per_block, 1);
    p->window_clusters = min_u64(p->window_clusters, blocks + 1) * per_block;
    p->delta = arena_array(p->window_clusters, sizeof(*p->delta));
    p->one = arena_array(p->nr_clusters / 8 + 1, 1);
    p->block = arena_array(1, p->q->cluster_size);
    return p->delta && p->one && p->block ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err snap_count(struct snap_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = prepare(p, detail);
    for (uint64_t from = 0; from < p->nr_clusters && !err; from += p->window_clusters) {
        uint64_t to = min_u64(from + p->window_clusters, p->nr_clusters);
        err = fill_window(p, from, detail);
        for (uint64_t c = from; c < to && !err; c += 1ull << p->alloc.block_bits)
            err = count_block(p, c >> p->alloc.block_bits, detail);
    }
    return err;
}

/* ---- as it will be ---- */

static enum guest_err add_range(struct snap_plan *p, uint64_t cluster, uint64_t nr, int add,
                                struct guest_err_detail *detail)
{
    uint64_t to = min_u64(cluster + nr, p->window_to);
    for (uint64_t c = max_u64(cluster, p->window_from); c < to; c++) {
        int32_t *at = &p->delta[c - p->window_from];
        if (__builtin_add_overflow(*at, add, at))
            return snap_corrupt(p, detail, c);
    }
    return GUEST_OK;
}

/* Tables that were copied, or are shared from now on; and what was taken and given back. */
static enum guest_err add_metadata(struct snap_plan *p, struct guest_err_detail *detail)
{
    bool shares = p->action != ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE;
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; i < p->base_l1_size && !err; i++) {
        uint64_t offset = p->base_l1[i] & QCOW2_OFFSET_MASK;
        bool copied = p->l2_place[i] != 0;
        if (offset && copied != shares)
            err = add_range(p, offset >> snap_bits(p), 1, copied ? -1 : 1, detail);
    }
    for (uint64_t i = 0; i < p->nr_changes && !err; i++)
        err = add_range(p, p->changes[i].cluster, p->changes[i].nr, p->changes[i].add, detail);
    p->window_final = true;
    return err;
}

enum guest_err snap_new_block(struct snap_plan *p, uint64_t index, struct guest_err_detail *detail)
{
    uint64_t first = index << p->alloc.block_bits, count = 1ull << p->alloc.block_bits;
    enum guest_err err = GUEST_OK;
    if (first < p->window_from || first >= p->window_to)
        err = fill_window(p, first - first % p->window_clusters, detail);
    if (!err && !p->window_final)
        err = add_metadata(p, detail);
    if (!err)
        err = load_block(p, index, detail);
    for (uint64_t i = 0; i < count && !err; i++) {
        uint64_t final;
        int32_t add = p->delta[first + i - p->window_from];
        if (!add)
            continue;
        err = new_count(p, first + i, qcow2_refblock_load(p->block, i, p->alloc.order), add, &final,
                        detail);
        if (!err)
            qcow2_refblock_store(p->block, i, p->alloc.order, final);
        if (!err && final == 0)
            err = snap_add_freed(p, first + i, detail);
    }
    return err;
}

/* Whether a cluster is one of those that new tables may be put into. */
static bool is_free(const struct snap_plan *p, uint64_t cluster)
{
    uint64_t low = 0, high = p->nr_free;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (p->free[mid].end > cluster)
            high = mid;
        else
            low = mid + 1;
    }
    return cluster >= p->tail || (low < p->nr_free && p->free[low].start <= cluster);
}

enum guest_err snap_entry(const struct snap_plan *p, uint64_t entry, uint64_t *out,
                          struct guest_err_detail *detail)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, cluster = offset >> snap_bits(p);
    if (entry & QCOW2_OFLAG_COMPRESSED || !offset) {
        *out = entry;
        return GUEST_OK;
    }
    if (offset % p->q->cluster_size != 0 || is_free(p, cluster))
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    bool one = p->one[cluster / 8] >> cluster % 8 & 1;
    *out = (entry & ~QCOW2_OFLAG_COPIED) | (one ? QCOW2_OFLAG_COPIED : 0);
    return GUEST_OK;
}

uint64_t snap_l1_entry(const struct snap_plan *p, uint64_t index)
{
    uint64_t offset = index < p->base_l1_size ? p->base_l1[index] & QCOW2_OFFSET_MASK : 0;
    uint64_t cluster = offset >> snap_bits(p);
    if (!offset)
        return 0;
    if (p->l2_place[index])
        return QCOW2_OFLAG_COPIED | p->l2_place[index] << snap_bits(p);
    bool shared = p->action != ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE;
    bool one = !shared && p->one[cluster / 8] >> cluster % 8 & 1;
    return offset | (one ? QCOW2_OFLAG_COPIED : 0);
}
