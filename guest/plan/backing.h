/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebase: the plan that makes an opened image name another backing file, or none.
 */
#ifndef INSTAR_GUEST_PLAN_BACKING_H
#define INSTAR_GUEST_PLAN_BACKING_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans the change of names alone: what clusters hold is not looked at.
 *
 * in:      node: opened read-write; the request's bytes outlive the call
 * out:     *out, to be freed with its verb; the node is not to be used after the plan
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for a format without backing files or with a header
 *          that cannot be changed; GUEST_ERR_PLAN_BACKING_RAW, _LONG, _FULL
 */
enum guest_err plan_backing(struct node *node, const Abi__BackingRequest *request,
                            struct plan **out, struct guest_err_detail *detail);

#endif
