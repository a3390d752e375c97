/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitmap: the plan that changes the dirty bitmaps of an opened image, and the bits of one.
 */
#ifndef INSTAR_GUEST_PLAN_BITMAP_H
#define INSTAR_GUEST_PLAN_BITMAP_H

#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans the actions, in their order, as far as the first that fails: what was done before it is
 * planned all the same, as in stock.
 *
 * in:      node: opened read-write; the request's blob is the plan's from now on, also after a
 *          failure
 * out:     *out, to be freed with its verb; reply->nr_done, failure and lost. The node is not to be
 *          used after the plan; until its first op is taken, another one may be made
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for a format without bitmaps; what the format refuses
 * bound:   the tables of all bitmaps that change, and the directory (64 MiB)
 */
enum guest_err plan_bitmap(struct node *node, const struct bitmap_request *request,
                           Abi__BitmapReply *reply, struct plan **out,
                           struct guest_err_detail *detail);

/*
 * Reads bytes of a stored bitmap, serialized as qcow2 does; zeros past its end.
 *
 * out:     buf: request->length bytes
 * returns: GUEST_OK; GUEST_ERR_PLAN_BITMAP_NOT_FOUND; GUEST_ERR_NOT_SUPPORTED; GUEST_ERR_IO
 */
enum guest_err plan_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                uint8_t *buf, struct guest_err_detail *detail);

#endif
