/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/resize.h"

#include "guest/abi/error_plan.h"

enum guest_err plan_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    if (!node->driver->resize)
        return err_plain(detail, GUEST_ERR_PLAN_RESIZE_FORMAT);
    return node->driver->resize(node, request, out, detail);
}
