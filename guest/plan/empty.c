/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/empty.h"

enum guest_err plan_empty(struct node *node, struct plan **out, struct guest_err_detail *detail)
{
    if (!node->driver->empty)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    return node->driver->empty(node, out, detail);
}
