/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emptying a qcow2 overlay after a commit: its backing file holds everything now, so that every
 * cluster may be dropped, one by one and in any order, and the disk reads the same.
 *
 * An image with nothing but its active tree becomes as small as a new one:
 *
 *   cluster   0        1                 2                 3 ...
 *             header   refcount table    refcount block    L1 table, all zeros
 *
 * First the L1 table is zeroed where it is: what it referred to is leaked from then on, and no
 * more. When the tables have those places already, the refcount table is cut down to its first
 * block, then that block is written, then the file is cut. Otherwise new tables are put behind the
 * file's end and the header switches over to them in one write; then the places above are free, and
 * the same is done once more into them.
 *
 * Images with snapshots, bitmaps, an external data file, version 2, or more L1 table than one
 * refcount block counts keep their length, as in stock: there the active tree is taken away like
 * that of a snapshot (qcow2_snapshot_plan.h), in one switch of the header.
 * source: which of them become small was observed with stock 7.2 to 11.1.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_EMPTY_H
#define INSTAR_GUEST_FORMATS_QCOW2_EMPTY_H

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_alloc.h"

/*
 * Plans the emptying. See guest/plan/empty.h.
 *
 * returns: GUEST_ERR_PLAN_DIRTY, _CORRUPT; what qcow2_alloc_init gives
 */
enum guest_err qcow2_empty_plan(struct node *node, struct plan **out,
                                struct guest_err_detail *detail);

/* ---- what follows is for the qcow2_empty*.c files ---- */

/* Where the tables of an image without clusters are. */
struct empty_layout {
    struct qcow2_bump bump; /* what is in use, and the refcount blocks */
    uint64_t rt_cluster, rt_clusters;
    uint64_t l1_cluster, l1_clusters;
};

/* The layout drawn above. */
enum guest_err empty_layout_small(struct empty_layout *l, const struct qcow2 *q);

/* All tables at or behind a cluster. */
enum guest_err empty_layout_behind(struct empty_layout *l, const struct qcow2 *q, uint64_t cluster);
void empty_layout_clear(struct empty_layout *l);

/*
 * Appends the ops that write the tables of a layout, and the header's switch to them.
 *
 * in:      index: 0 at first; where it stands after that
 * returns: false when the batch has no room; to be called again with the next one
 */
bool empty_layout_yield(const struct empty_layout *l, const struct qcow2 *q, uint64_t *index,
                        struct plan_sink *sink);

#endif
