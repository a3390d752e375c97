/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resize: the plan that gives an opened image another virtual size.
 */
#ifndef INSTAR_GUEST_PLAN_RESIZE_H
#define INSTAR_GUEST_PLAN_RESIZE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans the new size.
 *
 * in:      node: opened read-write, its chain linked: what a longer backing file would show in the
 *          new area must read as zeros
 * out:     *out, to be freed with its verb
 * returns: GUEST_OK; GUEST_ERR_PLAN_RESIZE_FORMAT for a format without it; what the format refuses
 */
enum guest_err plan_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail);

#endif
