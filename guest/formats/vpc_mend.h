/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check of a VHD repairs, as a plan:
 *
 *   1 the footer at the start, from the one at the end; the dynamic header's checksum
 *   2 the footer at the end: where it is, or behind the blocks that are moved; barrier
 *   3 copies of blocks that lie over others or over metadata; barrier
 *   4 entries of the BAT: moved blocks, and blocks that are forgotten
 *
 * After any prefix of it what could be read before reads as before, and the same repair goes on.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_MEND_H
#define INSTAR_GUEST_FORMATS_VPC_MEND_H

#include "guest/formats/vpc.h"
#include "guest/plan/op_list.h"

/* Filled with `vpc` alone, then initialized. */
struct vpc_mend {
    const struct vpc *vpc;
    struct op_list *list, *copies, *entries;
    uint64_t end; /* where the next moved block goes, bytes */
    bool end_bad; /* the footer at the end must be written */
    bool moves;   /* a block is moved */
};

enum guest_err vpc_mend_init(struct vpc_mend *mend, struct guest_err_detail *detail);
void vpc_mend_clear(struct vpc_mend *mend);

/* The footer at the start is written from the one that was found; the one at the end. */
enum guest_err vpc_mend_start(struct vpc_mend *mend, struct guest_err_detail *detail);
void vpc_mend_end(struct vpc_mend *mend);

/* in: dynamic: the header as it is, VPC_DYNAMIC_BYTES */
enum guest_err vpc_mend_checksum(struct vpc_mend *mend, struct span dynamic,
                                 struct guest_err_detail *detail);

/* The block is no longer there; the block gets a place of its own, with what it reads as now. */
enum guest_err vpc_mend_forget(struct vpc_mend *mend, uint32_t block,
                               struct guest_err_detail *detail);
enum guest_err vpc_mend_move(struct vpc_mend *mend, uint32_t block, uint64_t offset,
                             struct guest_err_detail *detail);

/* out: *out stays as it is when there is nothing to write */
enum guest_err vpc_mend_finish(struct vpc_mend *mend, struct plan **out,
                               struct guest_err_detail *detail);

#endif
