/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VHDX, which stock does not give; shared by the vhdx_resize*.c files.
 *
 * One item of the metadata says the size. When the disk grows it changes last, after the BAT
 * entries behind the old end were cleared (or, in a fixed disk, given their blocks); when it
 * shrinks it changes first, and the blocks behind the new end are forgotten after it.
 *
 * A BAT that its region has no room for is written anew behind all that is in the file. Both region
 * tables name it then: first the copy, then, with one sector, the table that counts. Until the
 * size changes both BATs say the same of the disk.
 *
 * Behind the end of a differencing disk the parent may go on: what a growing disk gets of it is
 * made zeros of the disk's own. Whole blocks are by their state; the rest of the last block by its
 * bits.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_RESIZE_H
#define INSTAR_GUEST_FORMATS_VHDX_RESIZE_H

#include "guest/formats/vhdx.h"
#include "guest/plan/stepped.h"

#define VHDX_RESIZE_CHUNK 65536u /* bytes of one write at most */

/* The block that the old end of a growing differencing disk lies in. */
struct vhdx_last_block {
    uint64_t index;
    bool has_bits;   /* it is, or becomes, partially present: bits of its rest are to be set */
    uint64_t entry;  /* what its BAT entry becomes */
    bool new_bitmap; /* its chunk has no bitmap yet */
    uint64_t bitmap_entry; /* what that entry becomes */
    uint64_t bits_offset;  /* where the block's bits are, bytes */
};

struct vhdx_resize {
    struct stepped_plan base;
    struct vhdx *vhdx;
    uint64_t old_size, new_size;
    uint64_t old_entries, new_entries; /* of the BAT */
    uint64_t old_blocks, new_blocks;
    uint64_t file_end; /* bytes, before */
    uint64_t next; /* where room for something new is, bytes; at the end: how long the file is */
    uint64_t data_end;    /* shrinking: the file's last byte that is needed */
    uint64_t new_data;    /* where new blocks of a fixed disk begin */
    uint64_t parent_size; /* bytes; 0: none */

    /* the BAT and its region */
    uint64_t bat_offset; /* where it will be, or is */
    uint64_t bat_length;
    uint8_t *regions; /* the table as it will be, VHDX_REGION_TABLE_BYTES; NULL: it stays */

    struct vhdx_last_block last;
};

static inline bool vhdx_resize_grows(const struct vhdx_resize *r)
{
    return r->new_size > r->old_size;
}

static inline bool vhdx_resize_is_child(const struct vhdx_resize *r)
{
    return r->vhdx->params & VHDX_HAS_PARENT;
}

/* ---- vhdx_resize_steps.c ---- */

/* Makes it a plan of its steps. */
void vhdx_resize_start(struct vhdx_resize *r);

/* ---- vhdx_resize_child.c ---- */

/*
 * Decides what becomes of the last block when a child grows below its parent's end.
 *
 * in:      r->next; moved by what is placed
 */
enum guest_err vhdx_resize_last_block(struct vhdx_resize *r, struct guest_err_detail *detail);

/* Yields the last block's zeros and bits, and the entry of its bitmap. */
enum guest_err vhdx_resize_put_last(struct vhdx_resize *r, struct plan_sink *sink,
                                    struct guest_err_detail *detail);

#endif
