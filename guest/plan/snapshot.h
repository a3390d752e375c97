/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot: the plan that creates, applies or deletes an internal snapshot of an opened image.
 */
#ifndef INSTAR_GUEST_PLAN_SNAPSHOT_H
#define INSTAR_GUEST_PLAN_SNAPSHOT_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/format.h"
#include "guest/plan/plan.h"

/*
 * Plans the change.
 *
 * in:      node: opened read-write
 * out:     *out, to be freed with its verb; the node is not to be used after the plan
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for a format or an image without snapshots;
 *          GUEST_ERR_SNAPSHOT_NOT_FOUND; what the format refuses
 */
enum guest_err plan_snapshot(struct node *node, const Abi__SnapshotRequest *request,
                             struct plan **out, struct guest_err_detail *detail);

#endif
