/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/snapshot.h"

#include "guest/formats/qcow2_snapshot_plan.h"

enum guest_err plan_snapshot(struct node *node, const Abi__SnapshotRequest *request,
                             struct plan **out, struct guest_err_detail *detail)
{
    if (node->driver == &format_qcow2)
        return qcow2_snapshot_plan(node, request, out, detail);
    return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
}
