/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the options of an existing qcow2 image, one step a plan:
 *
 *   header    version 3, lazy refcounts, the data file's name: qcow2_header_edit.h alone
 *   recount   another width of refcounts: all blocks and the table are written anew to free
 *             clusters, then the header switches; the new blocks count the old ones as free, so
 *             that every prefix is the old or the new image
 *   downgrade version 2 has no entry that reads as zeros: such entries go, or get clusters of
 *             zeros, in place; every prefix is a version 3 image of the same content. Then the
 *             header switches
 *
 * source: qcow2 specification; what stock refuses and in which order, observed with 7.2 to 11.1,
 * see tests/diff/cases/amend.cases.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_AMEND_H
#define INSTAR_GUEST_FORMATS_QCOW2_AMEND_H

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2.h"
#include "guest/formats/qcow2_header_edit.h"

/* Plans one step. See guest/plan/amend.h. */
enum guest_err qcow2_amend_plan(struct node *node, const Abi__AmendRequest *request,
                                struct plan **out, struct guest_err_detail *detail);

/* ---- what follows is for the qcow2_amend_*.c files ---- */

/*
 * qcow2_amend_recount.c: refcounts of 1 << order bits.
 *
 * returns: GUEST_ERR_PLAN_AMEND_DECREASE when a count does not fit; GUEST_ERR_PLAN_TABLE_FULL;
 *          GUEST_ERR_PLAN_CORRUPT
 * bound:   every refcount block three times; memory of one byte for each new block
 */
enum guest_err qcow2_recount_plan(struct node *node, unsigned order, struct plan **out,
                                  struct guest_err_detail *detail);

/*
 * qcow2_amend_downgrade.c: version 2.
 *
 * returns: GUEST_ERR_PLAN_AMEND_*; GUEST_ERR_PLAN_CORRUPT
 * bound:   every L2 table of the image and its snapshots twice
 */
enum guest_err qcow2_downgrade_plan(struct node *node, struct plan **out,
                                    struct guest_err_detail *detail);

#endif
