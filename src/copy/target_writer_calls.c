/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the cell that plans a target, and what its answers must look like.
 */
#include <stdlib.h>

#include "compat/wording.h"
#include "guest/abi/error_vmdk.h"
#include "guest/abi/writer.pb-c.h"
#include "src/copy/target_writer.h"
#include "src/wire/decode.h"

#define LEASE_UNITS   128u /* the least lease is as many units, within these two: */
#define LEASE_MIN     (1ull << 20)
#define LEASE_MIN_MAX (8ull << 20)
#define LEASE_MAX     (64ull << 20)
#define LEASE_ALIGN   512u /* not every format has its units on multiples of them */

gboolean writer_call(struct writer *writer, enum cell_method method,
                     const ProtobufCMessage *request, const GArray *places,
                     const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
                     struct target_fault *fault)
{
    GError *error = NULL;

    if (!cell_call(writer->cell, method, request, places ? places->data : NULL,
                   places ? places->len : 0, sizeof(struct cell_place), type, out, &error)) {
        return target_error(fault, error);
    }
    /* Every reply starts with its error field. */
    struct any_reply {
        ProtobufCMessage base;
        Abi__Error *error;
    };
    if (!wire_check_error(((struct any_reply *)*out)->error, NULL, &error)) {
        protobuf_c_message_free_unpacked(*out, NULL);
        return target_error(fault, error);
    }
    return TRUE;
}

gboolean writer_refuse(struct target_fault *fault, const char *what)
{
    GError *error = NULL;

    wire_refuse(&error, what);
    return target_error(fault, error);
}

gboolean writer_apply(struct writer *writer, struct target_fault *fault)
{
    GError *error = NULL;
    enum cell_op_note note;
    int error_number = 0;

    if (apply_plan(writer->cell, writer->blobs, writer->nr_blobs, &error_number, &note, &error)) {
        return TRUE;
    }
    *fault = (struct target_fault){.error_number = error_number, .error = error};
    return FALSE;
}

/*
 * How much room to ask for next. What is left at the end is given back, but tables that are
 * written before may have to go behind a lease that is not used up yet. So its size is a fraction
 * of what was used, and not less than what several workers write while the next is fetched; small
 * units fill tables so fast that they are written early.
 */
guint64 writer_next_lease(const struct writer *writer)
{
    guint64 least = CLAMP(writer->target.shape.unit_bytes * LEASE_UNITS, LEASE_MIN, LEASE_MIN_MAX);

    return CLAMP(writer->leased_bytes / 8, least, LEASE_MAX);
}

