/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing a qcow2 image.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_RESIZE_H
#define INSTAR_GUEST_FORMATS_QCOW2_RESIZE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans a larger virtual size, with what preallocation asks for.
 *
 * returns: GUEST_OK; GUEST_ERR_PLAN_SIZE_UNALIGNED, _V2_SNAPSHOTS, _L1_TOO_LARGE,
 *          _RESIZE_BITMAPS, _BITMAP_IN_USE, _RESIZE_OCCUPIED, _ZERO_V2, _DIRTY, _ENCRYPTED,
 *          _CORRUPT; GUEST_ERR_NO_MEMORY; GUEST_ERR_IO
 * bound:   time and memory in proportion to the L1 table and to the L2 tables and refcount blocks
 *          that are new
 */
enum guest_err qcow2_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                                 struct plan **out, struct guest_err_detail *detail);

#endif
