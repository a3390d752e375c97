/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: the plan that empties an overlay whose contents its backing file has now.
 */
#ifndef INSTAR_GUEST_PLAN_EMPTY_H
#define INSTAR_GUEST_PLAN_EMPTY_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans that nothing is allocated in the image any more; snapshots and bitmaps stay.
 *
 * in:      node: opened read-write
 * out:     *out, to be freed with its verb; the node is not to be used after the plan
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for a format that cannot; what the format refuses
 */
enum guest_err plan_empty(struct node *node, struct plan **out, struct guest_err_detail *detail);

#endif
