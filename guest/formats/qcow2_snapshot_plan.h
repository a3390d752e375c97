/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating, applying and deleting internal snapshots, as one atomic switch.
 *
 * Raising refcounts in place and clearing COPIED flags in place cannot be done so that every prefix
 * is valid: a flag that is set with a refcount of two, or clear with a refcount of one, is what
 * stock's check calls corruption, and the two live in different sectors. So nothing in use is
 * written over. The new state is put into free clusters, beside the old one:
 *
 *   1 L2 tables whose flags change, the L1 table, refcount blocks whose counts change, the refcount
 *     table that names them, the snapshot table: all where nothing refers to; then a barrier
 *   2 the header's fields from `size` to the autoclear features, in one sector; then a barrier
 *   3 discards of what is free now
 *
 * Before the second write lands the image is the old one, bit for bit; after it, it is the new one,
 * with exact refcounts: the blocks written in step 1 already count the old tables as free. There
 * is no state between, hence also no leak. A refcount table that must grow just is larger.
 *
 * Who refers to what (a reference is a path from an L1 table):
 *
 *   create  the old L1 table becomes the snapshot's; the active one is new. Data +1. An L2 table
 *           whose flags are all clear is shared (+1), any other is copied for the active side.
 *   delete  the snapshot's tree goes: data -1, L2 tables -1. Active L2 tables whose flags no longer
 *           tell the truth are replaced by copies.
 *   apply   the active tree goes, as in delete; the snapshot's tree is referred to once more, as in
 *           create.
 *
 * The specification binds COPIED flags to the active tables only, so that a snapshot may keep
 * tables with flags set; whoever makes such tables active again has to set them anew, as stock
 * does.
 *
 * Memory is bounded: one bit for each host cluster, one number for each L1 entry and refcount
 * block, and changes of refcounts for a window of host clusters at a time (qcow2_deltas.h). Where
 * they come in runs all clusters fit one window; with more than fit one the L2 tables are read
 * again for each.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_SNAPSHOT_PLAN_H
#define INSTAR_GUEST_FORMATS_QCOW2_SNAPSHOT_PLAN_H

#include "guest/abi/error_plan.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_block_window.h"
#include "guest/formats/qcow2_deltas.h"

/*
 * Plans one change of the snapshots of a qcow2 image. See guest/plan/snapshot.h.
 */
enum guest_err qcow2_snapshot_plan(struct node *node, const Abi__SnapshotRequest *request,
                                   struct plan **out, struct guest_err_detail *detail);

/*
 * Plans that the active tree goes, and nothing comes: the disk is its backing file's (commit). The
 * active L1 table is new and empty; snapshots, bitmaps and the file's length stay.
 *
 * returns: GUEST_ERR_PLAN_CORRUPT, _TABLE_FULL; GUEST_ERR_NO_MEMORY
 */
enum guest_err qcow2_snapshot_plan_empty(struct node *node, struct plan **out,
                                         struct guest_err_detail *detail);

/* ---- what follows is for the qcow2_snapshot_*.c files ---- */

/* A tree whose references come (+1) or go (-1). */
struct snap_tree {
    const uint64_t *l1;
    uint64_t l1_size;
    int add;
};

/* Adjacent clusters of metadata that come or go. */
struct snap_change {
    uint64_t cluster, nr;
    int add;
};

/* Clusters [start, end) were free; those below `next` are taken. */
struct snap_room {
    uint64_t start, end, next;
};

