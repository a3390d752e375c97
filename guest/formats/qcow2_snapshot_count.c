/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of snapshots does to refcounts, a window of host clusters at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"

/* Clusters of a window, where their changes come in runs: 32 MiB of pages. */
#define WINDOW_CLUSTERS_MAX (512ull << 20)

/* ---- into the window ---- */

/* Entries from index i on whose clusters follow each other, their flags alike. */
static uint64_t ascending(const struct snap_plan *p, const uint8_t *table, uint64_t i)
{
    uint64_t unit = p->q->l2_entry_bytes, next = load_be64(&table[i * unit]), from = i;
    do {
        i++;
        next += p->q->cluster_size;
    } while (i < p->q->l2_entries && load_be64(&table[i * unit]) == next);
    return i - from;
}

static enum guest_err add_any(struct snap_plan *p, uint64_t cluster, uint64_t nr, int add,
                              struct guest_err_detail *detail)
{
    bool no_memory;
    if (qcow2_deltas_add(&p->deltas, cluster, nr, add, &no_memory))
        return GUEST_OK;
    return no_memory ? err_plain(detail, GUEST_ERR_NO_MEMORY) : snap_corrupt(p, detail, cluster);
}

/* What a table refers to must be counted. */
static enum guest_err add_at(struct snap_plan *p, uint64_t cluster, uint64_t nr, int add,
                             struct guest_err_detail *detail)
{
    if (cluster >= p->nr_clusters || nr > p->nr_clusters - cluster)
        return snap_corrupt(p, detail, max_u64(cluster, p->nr_clusters));
    return add_any(p, cluster, nr, add, detail);
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
        err = add_at(p, c, 1, add, detail);
    return err;
}

static enum guest_err add_table(struct snap_plan *p, struct span table, int add,
                                struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0, nr; i < p->q->l2_entries && !err; i += nr) {
        uint64_t entry = load_be64(&table.data[i * p->q->l2_entry_bytes]);
        uint64_t offset = entry & QCOW2_OFFSET_MASK;
        nr = 1;
        if (entry & QCOW2_OFLAG_COMPRESSED) {
            err = add_compressed(p, entry, add, detail);
        } else if (offset % p->q->cluster_size != 0) {
            err = err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
        } else if (offset && !p->q->has_data_file) {
            nr = ascending(p, table.data, i);
            err = add_at(p, offset >> snap_bits(p), nr, add, detail);
        }
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
            err = add_at(p, offset >> snap_bits(p), 1, -1, detail);
    }
    return err;
}

/* As many clusters from one on as fit; behind the last one that is counted now, one block's. */
static enum guest_err fill_window(struct snap_plan *p, uint64_t from,
                                  struct guest_err_detail *detail)
{
    uint64_t unit = 1ull << p->alloc.block_bits;
    uint64_t known = max_u64(p->nr_clusters, p->nr_blocks << p->alloc.block_bits);
    uint64_t units = (known > from ? (known - from) / unit : 0) + 1;
    enum guest_err err = GUEST_OK;
    units = min_u64(units, max_u64(1, WINDOW_CLUSTERS_MAX / unit));
    p->window_final = false;
    qcow2_deltas_clear(&p->deltas);
    if (!qcow2_deltas_init(&p->deltas, from, from + units * unit, unit))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < p->nr_trees && !err && from < p->nr_clusters; i++)
        err = add_tree(p, &p->trees[i], detail);
    return err;
}

/* ---- against the old refcounts ---- */

static void set_one(struct snap_plan *p, uint64_t cluster, uint64_t end)
{
    for (; cluster < end && cluster % 8 != 0; cluster++)
        p->one[cluster / 8] |= (uint8_t)(1u << cluster % 8);
    if (end - cluster >= 8)
        memset(&p->one[cluster / 8], 0xff, (end - cluster) / 8);
    for (cluster += (end - cluster) & ~7ull; cluster < end; cluster++)
        p->one[cluster / 8] |= (uint8_t)(1u << cluster % 8);
}

