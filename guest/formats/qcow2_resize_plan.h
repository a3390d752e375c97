/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a resize: what qcow2_resize.c decides and qcow2_resize_yield.c writes. Only they
 * include this.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_RESIZE_PLAN_H
#define INSTAR_GUEST_FORMATS_QCOW2_RESIZE_PLAN_H

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_header_edit.h"
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

/* A bitmap that gets a longer table, or another last cluster of bits. */
struct rbitmap {
    uint32_t index; /* in the image */
    uint64_t old_entries, new_entries;
    uint64_t table_cluster;
    bool tail; /* the old last cluster of bits is replaced */
    uint64_t tail_cluster;
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

    /* qcow2_resize_bitmaps.c; without any, the header's fields are all that is written of it */
    struct rbitmap *bitmaps; /* in the image's order */
    uint32_t nr_bitmaps, at_bitmap;
    uint64_t *bitmap_table; /* of the one that is being written */
    uint8_t *directory;
    uint64_t directory_bytes, directory_cluster;
    uint8_t extension[24];
    struct header_edit edit;

    unsigned phase;
    uint64_t index;
    enum guest_err failure; /* of a phase */
};

extern const struct plan_verbs resize_verbs;

/* qcow2_resize_bitmaps.c */

/*
 * Whether the bitmaps allow another size.
 *
 * returns: GUEST_ERR_PLAN_BITMAP_IN_USE, _RESIZE_BITMAPS when one would be larger than may be
 */
enum guest_err qcow2_resize_check_bitmaps(const struct resize_plan *p,
                                          struct guest_err_detail *detail);

/* Finds those that change; takes places for them; notes what they had; composes the header. */
enum guest_err qcow2_resize_find_bitmaps(struct resize_plan *p, struct guest_err_detail *detail);
enum guest_err qcow2_resize_place_bitmaps(struct resize_plan *p);
enum guest_err qcow2_resize_free_bitmaps(struct resize_plan *p, struct guest_err_detail *detail);
enum guest_err qcow2_resize_edit_header(struct resize_plan *p, struct guest_err_detail *detail);

/* Writes them: a phase of qcow2_resize_yield.c. */
bool qcow2_resize_yield_bitmaps(struct resize_plan *p, struct plan_sink *sink);
void qcow2_resize_clear_bitmaps(struct resize_plan *p);

static inline unsigned rbits(const struct resize_plan *p)
{
    return p->q->header.cluster_bits;
}

#endif
