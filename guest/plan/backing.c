/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/backing.h"

enum guest_err plan_backing(struct node *node, const Abi__BackingRequest *request,
                            struct plan **out, struct guest_err_detail *detail)
{
    if (!node->driver->change_backing)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    return node->driver->change_backing(node, request, out, detail);
}
