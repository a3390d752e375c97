/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planned targets: images whose tables a cell keeps. See target_writer.h.
 */
#include <errno.h>
#include <sys/random.h>

#include "compat/wording.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/abi/writer.pb-c.h"
#include "src/copy/target_writer.h"
#include "src/wire/decode.h"

#define BLOBS_MAX CELL_BLOBS_MAX
#define UNIT_MAX  (2u << 20)

static struct endpoint *writer_blob(const struct target *target, guint32 blob)
{
    return writer_endpoint((const struct writer *)target, blob);
}

/* Zeros are entries in a table: there is nothing to write. */
static gboolean writer_zero(struct target *target, const struct cell_place *place,
                            struct target_fault *fault)
{
    return TRUE;
}

static void writer_done(struct target *target, const struct cell_place *places, guint nr)
{
    struct writer *writer = writer_of(target);

    pool_lock(target->pool);
    g_array_append_vals(writer->reports, places, nr);
    if (writer->reports->len >= WRITER_REPORTS_BATCH) {
        pool_tell(target->pool);
    }
    pool_unlock(target->pool);
}

static gboolean writer_serve(struct target *target, guint64 most_bytes, struct target_fault *fault)
{
    struct writer *writer = writer_of(target);
    gboolean wants;

    pool_lock(target->pool);
    writer->most_bytes = most_bytes;
    wants = writer->wants_lease;
    pool_unlock(target->pool);
    if (wants) {
        guint64 bytes = MIN(most_bytes, writer_next_lease(writer));

        if (!writer_fetch_lease(writer, MAX(bytes, target->shape.unit_bytes), fault)) {
            return FALSE;
        }
        pool_answer(target->pool);
    }
    return writer_place_waiting(writer, fault) && writer_pass_reports(writer, FALSE, fault);
}

static void writer_abandon(struct target *target)
{
    pool_lock(target->pool);
    writer_of(target)->abandoned = TRUE;
    pool_unlock(target->pool);
    pool_answer(target->pool);
}

static gboolean writer_finish(struct target *target, struct target_fault *fault)
{
    struct writer *writer = writer_of(target);
    Abi__WriterFinishRequest request = ABI__WRITER_FINISH_REQUEST__INIT;
    ProtobufCMessage *message;

    if (!writer_pass_reports(writer, TRUE, fault)) {
        return FALSE;
    }
    request.unused_offset = lease_unused(&writer->lease);
    if (!writer_call(writer, CELL_METHOD_WRITER_FINISH, &request.base, NULL,
                     &abi__plan_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    protobuf_c_message_free_unpacked(message, NULL);
    if (!writer_apply(writer, fault)) {
        return FALSE;
    }
    for (guint i = 0; i < writer->nr_blobs; i++) {
        int err = endpoint_flush(writer->blobs[i].endpoint);

        if (err != 0) {
            return target_errno(fault, err);
        }
    }
    return TRUE;
}

static void writer_free(struct target *target)
{
    struct writer *writer = writer_of(target);

    for (guint i = 0; i < writer->nr_blobs; i++) {
        endpoint_unref(writer->blobs[i].endpoint);
    }
    g_array_unref(writer->reports);
    g_free(writer->blobs);
    g_free(writer);
}

static const struct target_ops writer_ops = {
    .room = writer_room,
    .zero = writer_zero,
    .done = writer_done,
    .serve = writer_serve,
    .abandon = writer_abandon,
    .finish = writer_finish,
    .blob = writer_blob,
    .free = writer_free,
};

static gboolean open_writer(struct writer *writer, const struct target_writer_options *options,
                            struct target_fault *fault)
{
    Abi__WriterOpenRequest request = ABI__WRITER_OPEN_REQUEST__INIT;
    ProtobufCMessage *message;
    Abi__WriterOpenReply *reply;
    struct target_shape *shape = &writer->target.shape;
    gboolean ok;

    request.node = options->node;
    request.fresh = options->fresh;
    request.compressed = options->compressed;
    request.keep_zeros = options->keep_zeros;
    request.bitmaps_told = options->bitmaps_told;
    if (getrandom(&request.random, sizeof(request.random), 0) != sizeof(request.random)) {
        return target_errno(fault, errno);
    }
    request.same_disk = options->same_disk;
    if (!writer_call(writer, CELL_METHOD_WRITER_OPEN, &request.base, NULL,
                     &abi__writer_open_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    reply = (Abi__WriterOpenReply *)message;
    writer->data_blob = reply->data_blob;
    writer->leases = reply->lease;
    writer->linear = reply->linear;
    writer->linear_offset = reply->linear_offset;
    writer->lease.unit = reply->unit;
    writer->lease.align = MAX(reply->comp_align, 1);
    writer->lease.max_sharers = reply->max_sharers;
    *shape = (struct target_shape){
        .unit_bytes = reply->unit,
        /* Room is found for whole units where clusters may exist already. */
        .zero_bytes = reply->lease || reply->linear ? reply->zero_unit : reply->unit,
        .size_bytes = options->size_bytes,
        .reads_zero = reply->zero_by_default || options->reads_zero,
        .compresses = options->compressed,
        .stays_sorted = reply->linear,
        .plain_zeros = reply->plain_zeros,
        .asks_often = !reply->lease && !reply->linear,
        .data = writer_endpoint(writer, reply->data_blob),
    };
    ok = shape->data != NULL && shape->unit_bytes >= 512 && shape->unit_bytes <= UNIT_MAX &&
         (shape->unit_bytes & (shape->unit_bytes - 1)) == 0 && shape->zero_bytes >= 512 &&
         shape->unit_bytes % shape->zero_bytes == 0 &&
         writer->linear_offset <= WRITER_OFFSET_MAX - options->size_bytes &&
         writer->lease.align <= 512;
    protobuf_c_message_free_unpacked(message, NULL);
    return ok || writer_refuse(fault, "writer");
}

struct target *target_new_writer(const struct target_writer_options *options, GError **error)
{
    struct writer *writer = g_new0(struct writer, 1);
    struct target_fault fault;

    g_assert(options->nr_blobs <= BLOBS_MAX);
    writer->blobs = g_new(struct apply_target, MAX(options->nr_blobs, 1));
    writer->target.ops = &writer_ops;
    writer->cell = options->cell;
    writer->reports = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
    for (guint i = 0; i < options->nr_blobs; i++) {
        writer->blobs[i] = options->blobs[i];
        endpoint_ref(writer->blobs[i].endpoint);
    }
    writer->nr_blobs = options->nr_blobs;
    if (!open_writer(writer, options, &fault)) {
        if (fault.error == NULL) {
            g_set_error_literal(&fault.error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM,
                                g_strerror(fault.error_number));
        }
        g_propagate_error(error, fault.error);
        target_free(&writer->target);
        return NULL;
    }
    return &writer->target;
}
