/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BITMAP, BITMAP_READ, and AMEND.
 */
#include "guest/abi/cell.pb-c.h"
#include "guest/plan/amend.h"
#include "guest/plan/bitmap.h"
#include "guest/plan/dispatch.h"

static enum guest_err run_bitmap(struct session *session, const ProtobufCMessage *message,
                                 ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__BitmapRequest *request = (const Abi__BitmapRequest *)message;
    Abi__BitmapReply *reply = (Abi__BitmapReply *)out;
    struct bitmap_request with_blob = {.message = request};
    struct node *node = session_node(session, request->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (request->blob_size) {
        with_blob.blob = session->new_source(session, request->blob, request->blob_size);
        if (!with_blob.blob)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    enum guest_err err = plan_bitmap(node, &with_blob, reply, &plan, detail);
    if (!err)
        reply->file_size = session_start_plan(session, plan);
    return err;
}

static enum guest_err run_bitmap_read(struct session *session, const ProtobufCMessage *message,
                                      ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__BitmapReadRequest *request = (const Abi__BitmapReadRequest *)message;
    struct node *node = session_node(session, request->node);
    (void)out;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (request->length == 0 || request->length > session->window_bytes ||
        request->offset > INT64_MAX - request->length)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return plan_bitmap_read(node, request, session->window, detail);
}

static enum guest_err run_amend(struct session *session, const ProtobufCMessage *message,
                                ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__AmendRequest *request = (const Abi__AmendRequest *)message;
    Abi__PlanReply *reply = (Abi__PlanReply *)out;
    struct node *node = session_node(session, request->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = plan_amend(node, request, &plan, detail);
    if (!err) {
        reply->file_size = session_start_plan(session, plan);
        reply->streamed = true;
    }
    return err;
}

const struct method methods_bitmap[] = {
    {CELL_METHOD_AMEND, &abi__amend_request__descriptor, &abi__plan_reply__descriptor, run_amend},
    {CELL_METHOD_BITMAP, &abi__bitmap_request__descriptor, &abi__bitmap_reply__descriptor,
     run_bitmap},
    {CELL_METHOD_BITMAP_READ, &abi__bitmap_read_request__descriptor, &abi__status_reply__descriptor,
     run_bitmap_read},
    {0},
};
