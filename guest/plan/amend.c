/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/amend.h"

enum guest_err plan_amend(struct node *node, const Abi__AmendRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    if (!node->driver->amend)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    return node->driver->amend(node, request, out, detail);
}
