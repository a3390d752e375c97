/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check of a VHDX repairs, as a plan:
 *
 *   1 the next header, where the other one was, broken or not; barrier
 *   2 the region table that is broken, from its copy
 *   3 the file as long as it must be; barrier
 *   4 copies of blocks that lie over others or over regions; barrier
 *   5 entries of the BAT: moved blocks, and blocks that are forgotten
 *
 * After any prefix of it what could be read before reads as before, and the same repair goes on.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_MEND_H
#define INSTAR_GUEST_FORMATS_VHDX_MEND_H

#include "guest/formats/vhdx.h"
#include "guest/plan/op_list.h"

/* Filled with `vhdx` alone, then initialized. */
struct vhdx_mend {
    struct vhdx *vhdx;
    struct op_list *list, *copies, *entries;
    uint64_t end; /* of the file when all is done, bytes */
    bool header;  /* the other header is broken */
};

enum guest_err vhdx_mend_init(struct vhdx_mend *mend, struct guest_err_detail *detail);
void vhdx_mend_clear(struct vhdx_mend *mend);

void vhdx_mend_header(struct vhdx_mend *mend);

/* in: bad: 0 or 1 */
enum guest_err vhdx_mend_regions(struct vhdx_mend *mend, unsigned bad,
                                 struct guest_err_detail *detail);

/* The file becomes at least so long, bytes. */
void vhdx_mend_reach(struct vhdx_mend *mend, uint64_t end);

/* The block is no longer there; the block gets a place of its own, with what it reads as now. */
enum guest_err vhdx_mend_forget(struct vhdx_mend *mend, uint64_t index,
                                struct guest_err_detail *detail);
enum guest_err vhdx_mend_move(struct vhdx_mend *mend, uint64_t index,
                              struct guest_err_detail *detail);

/* out: *out stays as it is when there is nothing to write */
enum guest_err vhdx_mend_finish(struct vhdx_mend *mend, struct plan **out,
                                struct guest_err_detail *detail);

#endif
