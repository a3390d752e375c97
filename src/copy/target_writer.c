/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planned targets: the cell's WRITER_* methods, called from the feeder's thread alone.
 *
 * What the cell answers is checked before it is used: room lies where offsets cannot overflow, a
 * placed run covers exactly what was asked for. A cell that lies can spoil the image it plans, and
 * nothing else: bytes go to the endpoints the copy was given, and to no other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "compat/wording.h"
#include "guest/abi/error_vmdk.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/abi/writer.pb-c.h"
#include "src/copy/lease.h"
#include "src/copy/target_ops.h"
#include "src/wire/decode.h"

#define BLOBS_MAX     CELL_BLOBS_MAX
#define LEASE_UNITS   128u /* the least lease is as many units, within these two: */
#define LEASE_MIN     (1ull << 20)
#define LEASE_MIN_MAX (8ull << 20)
#define LEASE_MAX     (64ull << 20)
#define LEASE_ALIGN   512u  /* not every format has its units on multiples of them */
#define REPORTS_BATCH 4096u /* places reported in one call */
#define OFFSET_MAX    (1ull << 62)
#define UNIT_MAX      (2u << 20)

/* A worker that waits for its runs to be placed. */
struct placing {
    GArray *places;
    gboolean taken; /* the feeder looks at it: the worker may not leave before it is done */
    gboolean done;
    gboolean failed;
    int refused; /* errno with which the format does not take the runs */
    struct placing *next;
};

struct writer {
    struct target target;
    struct cell *cell;
    struct apply_target *blobs; /* sorted by id */
    guint nr_blobs;
    guint32 data_blob;
    gboolean leases, linear;
    guint64 linear_offset;

    /* Under the pool's lock. */
    struct lease lease;
    guint64 leased_bytes;  /* all in all */
    guint64 most_bytes;    /* upper bound of what may still come */
    gboolean wants_lease;  /* a worker found too little */
    struct placing *waits; /* oldest first */
    GArray *reports;       /* of struct cell_place */
    gboolean abandoned;
};

static const struct target_ops writer_ops;

static struct writer *writer_of(struct target *target)
{
    return (struct writer *)target;
}

/* ---- calls ---- */