/* From a cluster on those that are like it, at most up to end. */
static uint64_t alike(const struct snap_plan *p, uint64_t cluster, uint64_t end, bool *out_one)
{
    const uint8_t *one = p->one;
    bool bit = one[cluster / 8] >> cluster % 8 & 1;
    uint64_t c = cluster + 1;
    while (c < end && (bool)(one[c / 8] >> c % 8 & 1) == bit)
        c += c % 8 == 0 && end - c >= 8 && one[c / 8] == (bit ? 0xff : 0) ? 8 : 1;
    *out_one = bit;
    return c - cluster;
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

/* Clusters [first, end), which all have the count `old`, and a change that is the same. */
static enum guest_err count_run(struct snap_plan *p, uint64_t first, uint64_t end, uint64_t old,
                                int32_t add, struct guest_err_detail *detail)
{
    uint64_t final;
    if (old == 0)
        return add ? snap_corrupt(p, detail, first) : snap_add_free(p, first, end - first, detail);
    p->tail = end;
    enum guest_err err = new_count(p, first, old, add, &final, detail);
    if (!err && final == 1)
        set_one(p, first, end);
    return !err && add ? snap_touch(p, first, detail) : err;
}

static enum guest_err count_block(struct snap_plan *p, uint64_t index,
                                  struct guest_err_detail *detail)
{
    uint64_t first = index << p->alloc.block_bits, count = 1ull << p->alloc.block_bits;
    const uint8_t *block;
    enum guest_err err = qcow2_block_window_get(&p->blocks, index, &block, detail);
    for (uint64_t i = 0; i < count && !err;) {
        struct qcow2_count_run run = qcow2_refblock_run(block, i, count, p->alloc.order);
        for (uint64_t end; i < run.end && !err; i = end) {
            int32_t add = qcow2_deltas_run(&p->deltas, first + i, &end);
            end = min_u64(end - first, run.end);
            err = count_run(p, first + i, first + end, run.value, add, detail);
        }
    }
    return err;
}

static enum guest_err prepare(struct snap_plan *p, struct guest_err_detail *detail)
{
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < p->alloc.table_entries; i++) {
        if (p->alloc.table[i])
            blocks = i + 1;
    }
    p->nr_clusters = blocks << p->alloc.block_bits;
    p->one = arena_array(p->nr_clusters / 8 + 1, 1);
    p->block = arena_array(1, p->q->cluster_size);
    qcow2_block_window_init(&p->blocks, p->q, p->alloc.table, p->alloc.table_entries);
    return p->one && p->block ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err snap_count(struct snap_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = prepare(p, detail);
    for (uint64_t at = 0; at < p->nr_clusters && !err; at += 1ull << p->alloc.block_bits) {
        if (at >= p->deltas.to)
            err = fill_window(p, at, detail);
        if (!err)
            err = count_block(p, at >> p->alloc.block_bits, detail);
    }
    return err;
}

/* ---- as it will be ---- */

/* Tables that were copied, or are shared from now on; and what was taken and given back. */
static enum guest_err add_metadata(struct snap_plan *p, struct guest_err_detail *detail)
{
    bool shares = p->action != ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE;
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; i < p->base_l1_size && !err; i++) {
        uint64_t offset = p->base_l1[i] & QCOW2_OFFSET_MASK;
        bool copied = p->l2_place[i] != 0;
        if (offset && copied != shares)
            err = add_any(p, offset >> snap_bits(p), 1, copied ? -1 : 1, detail);
    }
    for (uint64_t i = 0; i < p->nr_changes && !err; i++)
        err = add_any(p, p->changes[i].cluster, p->changes[i].nr, p->changes[i].add, detail);
    p->window_final = true;
    return err;
}

/* Makes a window that holds a block, metadata in it. */
static enum guest_err final_window(struct snap_plan *p, uint64_t first,
                                   struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    while (!err && (first < p->deltas.from || first >= p->deltas.to || !p->window_final)) {
        if (first < p->deltas.from || first >= p->deltas.to)
            err = fill_window(p, first, detail);
        if (!err)
            err = add_metadata(p, detail);
    }
    return err;
}

/* Changes counts [i, end), which are alike. */
static enum guest_err change_counts(struct snap_plan *p, uint64_t first, uint64_t i, uint64_t end,
                                    int32_t add, struct guest_err_detail *detail)
{
    uint64_t final;
    enum guest_err err = new_count(p, first + i, qcow2_refblock_load(p->block, i, p->alloc.order),
                                   add, &final, detail);
    if (err)
        return err;
    qcow2_refblock_fill(p->block, i, end, p->alloc.order, final);
    return final ? GUEST_OK : snap_add_freed(p, first + i, end - i, detail);
}

enum guest_err snap_new_block(struct snap_plan *p, uint64_t index, struct guest_err_detail *detail)
{
    uint64_t first = index << p->alloc.block_bits, count = 1ull << p->alloc.block_bits;
    const uint8_t *old = NULL;
    enum guest_err err = final_window(p, first, detail);
    if (!err && index < p->blocks.entries)
        err = qcow2_block_window_get(&p->blocks, index, &old, detail);
    if (err)
        return err;
    memset(p->block, 0, p->q->cluster_size);
    if (old)
        memcpy(p->block, old, p->q->cluster_size);
    for (uint64_t i = 0, end; i < count && !err; i = end) {
        int32_t add = qcow2_deltas_run(&p->deltas, first + i, &end);
        end -= first;
        if (!add)
            continue;
        end = min_u64(end, qcow2_refblock_run(p->block, i, count, p->alloc.order).end);
        err = change_counts(p, first, i, end, add, detail);
    }
    return err;
}

/* The first of clusters [cluster, end) that new tables may be put into; `end`: none is. */
static uint64_t find_free(const struct snap_plan *p, uint64_t cluster, uint64_t end)
{
    uint64_t low = 0, high = p->nr_free;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (p->free[mid].end > cluster)
            high = mid;
        else
            low = mid + 1;
    }
    end = min_u64(end, max_u64(cluster, p->tail));
    return low < p->nr_free ? min_u64(end, max_u64(cluster, p->free[low].start)) : end;
}

enum guest_err snap_entries(const struct snap_plan *p, const uint8_t *table, uint64_t i,
                            uint64_t *out_nr, uint64_t *out_flip, struct guest_err_detail *detail)
{
    uint64_t entry = load_be64(&table[i * p->q->l2_entry_bytes]);
    uint64_t offset = entry & QCOW2_OFFSET_MASK, cluster = offset >> snap_bits(p);
    bool one;
    *out_nr = 1;
    *out_flip = 0;
    if (entry & QCOW2_OFLAG_COMPRESSED || !offset)
        return GUEST_OK;
    if (offset % p->q->cluster_size != 0)
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    uint64_t end = cluster + ascending(p, table, i), bad = find_free(p, cluster, end);
    if (bad < end)
        return snap_corrupt(p, detail, bad);
    *out_nr = alike(p, cluster, end, &one);
    *out_flip = (entry & QCOW2_OFLAG_COPIED) ^ (one ? QCOW2_OFLAG_COPIED : 0);
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
