/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/snapshot.h"

enum guest_err plan_snapshot(struct node *node, const Abi__SnapshotRequest *request,
                             struct plan **out, struct guest_err_detail *detail)
{
    if (!node->driver->snapshot)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    return node->driver->snapshot(node, request, out, detail);
}
