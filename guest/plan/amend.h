/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amend: the plan of one step that changes the options of an existing image.
 */
#ifndef INSTAR_GUEST_PLAN_AMEND_H
#define INSTAR_GUEST_PLAN_AMEND_H

#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans one step.
 *
 * in:      node: opened read-write
 * out:     *out, to be freed with its verb; the node is not to be used after the plan
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for a format without such options; what the format
 *          refuses
 */
enum guest_err plan_amend(struct node *node, const Abi__AmendRequest *request, struct plan **out,
                          struct guest_err_detail *detail);

#endif
