/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/bitmap.h"

enum guest_err plan_bitmap(struct node *node, const struct bitmap_request *request,
                           Abi__BitmapReply *reply, struct plan **out,
                           struct guest_err_detail *detail)
{
    if (node->driver->bitmap)
        return node->driver->bitmap(node, request, reply, out, detail);
    if (request->blob)
        source_free(request->blob);
    return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
}

enum guest_err plan_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                uint8_t *buf, struct guest_err_detail *detail)
{
    if (!node->driver->bitmap_read)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    return node->driver->bitmap_read(node, request, buf, detail);
}
