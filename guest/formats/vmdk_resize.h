/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VMDK. (Stock resizes none.) vmdk_resize.c decides, vmdk_resize_text.c makes
 * the descriptor, vmdk_resize_plan.c yields.
 *
 * The disk ends in one extent, the edge, which gets another size; behind it extents are new, or
 * there are none any more. Sparse: new directories with the old entries and the new ones, and the
 * new tables, go behind everything; one write of the header switches. The old directories stay as
 * dead sectors. Flat: the file gets its size before the descriptor says so, or after it when it
 * shrinks.
 *
 * A descriptor of one sector is written in place. A longer one becomes another file, which the host
 * puts in its place; whatever has to wait for that is another plan.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_RESIZE_H
#define INSTAR_GUEST_FORMATS_VMDK_RESIZE_H

#include "guest/formats/vmdk_make.h"

enum vmdk_resize_step {
    VMDK_RESIZE_ROOM,
    VMDK_RESIZE_FILES,
    VMDK_RESIZE_RGD,
    VMDK_RESIZE_GD,
    VMDK_RESIZE_CLEAN,
    VMDK_RESIZE_HEADER,
    VMDK_RESIZE_TEXT,
    VMDK_RESIZE_CUT,
    VMDK_RESIZE_DONE,
};

struct vmdk_resize {
    struct plan plan;
    struct node *node;
    const struct vmdk_extent *extent;  /* the edge */
    uint64_t old_sectors, new_sectors; /* of it */
    bool shrinks;                      /* the disk */

    /* further extents */
    uint64_t extra_sectors;
    unsigned nr_new;
    uint32_t first_file_blob;
    unsigned made;
    struct vmdk_new_extent now;

    /* sparse */
    uint64_t tables;                /* the new directory's entries */
    uint64_t rgd_sector, gd_sector; /* 0: they stay */
    uint64_t stale_grains;          /* entries of the last table that lie behind the old end */
    uint64_t stale_at[2];           /* where these are, bytes; 0: nowhere */
    uint64_t tail_at, tail_bytes;   /* of the last grain, behind the old end */
    uint8_t header[VMDK_SECTOR_BYTES];

    /* the descriptor; NULL: it stays */
    uint8_t *text;
    size_t text_len, text_old_len;
    uint32_t text_blob;
    uint64_t text_at, text_room; /* bytes; room 0: the file ends with it */

    enum vmdk_resize_step step;
    uint64_t entry;
};

enum guest_err vmdk_resize_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail);

static inline bool vmdk_resize_is_flat(const struct vmdk_resize *r)
{
    return r->extent->flat;
}

/* Whether the edge grows. */
static inline bool vmdk_resize_grows(const struct vmdk_resize *r)
{
    return r->new_sectors > r->old_sectors;
}

/* What is another in the descriptor. */
struct vmdk_text_change {
    uint64_t disk_sectors;
    unsigned nr_extents; /* there are so many lines */
    unsigned edge;       /* this one gets another number; those behind it go */
    uint64_t edge_sectors;
    unsigned nr_new; /* come instead */
    uint64_t new_sectors;
    bool flat;
    const ProtobufCBinaryData *names;
};

/*
 * Puts another size into a descriptor's text: its extents' lines and its cylinders.
 *
 * out:     *out, from malloc
 * returns: false when the lines are not so many, or no memory
 */
bool vmdk_resize_text(struct span text, const struct vmdk_text_change *change, uint8_t **out,
                      size_t *out_len);

#endif
