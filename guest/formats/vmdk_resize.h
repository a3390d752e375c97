/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VMDK of one extent. (Stock resizes none.)
 *
 * Sparse: new directories with the old entries and the new ones, and the new tables, go behind
 * everything; one write of the header switches. The old directories stay as dead sectors. Flat: the
 * file gets its size before the descriptor says so, or after it when it shrinks.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_RESIZE_H
#define INSTAR_GUEST_FORMATS_VMDK_RESIZE_H

#include "guest/formats/vmdk_make.h"

enum vmdk_resize_step {
    VMDK_RESIZE_ROOM,
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
    const struct vmdk_extent *extent;
    uint64_t old_sectors, new_sectors;

    /* sparse */
    uint64_t tables;                /* the new directory's entries */
    uint64_t rgd_sector, gd_sector; /* 0: they stay */
    uint64_t stale_grains;          /* entries of the last table that lie behind the old end */
    uint64_t stale_at[2];           /* where these are, bytes; 0: nowhere */
    uint64_t tail_at, tail_bytes;   /* of the last grain, behind the old end */
    uint8_t header[VMDK_SECTOR_BYTES];

    /* the descriptor; NULL: it stays */
    uint8_t *text;
    size_t text_len;
    uint64_t text_at, text_room; /* bytes; room 0: the file ends with it */

    enum vmdk_resize_step step;
    uint64_t entry;
};

/*
 * Puts another size into a descriptor's text: its extent line and its cylinders.
 *
 * out:     *out, from malloc
 * returns: false when there is no extent line, or no memory
 */
bool vmdk_resize_text(struct span text, uint64_t sectors, uint8_t **out, size_t *out_len);

#endif
