/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VHD, which stock does not give; shared by the vpc_resize*.c files.
 *
 * The footer says the size, so that it changes last when the disk grows and first when it shrinks.
 * Where the footer itself must move, a copy with the old size goes to the new end before anything
 * is written over the old place. A BAT that is too small is written anew behind the last block, and
 * one sector of the dynamic header switches to it. Sizes are exact from then on: the creator
 * becomes the one that stands for that.
 *
 * Behind the end of a differencing disk the parent may go on: what a growing disk gets of it is
 * made zeros of the disk's own, in blocks that a new BAT names.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_RESIZE_H
#define INSTAR_GUEST_FORMATS_VPC_RESIZE_H

#include "guest/formats/vpc.h"
#include "guest/plan/stepped.h"

struct vpc_resize {
    struct stepped_plan base;
    struct vpc *vpc;
    uint64_t old_size, new_size;
    uint64_t old_end, new_end; /* of the file, the footer included */
    uint64_t table_offset;     /* the new place of the BAT, or the old one */
    uint32_t table_entries;
    bool moves_table;     /* one of no entries may move to where it is */
    uint32_t kept_blocks; /* entries from there on name no block of the disk */
    uint8_t footer[VPC_FOOTER_BYTES];

    /* a child that grows over its parent: blocks of zeros, side by side */
    uint64_t parent_size; /* bytes; 0: none */
    uint32_t first_hidden, nr_hidden;
    uint64_t hidden_offset; /* of the first of them, bytes */
};

static inline bool vpc_resize_grows(const struct vpc_resize *r)
{
    return r->new_size > r->old_size;
}

/* ---- vpc_resize_steps.c ---- */

/* Makes it a plan of its steps. */
void vpc_resize_start(struct vpc_resize *r);

/* What a block holds behind `size` becomes zeros. */
enum guest_err vpc_resize_clear_tail(struct vpc_resize *r, struct plan_sink *sink, uint64_t size,
                                     struct guest_err_detail *detail);

/* ---- vpc_resize_child.c ---- */

/* Finds the blocks that hide the parent of a growing disk; their place is the caller's to choose.
 */
enum guest_err vpc_resize_find_hidden(struct vpc_resize *r, struct guest_err_detail *detail);

/* Bytes of the file that one of them takes. */
static inline uint64_t vpc_resize_span(const struct vpc_resize *r)
{
    return (uint64_t)r->vpc->bitmap_bytes + r->vpc->dynamic.block_size;
}

/* The BAT entry of a block that hides; VPC_UNALLOCATED: it is none. */
uint32_t vpc_resize_hidden_entry(const struct vpc_resize *r, uint32_t index);

/* Yields zeros and bits: of the last block first, then of one more with each call. */
enum guest_err vpc_resize_put_hidden(struct vpc_resize *r, struct plan_sink *sink, bool *out_more,
                                     struct guest_err_detail *detail);

#endif
