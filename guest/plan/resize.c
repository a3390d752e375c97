/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/resize.h"

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_resize.h"

enum guest_err plan_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    if (node->driver == &format_qcow2)
        return qcow2_resize_plan(node, request, out, detail);
    return err_plain(detail, GUEST_ERR_PLAN_RESIZE_FORMAT);
}
