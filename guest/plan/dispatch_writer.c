/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WRITER_*: the target's planner during a copy. Plans that become due are left in the session, for
 * PLAN_NEXT to drain.
 */
#include <stdlib.h>

#include "guest/abi/plan.pb-c.h"
#include "guest/abi/writer.pb-c.h"
#include "guest/formats/writer.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/dispatch.h"

static void fill_shape(const struct image_writer_shape *shape, Abi__WriterOpenReply *r)
{
    r->unit = shape->unit;
    r->lease = shape->lease;
    r->data_blob = shape->data_blob;
    r->max_sharers = shape->max_sharers;
    r->zero_by_default = shape->zero_by_default;
    r->comp_align = max_u64(shape->comp_align, 1);
    r->linear = shape->linear;
    r->linear_offset = shape->linear_offset;
    r->zero_unit = shape->zero_unit;
    r->plain_zeros = shape->plain_zeros;
}

static enum guest_err run_open(struct session *session, const ProtobufCMessage *request,
                               ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__WriterOpenRequest *q = (const Abi__WriterOpenRequest *)request;
    Abi__WriterOpenReply *r = (Abi__WriterOpenReply *)reply;
    struct image_writer_options options = {.fresh = q->fresh,
                                           .compressed = q->compressed,
                                           .keep_zeros = q->keep_zeros,
                                           .bitmaps_told = q->bitmaps_told,
                                           .same_disk = q->same_disk,
                                           .random = q->random};
    struct image_writer *writer;
    struct node *node = session_node(session, q->node);
    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (!node->driver->writer_open)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    enum guest_err err = node->driver->writer_open(node, &options, &writer, detail);
    if (err)
        return err;
    if (session->writer)
        session->writer->verbs->free(session->writer);
    session->writer = writer;
    session->plan = NULL;
    fill_shape(&writer->shape, r);
    return GUEST_OK;
}

/* A writer, and no plan of it that was not drained to its end. */
static enum guest_err need_writer(const struct session *session, struct guest_err_detail *detail)
{
    return session->writer && !session->plan ? GUEST_OK : err_plain(detail, GUEST_ERR_BAD_REQUEST);
}

static bool plan_if_wanted(struct session *session)
{
    struct image_writer *writer = session->writer;
    if (!writer->verbs->wants_plan(writer))
        return false;
    session->plan = writer->verbs->plan(writer);
    return true;
}

static enum guest_err run_lease(struct session *session, const ProtobufCMessage *request,
                                ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__WriterLeaseRequest *q = (const Abi__WriterLeaseRequest *)request;
    Abi__WriterLeaseReply *r = (Abi__WriterLeaseReply *)reply;
    struct image_writer *writer = session->writer;
    enum guest_err err = need_writer(session, detail);
    if (err)
        return err;
    if (!writer->verbs->lease)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return writer->verbs->lease(writer, q->bytes, &r->offset, &r->bytes, detail);
}

/* The records that came with the call, copied: replies go to the same place. */
static enum guest_err take_records(const struct session *session, uint32_t nr,
                                   struct cell_place **out, struct guest_err_detail *detail)
{
    if (nr > session->nr_records || nr > session->records_bytes / sizeof(**out))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    *out = arena_array(nr, sizeof(**out));
    if (!*out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(*out, session->records, nr * sizeof(**out));
    return GUEST_OK;
}

static enum guest_err run_place(struct session *session, const ProtobufCMessage *request,
                                ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    uint32_t nr = ((const Abi__WriterPlaceRequest *)request)->nr_records;
    Abi__WriterPlaceReply *r = (Abi__WriterPlaceReply *)reply;
    struct image_writer *writer = session->writer;
    struct cell_place *runs = NULL;
    enum guest_err err = need_writer(session, detail);
    if (!err && !writer->verbs->place)
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!err)
        err = take_records(session, nr, &runs, detail);
    if (!err)
        err = writer->verbs->place(writer, runs, nr, (struct cell_place *)session->records,
                                   (uint32_t)(session->records_bytes / sizeof(*runs)),
                                   &r->nr_records, detail);
    free(runs);
    if (!err)
        r->plan_pending = plan_if_wanted(session);
    return err;
}

static enum guest_err run_commit(struct session *session, const ProtobufCMessage *request,
                                 ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    uint32_t nr = ((const Abi__WriterCommitRequest *)request)->nr_records;
    struct cell_place *runs = NULL;
    enum guest_err err = need_writer(session, detail);
    if (!err)
        err = take_records(session, nr, &runs, detail);
    if (!err)
        err = session->writer->verbs->commit(session->writer, runs, nr, detail);
    free(runs);
    if (!err)
        ((Abi__WriterCommitReply *)reply)->plan_pending = plan_if_wanted(session);
    return err;
}

static enum guest_err run_finish(struct session *session, const ProtobufCMessage *request,
                                 ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    Abi__PlanReply *r = (Abi__PlanReply *)reply;
    enum guest_err err = need_writer(session, detail);
    if (err)
        return err;
    session->plan = session->writer->verbs->finish(
        session->writer, ((const Abi__WriterFinishRequest *)request)->unused_offset);
    r->file_size = session->plan->file_size;
    r->streamed = true;
    return GUEST_OK;
}

const struct method methods_writer[] = {
    {CELL_METHOD_WRITER_OPEN, &abi__writer_open_request__descriptor,
     &abi__writer_open_reply__descriptor, run_open},
    {CELL_METHOD_WRITER_LEASE, &abi__writer_lease_request__descriptor,
     &abi__writer_lease_reply__descriptor, run_lease},
    {CELL_METHOD_WRITER_PLACE, &abi__writer_place_request__descriptor,
     &abi__writer_place_reply__descriptor, run_place},
    {CELL_METHOD_WRITER_COMMIT, &abi__writer_commit_request__descriptor,
     &abi__writer_commit_reply__descriptor, run_commit},
    {CELL_METHOD_WRITER_FINISH, &abi__writer_finish_request__descriptor,
     &abi__plan_reply__descriptor, run_finish},
    {0},
};