gboolean writer_fetch_lease(struct writer *writer, guint64 bytes, struct target_fault *fault)
{
    Abi__WriterLeaseRequest request = ABI__WRITER_LEASE_REQUEST__INIT;
    ProtobufCMessage *message;
    guint64 offset, given, unit = writer->target.shape.unit_bytes;

    request.bytes = (bytes + unit - 1) / unit * unit;
    if (!writer_call(writer, CELL_METHOD_WRITER_LEASE, &request.base, NULL,
                     &abi__writer_lease_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    offset = ((Abi__WriterLeaseReply *)message)->offset;
    given = ((Abi__WriterLeaseReply *)message)->bytes;
    protobuf_c_message_free_unpacked(message, NULL);
    if (offset % LEASE_ALIGN != 0 || given % unit != 0 || given == 0 ||
        offset > WRITER_OFFSET_MAX || given > WRITER_OFFSET_MAX) {
        return writer_refuse(fault, "lease");
    }
    pool_lock(writer->target.pool);
    lease_add(&writer->lease, offset, given);
    writer->leased_bytes += given;
    writer->wants_lease = FALSE;
    pool_unlock(writer->target.pool);
    return TRUE;
}

static int by_start(const void *a, const void *b)
{
    const struct cell_place *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Joins runs that continue each other both in the virtual disk and in the blob. */
static void join_places(GArray *places)
{
    struct cell_place *rows = (struct cell_place *)places->data;
    guint kept = 0;

    for (guint i = 1; i < places->len; i++) {
        struct cell_place *last = &rows[kept], *row = &rows[i];

        if (row->kind == last->kind && row->kind != CELL_PLACE_COMPRESSED &&
            row->start == last->start + last->length &&
            (row->kind == CELL_PLACE_ZERO || row->offset == last->offset + last->length)) {
            last->length += row->length;
        } else {
            rows[++kept] = *row;
        }
    }
    if (places->len > 0) {
        g_array_set_size(places, kept + 1);
    }
}

static gboolean commit(struct writer *writer, GArray *places, struct target_fault *fault)
{
    Abi__WriterCommitRequest request = ABI__WRITER_COMMIT_REQUEST__INIT;
    ProtobufCMessage *message;
    gboolean pending;

    qsort(places->data, places->len, sizeof(struct cell_place), by_start);
    join_places(places);
    request.nr_records = places->len;
    if (!writer_call(writer, CELL_METHOD_WRITER_COMMIT, &request.base, places,
                     &abi__writer_commit_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    pending = ((Abi__WriterCommitReply *)message)->plan_pending;
    protobuf_c_message_free_unpacked(message, NULL);
    return !pending || writer_apply(writer, fault);
}

/* Passes reports on: all of them, or only when there are enough to be worth a call. */
gboolean writer_pass_reports(struct writer *writer, gboolean all, struct target_fault *fault)
{
    for (;;) {
        GArray *batch =
            g_array_sized_new(FALSE, FALSE, sizeof(struct cell_place), WRITER_REPORTS_BATCH);
        gboolean ok = TRUE;
        guint nr;

        pool_lock(writer->target.pool);
        nr = writer->reports->len;
        if (all || nr >= WRITER_REPORTS_BATCH) {
            nr = MIN(nr, WRITER_REPORTS_BATCH);
            g_array_append_vals(batch, writer->reports->data, nr);
            g_array_remove_range(writer->reports, 0, nr);
        }
        pool_unlock(writer->target.pool);
        if (batch->len > 0) {
            ok = commit(writer, batch, fault);
        }
        nr = batch->len;
        g_array_unref(batch);
        if (!ok || nr < WRITER_REPORTS_BATCH) {
            return ok;
        }
    }
}

struct endpoint *writer_endpoint(const struct writer *writer, guint32 blob)
{
    guint low = 0, high = writer->nr_blobs;

    while (low < high) {
        guint middle = (low + high) / 2;

        if (writer->blobs[middle].blob == blob) {
            return writer->blobs[middle].endpoint;
        }
        if (writer->blobs[middle].blob < blob) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Checks placed runs against what was asked: the same runs, perhaps in more pieces. */
static gboolean same_runs(const struct writer *writer, const GArray *asked,
                          const struct cell_place *placed, guint nr)
{
    guint a = 0;
    guint64 covered = 0; /* of asked run a */

    for (guint i = 0; i < nr; i++) {
        const struct cell_place *want = &g_array_index(asked, struct cell_place, a);

        if (a == asked->len || placed[i].kind != want->kind ||
            placed[i].comp_len != want->comp_len || placed[i].start != want->start + covered ||
            placed[i].length == 0 || placed[i].length > want->length - covered ||
            placed[i].offset > WRITER_OFFSET_MAX ||
            (want->kind != CELL_PLACE_ZERO && writer_endpoint(writer, placed[i].blob) == NULL)) {
            return FALSE;
        }
        covered += placed[i].length;
        if (covered == want->length) {
            covered = 0;
            a++;
        }
    }
    return a == asked->len;
}

/*
 * Runs that the format does not take fail as the write of them would in stock.
 *
 * out:     *refused: the errno, and the fault is none of the writer's
 */
static gboolean refuse_runs(struct target_fault *fault, int *refused)
{
    uint32_t code = fault->error != NULL ? wire_error_code(fault->error) : 0;

    if (code != VMDK_ERR_STREAM_ALLOCATED && code != GUEST_ERR_INVALID) {
        return FALSE;
    }
    if (code == VMDK_ERR_STREAM_ALLOCATED) {
        report_gerror(fault->error);
    }
    *refused = wire_error_errno(fault->error);
    g_clear_error(&fault->error);
    return TRUE;
}

/* Places runs; what the format refuses is no failure yet. */
gboolean writer_place_run(struct writer *writer, GArray *places, int *refused,
                          struct target_fault *fault)
{
    Abi__WriterPlaceRequest request = ABI__WRITER_PLACE_REQUEST__INIT;
    g_autofree struct cell_place *placed = NULL;
    ProtobufCMessage *message;
    GError *error = NULL;
    gboolean pending;
    guint nr;

    request.nr_records = places->len;
    if (!writer_call(writer, CELL_METHOD_WRITER_PLACE, &request.base, places,
                     &abi__writer_place_reply__descriptor, &message, fault)) {
        return refuse_runs(fault, refused);
    }
    nr = ((Abi__WriterPlaceReply *)message)->nr_records;
    pending = ((Abi__WriterPlaceReply *)message)->plan_pending;
    protobuf_c_message_free_unpacked(message, NULL);
    if (nr > CELL_PLACES_MAX) {
        return writer_refuse(fault, "placed runs");
    }
    placed = g_new(struct cell_place, MAX(nr, 1));
    if (!cell_take_records(writer->cell, placed, nr, sizeof(*placed), &error)) {
        return target_error(fault, error);
    }
    if (!same_runs(writer, places, placed, nr)) {
        return writer_refuse(fault, "placed runs");
    }
    g_array_set_size(places, 0);
    g_array_append_vals(places, placed, nr);
    return !pending || writer_apply(writer, fault);
}

gboolean writer_place_waiting(struct writer *writer, struct target_fault *fault)
{
    for (;;) {
        struct placing *wait;
        gboolean ok;

        pool_lock(writer->target.pool);
        wait = writer->waits;
        if (wait != NULL) {
            writer->waits = wait->next;
            wait->taken = TRUE;
        }
        pool_unlock(writer->target.pool);
        if (wait == NULL) {
            return TRUE;
        }
        ok = writer_place_run(writer, wait->places, &wait->refused, fault);
        pool_lock(writer->target.pool);
        wait->failed = !ok;
        wait->done = TRUE;
        pool_unlock(writer->target.pool);
        pool_answer(writer->target.pool);
        if (!ok) {
            return FALSE;
        }
    }
}
