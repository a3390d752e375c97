/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a resize: what qcow2_resize.c decides and qcow2_resize_yield.c writes. Only they
 * include this.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_RESIZE_PLAN_H
#define INSTAR_GUEST_FORMATS_QCOW2_RESIZE_PLAN_H

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_resize.h"

/* What the new area gets. */
enum fill {
    FILL_NONE,      /* no entries: it reads as zeros by itself */
    FILL_ZERO,      /* zero clusters */
    FILL_DATA,      /* clusters of its own */
    FILL_DATA_ZERO, /* clusters of its own that read as zeros until they are written */
};

/* One L2 table that changes: entries [first, first + nr) are filled. */
struct rtable {
    uint64_t l1_index;
    uint64_t l2_cluster;
    uint64_t data_cluster; /* of entry `first` */
    uint32_t first, nr;
};

struct resize_plan {
    struct plan base;
    struct node *node;
    struct qcow2 *q;
    struct qcow2_alloc alloc;
    struct qcow2_bump bump;
    uint32_t blob, data_blob;
    uint64_t old_size, new_size; /* virtual, bytes */
    Abi__Preallocation preallocation;

    uint64_t old_end;                 /* clusters of the file in use before */
    uint64_t l1_entries;              /* of the L1 table afterwards */
    bool l1_moves;                    /* else it stays, and its cluster has room */
    uint64_t l1_cluster;              /* new place when it moves */
    uint64_t rt_clusters, rt_cluster; /* new refcount table; 0: the old one stays */

    enum fill fill;
    uint64_t fill_from, fill_to; /* virtual clusters */
    struct rtable *tables;
    uint64_t nr_tables;

    /* The table that covers the old end exists: its entries are changed, in place or in a copy. */
    bool edge; /* tables[0] is that one, if there are any */
    uint64_t edge_l1;
    bool edge_in_place; /* tables[0].l2_cluster is its own */
    uint8_t *edge_bytes;

    /* The old last cluster is cut by the old end, and what is behind it must read as zeros. */
    uint8_t *head; /* new contents of it; NULL: nothing to do, or head_zero */
    uint64_t head_cluster;
    uint64_t head_zero_offset, head_zero_len; /* host bytes zeroed in place */

    unsigned phase;
    uint64_t index;
    bool out_of_memory;
};

extern const struct plan_verbs resize_verbs;

static inline unsigned rbits(const struct resize_plan *p)
{
    return p->q->header.cluster_bits;
}

#endif
