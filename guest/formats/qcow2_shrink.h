/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shrinking a qcow2 image: what lies behind the new end is freed, and the file ends behind the last
 * cluster in use.
 *
 * One write to the header makes the disk shorter, and the L1 table with it: before it the image is
 * the old one, after it the new one. Then come, each step after a barrier, the entries that the L2
 * table at the new end still has behind it, the refcounts of all that is referred to no more, the
 * refcount blocks behind the last cluster that count nothing but themselves, and the length of the
 * file. A crash in between leaves leaks.
 *
 * Bitmaps whose tables must become shorter are in use from before the header's write until after
 * it. An L2 table at the new end that a snapshot shares is copied first; the copy is written to a
 * free cluster, and the L1 entry switched after the header.
 *
 * Memory is bounded by what is freed: a counter of one byte for each host cluster, in pages.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_SHRINK_H
#define INSTAR_GUEST_FORMATS_QCOW2_SHRINK_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_counts.h"

#define QCOW2_SHRINK_FREED_MAX 4096u

struct qcow2_shrink {
    struct plan base;
    struct qcow2 *q;
    struct qcow2_alloc alloc; /* the refcount table, and what must not be freed */
    uint32_t blob;
    struct source *data;  /* the data file; NULL: none */
    uint64_t new_size;    /* virtual, bytes */
    uint64_t l1_entries;  /* afterwards */
    uint64_t end_cluster; /* virtual clusters that stay */

    struct qcow2_counts gone; /* references that go, by host cluster */
    uint64_t nr_clusters;     /* that gone counts */

    bool edge;           /* an L2 table has entries on both sides of the new end */
    uint64_t edge_l1;    /* its index */
    uint8_t *edge_bytes; /* as it will be */
    uint64_t edge_from;  /* first byte of it that changes */
    uint64_t edge_copy;  /* cluster of the copy; 0: it is changed in place */

    uint8_t *dropped;      /* by index: the refcount block leaves the table */
    uint64_t last_cluster; /* in use afterwards */
    struct qcow2_run freed[QCOW2_SHRINK_FREED_MAX]; /* below it, as many as fit */
    uint64_t nr_freed;

    unsigned phase;
    uint64_t index;
    uint8_t *block; /* one cluster */
};

/*
 * Plans a smaller size. What may be done at all (alignment, snapshots of version 2, bitmaps in use)
 * was checked by the caller.
 *
 * out:     *out, to be freed with its verb
 * returns: GUEST_ERR_PLAN_CORRUPT when something is freed that is not counted, or is metadata;
 *          GUEST_ERR_NO_MEMORY; GUEST_ERR_IO
 * bound:   the L2 tables behind the new end once, the refcount blocks of what they free twice
 */
enum guest_err qcow2_shrink_plan(struct node *node, uint64_t new_size, struct plan **out,
                                 struct guest_err_detail *detail);

/* ---- what follows is for the qcow2_shrink*.c files ---- */

extern const struct plan_verbs qcow2_shrink_verbs;

/*
 * Makes the refcount block at an index as it will be, in s->block.
 *
 * out:     old: as it is, one cluster
 * returns: GUEST_ERR_PLAN_CORRUPT when more references go than are counted
 */
enum guest_err qcow2_shrink_block(struct qcow2_shrink *s, uint64_t index, uint8_t *old,
                                  struct guest_err_detail *detail);

/*
 * Notes that one reference to each of adjacent clusters goes.
 *
 * returns: GUEST_ERR_PLAN_CORRUPT for the header's cluster and for those past the end of the file
 */
enum guest_err qcow2_shrink_drop(struct qcow2_shrink *s, uint64_t cluster, uint64_t nr,
                                 struct guest_err_detail *detail);

/* qcow2_shrink_bitmaps.c */

/* What tables that are cut refer to, and their ends. */
enum guest_err qcow2_shrink_drop_bitmaps(struct qcow2_shrink *s, struct guest_err_detail *detail);

/*
 * Steps of the plan: bitmaps whose tables are cut are in use; bits behind the new end are cleared;
 * tables are cut and their bitmaps not in use any more. Between the first and the last the header
 * is written; each starts at s->index 0.
 *
 * returns: false when the batch has no room: to be called again with the next one
 */
bool qcow2_shrink_yield_in_use(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                               struct guest_err_detail *detail);
bool qcow2_shrink_yield_bits(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                             struct guest_err_detail *detail);
bool qcow2_shrink_yield_cuts(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                             struct guest_err_detail *detail);

static inline unsigned shrink_bits(const struct qcow2_shrink *s)
{
    return s->q->header.cluster_bits;
}

#endif