struct snap_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    const struct node *data_file; /* NULL: none */
    Abi__SnapshotAction action;
    struct qcow2_alloc alloc; /* the old refcount table, and what must not be taken */

    struct snap_tree trees[2];
    unsigned nr_trees;
    uint64_t *snapshot_l1;   /* apply, delete: of the snapshot; owned */
    const uint64_t *base_l1; /* what the new active tables come from */
    uint64_t base_l1_size;
    uint64_t *l2_place; /* by L1 index: cluster of the copy; 0: the table itself goes on */
    uint64_t new_size;  /* virtual, bytes */
    uint64_t gone_l1, gone_l1_clusters; /* delete: of the snapshot's L1 table */

    /* counting, qcow2_snapshot_count.c */
    uint64_t nr_clusters;       /* that old blocks can count */
    uint8_t *one;               /* a bit each: its refcount will be 1 */
    struct qcow2_deltas deltas; /* of a window of clusters */
    bool window_final;          /* metadata is in it too */
    struct qcow2_l2_window walk;
    struct qcow2_block_window blocks; /* old ones */
    uint8_t *block;                   /* one cluster */

    /* placing, qcow2_snapshot_place.c */
    struct snap_room *free; /* below tail; a few thousand at most */
    uint64_t nr_free, max_free, next_free;
    uint64_t tail; /* nothing is in use from here on */
    struct snap_change *changes;
    uint64_t nr_changes, max_changes;
    uint64_t *block_place; /* by index: new cluster of a block; 0: it stays */
    uint8_t *touched;      /* by index: some count in it changes */
    uint64_t nr_blocks, max_blocks;
    uint64_t l1_entries, l1_cluster; /* l1_cluster 0: the table stays */
    uint64_t rt_clusters, rt_cluster;
    uint64_t end; /* one more than the last cluster taken */

    struct qcow2_run *freed; /* what nobody refers to any more: as many as fit a list */
    uint64_t nr_freed, max_freed;
    bool drops_data_file; /* what the external data file holds is needed no more, all of it */

    /* the snapshot table, qcow2_snapshot_table.c */
    uint8_t *table;
    uint64_t table_bytes, table_cluster;
    uint32_t nr_snapshots;

    /* qcow2_snapshot_yield.c: where it stands */
    unsigned phase;
    uint64_t index;
};

static inline unsigned snap_bits(const struct snap_plan *p)
{
    return p->q->header.cluster_bits;
}

static inline enum guest_err snap_corrupt(const struct snap_plan *p,
                                          struct guest_err_detail *detail, uint64_t cluster)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, cluster << snap_bits(p), 0, 0, 0);
}

/* qcow2_snapshot_count.c */

/*
 * Counts what comes and goes in the trees, checks it against the refcounts, and finds free room.
 *
 * out:     one, free, tail, touched
 * returns: GUEST_ERR_PLAN_REFCOUNT_FULL; GUEST_ERR_PLAN_CORRUPT when something that is referred to
 *          counts as free
 * bound:   the tables of the trees, once for each window; every refcount block once
 */
enum guest_err snap_count(struct snap_plan *p, struct guest_err_detail *detail);

/* Makes the block at `index` as it will be, in p->block. */
enum guest_err snap_new_block(struct snap_plan *p, uint64_t index, struct guest_err_detail *detail);

/*
 * How entries of an active L2 table change, from index i on.
 *
 * out:     *out_nr entries are to be combined with *out_flip by an exclusive or, which is 0 or
 *          QCOW2_OFLAG_COPIED
 * returns: GUEST_ERR_PLAN_CORRUPT when one refers to a free cluster
 */
enum guest_err snap_entries(const struct snap_plan *p, const uint8_t *table, uint64_t i,
                            uint64_t *out_nr, uint64_t *out_flip, struct guest_err_detail *detail);

/* The L1 entry at an index as it will be. */
uint64_t snap_l1_entry(const struct snap_plan *p, uint64_t index);

/* qcow2_snapshot_place.c */

/* Finds places for everything that is written. */
enum guest_err snap_place(struct snap_plan *p, struct guest_err_detail *detail);

/* Notes that the block which counts `cluster` changes. */
enum guest_err snap_touch(struct snap_plan *p, uint64_t cluster, struct guest_err_detail *detail);

/* Notes free clusters, in ascending order. */
enum guest_err snap_add_free(struct snap_plan *p, uint64_t cluster, uint64_t nr,
                             struct guest_err_detail *detail);

/* Notes clusters that are free once the plan is done, in ascending order. */
enum guest_err snap_add_freed(struct snap_plan *p, uint64_t cluster, uint64_t nr,
                              struct guest_err_detail *detail);

/* qcow2_snapshot_table.c */

/* The table with one snapshot more, or without the one at `index`. */
enum guest_err snap_table_add(struct snap_plan *p, const Abi__SnapshotRequest *request,
                              struct guest_err_detail *detail);
enum guest_err snap_table_remove(struct snap_plan *p, uint32_t index,
                                 struct guest_err_detail *detail);

/* qcow2_snapshot_yield.c */
extern const struct plan_verbs snap_verbs;

#endif
