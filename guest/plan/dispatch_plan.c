/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE, RESIZE, SNAPSHOT, BACKING, EMPTY, MEASURE, and PLAN_NEXT, which drains whatever plan was
 * started last.
 */
#include "guest/abi/plan.pb-c.h"
#include "guest/formats/luks_amend.h"
#include "guest/lib/checked.h"
#include "guest/plan/backing.h"
#include "guest/plan/create.h"
#include "guest/plan/dispatch.h"
#include "guest/plan/empty.h"
#include "guest/plan/measure.h"
#include "guest/plan/resize.h"
#include "guest/plan/snapshot.h"

/* The session drains one plan at a time: a new one replaces what is left of the old. */
uint64_t session_start_plan(struct session *session, struct plan *plan)
{
    if (session->plan)
        session->plan->verbs->free(session->plan);
    session->plan = plan;
    return plan->file_size;
}

static void start_plan(struct session *session, struct plan *plan, Abi__PlanReply *reply)
{
    reply->new_files = plan->new_files;
    reply->replaces_text = plan->replaces_text;
    reply->unfinished = plan->unfinished;
    reply->file_size = session_start_plan(session, plan);
    reply->streamed = true;
}

static enum guest_err run_create(struct session *session, const ProtobufCMessage *request,
                                 ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    struct plan *plan = NULL;
    enum guest_err err = plan_create((const Abi__CreateRequest *)request, &plan, detail);
    if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_resize(struct session *session, const ProtobufCMessage *request,
                                 ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__ResizeRequest *q = (const Abi__ResizeRequest *)request;
    struct node *node = session_node(session, q->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = plan_resize(node, q, &plan, detail);
    if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_keyslot(struct session *session, const ProtobufCMessage *request,
                                  ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__KeyslotRequest *q = (const Abi__KeyslotRequest *)request;
    struct node *node = session_node(session, q->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = luks_amend_plan(node, q, &plan, detail);
    if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_snapshot(struct session *session, const ProtobufCMessage *request,
                                   ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__SnapshotRequest *q = (const Abi__SnapshotRequest *)request;
    struct node *node = session_node(session, q->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = plan_snapshot(node, q, &plan, detail);
    if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_backing(struct session *session, const ProtobufCMessage *request,
                                  ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__BackingRequest *q = (const Abi__BackingRequest *)request;
    struct node *node = session_node(session, q->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = plan_backing(node, q, &plan, detail);
    if (!err && q->check_only)
        plan->verbs->free(plan);
    else if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_empty(struct session *session, const ProtobufCMessage *request,
                                ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    struct node *node = session_node(session, ((const Abi__EmptyRequest *)request)->node);
    struct plan *plan = NULL;
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    enum guest_err err = plan_empty(node, &plan, detail);
    if (!err)
        start_plan(session, plan, (Abi__PlanReply *)reply);
    return err;
}

static enum guest_err run_plan_next(struct session *session, const ProtobufCMessage *request,
                                    ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    Abi__PlanNextReply *r = (Abi__PlanNextReply *)reply;
    struct plan *plan = session->plan;

    (void)request;
    if (!plan)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    struct plan_sink sink = {
        .ops = (struct cell_op *)session->records,
        .max_ops = (uint32_t)(session->records_bytes / sizeof(struct cell_op)),
        .window = session->window,
        .window_size = min_u64(session->window_bytes, PLAN_WINDOW_BYTES),
    };
    bool done = false;
    enum guest_err err = plan->verbs->next(plan, &sink, &done, detail);
    if (err || done) {
        plan->verbs->free(plan);
        session->plan = NULL;
    }
    if (err)
        return err;
    r->nr_records = sink.nr_ops;
    r->done = done;
    return GUEST_OK;
}

static enum guest_err run_measure(struct session *session, const ProtobufCMessage *request,
                                  ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    (void)session;
    return plan_measure((const Abi__MeasureRequest *)request, (Abi__MeasureReply *)reply, detail);
}

const struct method methods_plan[] = {
    {CELL_METHOD_CREATE, &abi__create_request__descriptor, &abi__plan_reply__descriptor,
     run_create},
    {CELL_METHOD_RESIZE, &abi__resize_request__descriptor, &abi__plan_reply__descriptor,
     run_resize},
    {CELL_METHOD_KEYSLOT, &abi__keyslot_request__descriptor, &abi__plan_reply__descriptor,
     run_keyslot},
    {CELL_METHOD_SNAPSHOT, &abi__snapshot_request__descriptor, &abi__plan_reply__descriptor,
     run_snapshot},
    {CELL_METHOD_BACKING, &abi__backing_request__descriptor, &abi__plan_reply__descriptor,
     run_backing},
    {CELL_METHOD_EMPTY, &abi__empty_request__descriptor, &abi__plan_reply__descriptor, run_empty},
    {CELL_METHOD_PLAN_NEXT, &abi__plan_next_request__descriptor, &abi__plan_next_reply__descriptor,
     run_plan_next},
    {CELL_METHOD_MEASURE, &abi__measure_request__descriptor, &abi__measure_reply__descriptor,
     run_measure},
    {0},
};
