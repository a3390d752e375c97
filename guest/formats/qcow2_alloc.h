/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host clusters of an existing qcow2 image: which are free, taking and giving back, and the plan
 * ops that record it.
 *
 * Refcounts change in memory; qcow2_alloc_yield_* write them. What is taken may be used at once:
 * nothing on disk refers to it yet. What is given back is only free after the plan that removed the
 * last reference to it (qcow2_alloc_yield_freed), so that no cluster has two owners after a crash.
 *
 * A refcount block that is missing is made in the first free cluster found; if that cluster itself
 * is not counted by any block, it becomes its own. A refcount table that is full moves, larger, to
 * free clusters; the header then points to it.
 *
 * A cluster that is free by its refcount but holds metadata in use shows that the refcounts are
 * wrong: nothing is written to such an image.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_ALLOC_H
#define INSTAR_GUEST_FORMATS_QCOW2_ALLOC_H

#include "guest/formats/qcow2.h"
#include "guest/formats/qcow2_bump.h"
#include "guest/plan/plan.h"

/* A refcount block at hand. */
struct qcow2_refblock {
    uint8_t *bytes;      /* one cluster */
    bool is_new;         /* nothing of it is on disk yet */
    uint32_t dirty_from; /* bytes [from, to) have changed; empty when equal */
    uint32_t dirty_to;
};

struct qcow2_alloc {
    struct qcow2 *q;
    uint32_t blob;
    unsigned order;      /* log2 of the refcount's bits */
    unsigned block_bits; /* log2 of the clusters that a block counts */

    uint64_t *table; /* refcount table, decoded: offsets of blocks */
    uint64_t table_entries, max_table, max_blocks;
    uint64_t table_offset; /* bytes */
    uint64_t table_clusters;
    bool table_moved;              /* since the last yield: all of it is to be written */
    uint64_t dirty_from, dirty_to; /* entries to be written, empty when equal */

    struct qcow2_refblock **blocks; /* by index, NULL: not at hand */
    uint64_t nr_loaded, nr_dirty;

    uint64_t *metadata; /* clusters that hold metadata, ascending */
    uint64_t nr_metadata;

    uint64_t next;     /* cluster where the search for room starts */
    bool only_forward; /* what was given back is not searched: room below `next` is promised */
    uint64_t end;      /* one more than the last cluster known to be in use */

    struct qcow2_run *freed; /* given back, to be recorded last */
    uint64_t nr_freed, max_freed;

    /* qcow2_alloc_yield: where it stands */
    unsigned phase;
    uint64_t index;
};

/*
 * Reads the refcount table and what metadata the header and the active tables name.
 *
 * in:      q: outlives alloc; its header may be changed by the caller only after
 *          qcow2_alloc_init
 * out:     to be released with qcow2_alloc_clear, also after a failure
 * returns: GUEST_OK; GUEST_ERR_PLAN_CORRUPT; GUEST_ERR_NO_MEMORY; GUEST_ERR_IO
 * bound:   the refcount table (8 MiB) and one number for each metadata cluster
 */
enum guest_err qcow2_alloc_init(struct qcow2_alloc *alloc, struct qcow2 *q,
                                struct guest_err_detail *detail);
void qcow2_alloc_clear(struct qcow2_alloc *alloc);

/*
 * Whether a cluster holds the header, an active table or a refcount structure, as the image was
 * found: data is never put there, whatever its refcount says.
 */
bool qcow2_alloc_is_metadata(const struct qcow2_alloc *alloc, uint64_t cluster);

/* The refcount of a cluster; 0 where no block counts it. */
enum guest_err qcow2_alloc_refcount(struct qcow2_alloc *alloc, uint64_t cluster, uint64_t *out,
                                    struct guest_err_detail *detail);

/*
 * Takes between 1 and `wanted` adjacent free clusters, refcount 1.
 *
 * qcow2_alloc_take_all takes exactly `wanted`.
 */
enum guest_err qcow2_alloc_take(struct qcow2_alloc *alloc, uint64_t wanted, uint64_t *out_cluster,
                                uint64_t *out_nr, struct guest_err_detail *detail);
enum guest_err qcow2_alloc_take_all(struct qcow2_alloc *alloc, uint64_t wanted,
                                    uint64_t *out_cluster, struct guest_err_detail *detail);

/*
 * Promises `wanted` adjacent free clusters and makes the blocks that will count them, in front of
 * them; their refcounts stay 0. Nobody else gets them while only_forward is set.
 *
 * in:      ahead: when blocks must be made, make those of this many clusters, so that what is
 *          promised next follows without a gap
 */
enum guest_err qcow2_alloc_reserve(struct qcow2_alloc *alloc, uint64_t wanted, uint64_t ahead,
                                   uint64_t *out_cluster, struct guest_err_detail *detail);

/*
 * Raises the refcount of clusters by one, whatever it was.
 *
 * returns: GUEST_ERR_PLAN_REFCOUNT_FULL when one has the largest value already
 */
enum guest_err qcow2_alloc_raise(struct qcow2_alloc *alloc, uint64_t cluster, uint64_t nr,
                                 struct guest_err_detail *detail);

/*
 * Counts clusters behind the end of the file, which nothing can refer to, as used once, whatever an
 * image that was longer has left there.
 */
enum guest_err qcow2_alloc_count_new(struct qcow2_alloc *alloc, uint64_t cluster, uint64_t nr,
                                     struct guest_err_detail *detail);

/* Notes that one reference to each cluster will be gone after the next plan. */
enum guest_err qcow2_alloc_give_back(struct qcow2_alloc *alloc, uint64_t cluster, uint64_t nr,
                                     struct guest_err_detail *detail);

/* Bytes that the refcount blocks at hand take; those that have changed. */
uint64_t qcow2_alloc_loaded_bytes(const struct qcow2_alloc *alloc);
bool qcow2_alloc_dirty(const struct qcow2_alloc *alloc);

/* Drops unchanged blocks when more than max_bytes are at hand. */
void qcow2_alloc_shrink(struct qcow2_alloc *alloc, uint64_t max_bytes);

/*
 * Appends the ops that record what was taken: blocks, barrier, table entries, and for a table that
 * moved the header; ends with a barrier. Nothing when nothing changed.
 *
 * returns: false when the batch has no room; to be called again with the next one
 */
bool qcow2_alloc_yield(struct qcow2_alloc *alloc, struct plan_sink *sink);

/*
 * Lowers the refcounts of what was given back, so that the next qcow2_alloc_yield records it.
 * Called when the ops that removed the references have been yielded, a barrier after them.
 */
enum guest_err qcow2_alloc_settle(struct qcow2_alloc *alloc, struct guest_err_detail *detail);

#endif