static gboolean call(struct writer *writer, enum cell_method method,
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

static gboolean refuse(struct target_fault *fault, const char *what)
{
    GError *error = NULL;

    wire_refuse(&error, what);
    return target_error(fault, error);
}

static gboolean apply(struct writer *writer, struct target_fault *fault)
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
static guint64 next_lease(const struct writer *writer)
{
    guint64 least = CLAMP(writer->target.shape.unit_bytes * LEASE_UNITS, LEASE_MIN, LEASE_MIN_MAX);

    return CLAMP(writer->leased_bytes / 8, least, LEASE_MAX);
}

static gboolean fetch_lease(struct writer *writer, guint64 bytes, struct target_fault *fault)
{
    Abi__WriterLeaseRequest request = ABI__WRITER_LEASE_REQUEST__INIT;
    ProtobufCMessage *message;
    guint64 offset, given, unit = writer->target.shape.unit_bytes;

    request.bytes = (bytes + unit - 1) / unit * unit;
    if (!call(writer, CELL_METHOD_WRITER_LEASE, &request.base, NULL,
              &abi__writer_lease_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    offset = ((Abi__WriterLeaseReply *)message)->offset;
    given = ((Abi__WriterLeaseReply *)message)->bytes;
    protobuf_c_message_free_unpacked(message, NULL);
    if (offset % LEASE_ALIGN != 0 || given % unit != 0 || given == 0 || offset > OFFSET_MAX ||
        given > OFFSET_MAX) {
        return refuse(fault, "lease");
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
    if (!call(writer, CELL_METHOD_WRITER_COMMIT, &request.base, places,
              &abi__writer_commit_reply__descriptor, &message, fault)) {
        return FALSE;
    }
    pending = ((Abi__WriterCommitReply *)message)->plan_pending;
    protobuf_c_message_free_unpacked(message, NULL);
    return !pending || apply(writer, fault);
}

/* Passes reports on: all of them, or only when there are enough to be worth a call. */
static gboolean pass_reports(struct writer *writer, gboolean all, struct target_fault *fault)
{
    for (;;) {
        GArray *batch = g_array_sized_new(FALSE, FALSE, sizeof(struct cell_place), REPORTS_BATCH);
        gboolean ok = TRUE;
        guint nr;

        pool_lock(writer->target.pool);
        nr = writer->reports->len;
        if (all || nr >= REPORTS_BATCH) {
            nr = MIN(nr, REPORTS_BATCH);
            g_array_append_vals(batch, writer->reports->data, nr);
            g_array_remove_range(writer->reports, 0, nr);
        }
        pool_unlock(writer->target.pool);
        if (batch->len > 0) {
            ok = commit(writer, batch, fault);
        }
        nr = batch->len;
        g_array_unref(batch);
        if (!ok || nr < REPORTS_BATCH) {
            return ok;
        }
    }
}

static struct endpoint *blob_endpoint(const struct writer *writer, guint32 blob)
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

static struct endpoint *writer_blob(const struct target *target, guint32 blob)
{
    return blob_endpoint((const struct writer *)target, blob);
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
            placed[i].offset > OFFSET_MAX ||
            (want->kind != CELL_PLACE_ZERO && blob_endpoint(writer, placed[i].blob) == NULL)) {
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
static gboolean place_run(struct writer *writer, GArray *places, int *refused,
                          struct target_fault *fault)
{
    Abi__WriterPlaceRequest request = ABI__WRITER_PLACE_REQUEST__INIT;
    g_autofree struct cell_place *placed = NULL;
    ProtobufCMessage *message;
    GError *error = NULL;
    gboolean pending;
    guint nr;

    request.nr_records = places->len;
    if (!call(writer, CELL_METHOD_WRITER_PLACE, &request.base, places,
              &abi__writer_place_reply__descriptor, &message, fault)) {
        return refuse_runs(fault, refused);
    }
    nr = ((Abi__WriterPlaceReply *)message)->nr_records;
    pending = ((Abi__WriterPlaceReply *)message)->plan_pending;
    protobuf_c_message_free_unpacked(message, NULL);
    if (nr > CELL_PLACES_MAX) {
        return refuse(fault, "placed runs");
    }
    placed = g_new(struct cell_place, MAX(nr, 1));
    if (!cell_take_records(writer->cell, placed, nr, sizeof(*placed), &error)) {
        return target_error(fault, error);
    }
    if (!same_runs(writer, places, placed, nr)) {
        return refuse(fault, "placed runs");
    }
    g_array_set_size(places, 0);
    g_array_append_vals(places, placed, nr);
    return !pending || apply(writer, fault);
}

static gboolean place_waiting(struct writer *writer, struct target_fault *fault)
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
        ok = place_run(writer, wait->places, &wait->refused, fault);
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

/* ---- workers ---- */

/* A worker that was let go because the copy has failed elsewhere. */
static gboolean let_go(struct target_fault *fault)
{
    return target_errno(fault, ECANCELED);
}

/* Lock held. Waits until the feeder has done something, or does it, on the feeder's thread. */
static gboolean wait_served(struct writer *writer, struct target_fault *fault)
{
    struct pool *pool = writer->target.pool;

    if (writer->abandoned) {
        return let_go(fault);
    }
    if (pool_is_feeder(pool)) {
        gboolean ok;

        pool_unlock(pool);
        ok = target_serve(&writer->target, writer->most_bytes, fault);
        pool_lock(pool);
        return ok;
    }
    pool_tell(pool);
    pool_wait_answer(pool);
    return !writer->abandoned || let_go(fault);
}

/* The offset of a run inside the unit that the run before it has its end in; FALSE: another unit.
 */
static gboolean same_unit(const struct writer *writer, const GArray *out,
                          const struct cell_place *run, guint64 *out_offset)
{
    guint64 unit = writer->target.shape.unit_bytes;
    const struct cell_place *last;

    if (run->start % unit == 0 || out->len == 0) {
        return FALSE;
    }
    last = &g_array_index(out, struct cell_place, out->len - 1);
    if (last->kind != CELL_PLACE_DATA ||
        (last->start + last->length - 1) / unit != run->start / unit) {
        return FALSE;
    }
    *out_offset = last->offset + (run->start - last->start);
    return TRUE;
}

/* Spends the lease on data that begins inside a unit: the unit is taken whole, once. */
static guint64 lease_part(struct writer *writer, const GArray *out, const struct cell_place *run,
                          guint64 *out_offset)
{
    guint64 unit = writer->target.shape.unit_bytes, in = run->start % unit, given;

    if (same_unit(writer, out, run, out_offset)) {
        return MIN(run->length, unit - in);
    }
    given = lease_take(&writer->lease, in + run->length, out_offset);
    *out_offset += in;
    return given > in ? given - in : 0;
}

/* Lock held. Spends the lease on one run; what does not fit is waited for. */
static gboolean lease_run(struct writer *writer, struct cell_place run, GArray *out,
                          struct target_fault *fault)
{
    while (run.length > 0) {
        struct cell_place part = run;

        part.blob = writer->data_blob;
        if (run.kind == CELL_PLACE_COMPRESSED) {
            part.length =
                lease_take_compressed(&writer->lease, run.comp_len, &part.offset) ? run.length : 0;
        } else if (run.kind == CELL_PLACE_DATA) {
            part.length = lease_part(writer, out, &run, &part.offset);
        }
        if (part.length > 0) {
            g_array_append_val(out, part);
            run.start += part.length;
            run.length -= part.length;
        } else {
            writer->wants_lease = TRUE;
            if (!wait_served(writer, fault)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

static gboolean room_from_lease(struct writer *writer, GArray *places, struct target_fault *fault)
{
    g_autoptr(GArray) out = g_array_sized_new(FALSE, FALSE, sizeof(struct cell_place), places->len);
    gboolean ok = TRUE;

    pool_lock(writer->target.pool);
    for (guint i = 0; ok && i < places->len; i++) {
        ok = lease_run(writer, g_array_index(places, struct cell_place, i), out, fault);
    }
    /* The feeder is told while there is still some, so that nobody has to wait. */
    if (ok && lease_left(&writer->lease) < MIN(writer->most_bytes, next_lease(writer) / 2)) {
        writer->wants_lease = TRUE;
        pool_tell(writer->target.pool);
    }
    pool_unlock(writer->target.pool);
    if (ok) {
        g_array_set_size(places, 0);
        g_array_append_vals(places, out->data, out->len);
    }
    return ok;
}

/* Lock held. Nobody may look at a worker's wait that is over. */
static void leave(struct writer *writer, struct placing *wait)
{
    struct placing **link = &writer->waits;

    while (wait->taken && !wait->done) {
        pool_wait_answer(writer->target.pool);
    }
    while (*link != NULL && *link != wait) {
        link = &(*link)->next;
    }
    if (*link == wait) {
        *link = wait->next;
    }
}

static gboolean room_by_placing(struct writer *writer, GArray *places, struct target_fault *fault)
{
    struct placing wait = {.places = places};
    struct placing **end = &writer->waits;
    gboolean ok = TRUE;

    if (pool_is_feeder(writer->target.pool)) {
        return place_run(writer, places, &wait.refused, fault) &&
               (wait.refused == 0 || target_errno(fault, wait.refused));
    }
    pool_lock(writer->target.pool);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = &wait;
    while (ok && !wait.done) {
        ok = wait_served(writer, fault);
    }
    leave(writer, &wait);
    ok = ok && (!wait.failed || let_go(fault));
    pool_unlock(writer->target.pool);
    return ok && (wait.refused == 0 || target_errno(fault, wait.refused));
}

static gboolean writer_room(struct target *target, GArray *places, struct target_fault *fault)
{
    struct writer *writer = writer_of(target);

    if (writer->linear) {
        for (guint i = 0; i < places->len; i++) {
            struct cell_place *place = &g_array_index(places, struct cell_place, i);

            place->offset = writer->linear_offset + place->start;
            place->blob = writer->data_blob;
        }
        return TRUE;
    }
    return writer->leases ? room_from_lease(writer, places, fault)
                          : room_by_placing(writer, places, fault);
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
    if (writer->reports->len >= REPORTS_BATCH) {
        pool_tell(target->pool);
    }
    pool_unlock(target->pool);
}

/* ---- feeder ---- */

static gboolean writer_serve(struct target *target, guint64 most_bytes, struct target_fault *fault)
{
    struct writer *writer = writer_of(target);
    gboolean wants;

    pool_lock(target->pool);
    writer->most_bytes = most_bytes;
    wants = writer->wants_lease;
    pool_unlock(target->pool);
    if (wants) {
        guint64 bytes = MIN(most_bytes, next_lease(writer));

        if (!fetch_lease(writer, MAX(bytes, target->shape.unit_bytes), fault)) {
            return FALSE;
        }
        pool_answer(target->pool);
    }
    return place_waiting(writer, fault) && pass_reports(writer, FALSE, fault);
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

    if (!pass_reports(writer, TRUE, fault)) {
        return FALSE;
    }
    request.unused_offset = lease_unused(&writer->lease);
    if (!call(writer, CELL_METHOD_WRITER_FINISH, &request.base, NULL, &abi__plan_reply__descriptor,
              &message, fault)) {
        return FALSE;
    }
    protobuf_c_message_free_unpacked(message, NULL);
    if (!apply(writer, fault)) {
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
    if (!call(writer, CELL_METHOD_WRITER_OPEN, &request.base, NULL,
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
        .data = blob_endpoint(writer, reply->data_blob),
    };
    ok = shape->data != NULL && shape->unit_bytes >= 512 && shape->unit_bytes <= UNIT_MAX &&
         (shape->unit_bytes & (shape->unit_bytes - 1)) == 0 && shape->zero_bytes >= 512 &&
         shape->unit_bytes % shape->zero_bytes == 0 &&
         writer->linear_offset <= OFFSET_MAX - options->size_bytes && writer->lease.align <= 512;
    protobuf_c_message_free_unpacked(message, NULL);
    return ok || refuse(fault, "writer");
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
