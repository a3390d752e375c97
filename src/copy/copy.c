/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one thread feeds, workers copy.
 *
 * In order means: room is handed out and writes are issued in the order of offsets, while reads,
 * zero detection and compression of later jobs go on. A write is issued right after the turn is
 * passed, so that the kernel may carry out two of them at once.
 */
#include "src/copy/copy.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "compat/progress.h"
#include "compat/wording.h"
#include "src/copy/compress.h"
#include "src/copy/reader.h"
#include "src/copy/salvage.h"
#include "src/copy/zero.h"

#define JOB_BYTES    (1u << 20)
#define IOV_MAX_USED 64
#define SECTOR       512u

/* What a worker keeps from job to job. */
struct worker_state {
    struct reader *reader;
    struct compressor *compressor;
    guint8 *packed;   /* compressed units of the job, one behind the other */
    guint8 *salvaged; /* job_bytes, when salvaging had to read by sectors */
    GArray *places;
};

struct copy {
    const struct copy_options *options;
    const struct target_shape *shape;
    struct target *target;
    struct pool *pool;
    guint64 job_bytes;
    guint64 granule; /* bytes: zeros are looked for in pieces of this size */
    gboolean drop_zeros;
    gboolean offload; /* cleared once the kernel says no */
    struct worker_state *workers;
    guint nr_workers;

    /* Under the pool's lock. */
    gboolean failed;
    struct copy_fault fault;
    guint64 unplaced_bytes; /* of jobs that were pushed and have no room yet */
    guint64 done_bytes;     /* as progress counts */
    guint64 next_told;      /* number of the job that progress is told about next */
    GHashTable
        *done_pieces; /* number -> GArray of pieces: jobs done before their turn to be told */
};

/* ---- failure ---- */

/* Records a failure, if none before it was met. Takes fault.error. */
static void copy_fail(struct copy *copy, struct copy_fault fault)
{
    /* A worker that was let go is not what went wrong. */
    gboolean let_go = fault.error_number == ECANCELED && fault.error == NULL;

    pool_lock(copy->pool);
    if (copy->failed && (let_go || fault.offset >= copy->fault.offset)) {
        g_clear_error(&fault.error);
    } else if (!let_go) {
        g_clear_error(&copy->fault.error);
        copy->fault = fault;
        copy->failed = TRUE;
    }
    pool_unlock(copy->pool);
}

static gboolean copy_has_failed(struct copy *copy)
{
    gboolean failed;

    pool_lock(copy->pool);
    failed = copy->failed;
    pool_unlock(copy->pool);
    return failed;
}

/* The start of the request in which stock would have met an offset. */
static guint64 chunk_of(const struct copy *copy, const struct piece *piece, guint64 offset)
{
    guint64 chunk = copy->options->chunk_bytes;

    return chunk == 0 ? offset : offset - (offset - piece->run_start) % chunk;
}

static const struct piece *piece_at(const struct job *job, guint64 offset)
{
    guint i = 0;

    while (i + 1 < job->pieces->len &&
           g_array_index(job->pieces, struct piece, i + 1).start <= offset) {
        i++;
    }
    return &g_array_index(job->pieces, struct piece, i);
}

/* A write that failed, told as the request of the source that it belongs to. */
static void fail_write(struct copy *copy, const struct job *job, guint64 offset,
                       struct target_fault fault)
{
    if (job->pieces != NULL) {
        offset = chunk_of(copy, piece_at(job, offset), offset);
    }
    copy_fail(copy, (struct copy_fault){.stage = fault.error_number ? COPY_WRITE : COPY_OTHER,
                                        .offset = offset,
                                        .error_number = fault.error_number,
                                        .error = fault.error});
}

/* The first sector of a piece that cannot be read. */
static guint64 first_bad_sector(struct worker_state *w, const struct piece *piece)
{
    guint8 sector[SECTOR];

    if (piece->kind == PIECE_DATA) {
        for (guint64 at = 0; at < piece->length; at += SECTOR) {
            if (endpoint_pread(piece->endpoint, piece->offset + at, sector,
                               MIN(SECTOR, piece->length - at)) != 0) {
                return piece->start + at;
            }
        }
    }
    return piece->start;
}

/* ---- reading ---- */

static guint8 *read_salvaging(struct copy *copy, struct worker_state *w, const struct job *job)
{
    if (w->salvaged == NULL) {
        w->salvaged = g_malloc(copy->job_bytes);
    }
    salvage_fill(w->reader, (const struct piece *)job->pieces->data, job->pieces->len,
                 copy->options->quiet, w->salvaged);
    return w->salvaged;
}

static guint8 *read_job(struct copy *copy, struct worker_state *w, const struct job *job)
{
    struct read_fault fault;
    guint8 *buf =
        reader_fill(w->reader, (struct piece *)job->pieces->data, job->pieces->len, &fault);
    const struct piece *piece;

    if (buf != NULL) {
        return buf;
    }
    if (copy->options->salvage && fault.error == NULL) {
        return read_salvaging(copy, w, job);
    }
    piece = &g_array_index(job->pieces, struct piece, fault.piece);
    copy_fail(copy, (struct copy_fault){.stage = fault.error ? COPY_OTHER : COPY_READ,
                                        .offset = chunk_of(copy, piece, first_bad_sector(w, piece)),
                                        .error_number = fault.error ? 0 : fault.error_number,
                                        .error = fault.error});
    return NULL;
}

/* ---- what goes where ---- */

static void add_place(struct worker_state *w, enum cell_place_kind kind, guint64 start,
                      guint64 length, guint32 comp_len)
{
    struct cell_place place = {
        .start = start, .length = length, .comp_len = comp_len, .kind = kind};

    if (kind == CELL_PLACE_DATA && w->places->len > 0) {
        struct cell_place *last = &g_array_index(w->places, struct cell_place, w->places->len - 1);

        if (last->kind == kind && last->start + last->length == start) {
            last->length += length;
            return;
        }
    }
    g_array_append_val(w->places, place);
}

/* Compresses the units of a run of data; those that do not shrink are stored. */
static void add_packed(struct copy *copy, struct worker_state *w, const struct job *job,
                       const guint8 *buf, guint64 start, guint64 length, gsize *packed_len)
{
    guint64 unit = copy->shape->unit_bytes;

    for (guint64 at = start; at < start + length; at += unit) {
        guint64 len = MIN(unit, start + length - at);
        gsize made = compress_unit(w->compressor, buf + (at - job->start), w->packed + *packed_len);

        add_place(w, made ? CELL_PLACE_COMPRESSED : CELL_PLACE_DATA, at, len, (guint32)made);
        *packed_len += made;
    }
}

/* The run of a source that a place of the job lies in, as far as it says zeros or not. */
static guint64 run_of_zeros(const struct job *job, guint64 at, guint64 end, gboolean *out_zero)
{
    guint i = 0;

    while (g_array_index(job->pieces, struct piece, i).start +
               g_array_index(job->pieces, struct piece, i).length <=
           at) {
        i++;
    }
    *out_zero = g_array_index(job->pieces, struct piece, i).kind == PIECE_ZERO;
    for (; i < job->pieces->len && at < end; i++) {
        const struct piece *piece = &g_array_index(job->pieces, struct piece, i);

        if ((piece->kind == PIECE_ZERO) != *out_zero) {
            break;
        }
        at = piece->start + piece->length;
    }
    return MIN(at, end);
}

/*
 * Adds a run of stored data. Where the target keeps account of parts of a unit, parts that the
 * source says are zeros are left out.
 */
static void add_stored(struct copy *copy, struct worker_state *w, const struct job *job,
                       guint64 start, guint64 length)
{
    guint64 part = copy->shape->zero_bytes, at = start, end = start + length;

    if (part == copy->shape->unit_bytes || !copy->drop_zeros) {
        add_place(w, CELL_PLACE_DATA, start, length, 0);
        return;
    }
    while (at < end) {
        gboolean zero;
        guint64 stop = run_of_zeros(job, at, end, &zero);
        guint64 up = MIN((stop + part - 1) / part * part, end);

        if (!zero) {
            add_place(w, CELL_PLACE_DATA, at, up - at, 0);
        } else {
            up = stop == end ? end : stop / part * part;
            if (up <= at) { /* less than a part */
                up = MIN((at / part + 1) * part, end);
                add_place(w, CELL_PLACE_DATA, at, up - at, 0);
            }
        }
        at = up;
    }
}

/* Turns the bytes of a job into places that have no room yet. */
static void find_places(struct copy *copy, struct worker_state *w, const struct job *job,
                        guint8 *buf)
{
    guint64 end = job->start + job->length, at = job->start;
    gsize packed_len = 0;

    g_array_set_size(w->places, 0);
    if (copy->shape->compresses && job->length % copy->shape->unit_bytes != 0) {
        /* The disk ends inside a unit: what is compressed is the whole of it. */
        memset(buf + job->length, 0,
               copy->shape->unit_bytes - job->length % copy->shape->unit_bytes);
    }
    while (at < end) {
        /* The first granule may be cut short, so that the others lie on multiples of theirs. */
        guint64 to_granule = copy->granule - at % copy->granule;
        guint64 most = at % copy->granule ? MIN(to_granule, end - at) : end - at;
        gboolean zero = FALSE;
        guint64 length = most;

        if (copy->options->sparse_bytes != 0) {
            length = zero_run(buf + (at - job->start), most, copy->granule, &zero);
        }
        if (!zero && copy->shape->compresses) {
            add_packed(copy, w, job, buf, at, length, &packed_len);
        } else if (!zero) {
            add_stored(copy, w, job, at, length);
        } else if (!copy->drop_zeros) {
            add_place(w, CELL_PLACE_ZERO, at, length, 0);
        }
        at += length;
    }
}

/* ---- writing ---- */

/* Bytes that a place puts into the target. */
static guint64 stored_len(const struct cell_place *place)
{
    return place->kind == CELL_PLACE_COMPRESSED ? place->comp_len : place->length;
}

/* Writes places [first, ...) that lie one behind the other in the target; gives how many. */
static guint write_run(struct copy *copy, struct worker_state *w, const struct job *job,
                       const guint8 *buf, guint first, gsize *packed_at, int *out_err)
{
    struct iovec iov[IOV_MAX_USED];
    guint64 offset = g_array_index(w->places, struct cell_place, first).offset, end = offset;
    guint i = first;

    for (; i < w->places->len && i - first < IOV_MAX_USED; i++) {
        const struct cell_place *place = &g_array_index(w->places, struct cell_place, i);

        if (place->kind == CELL_PLACE_ZERO || place->offset != end) {
            break;
        }
        iov[i - first].iov_len = stored_len(place);
        if (place->kind == CELL_PLACE_COMPRESSED) {
            iov[i - first].iov_base = w->packed + *packed_at;
            *packed_at += place->comp_len;
        } else {
            iov[i - first].iov_base = (void *)(buf + (place->start - job->start));
        }
        end += iov[i - first].iov_len;
    }
    *out_err = endpoint_pwritev(copy->shape->data, offset, iov, (int)(i - first));
    return i - first;
}

static void write_places(struct copy *copy, struct worker_state *w, const struct job *job,
                         const guint8 *buf)
{
    gsize packed_at = 0;
    guint taken;

    for (guint i = 0; i < w->places->len; i += taken) {
        const struct cell_place *place = &g_array_index(w->places, struct cell_place, i);
        struct target_fault fault = {0};

        taken = 1;
        if (place->kind == CELL_PLACE_ZERO) {
            if (!target_zero(copy->target, place, &fault)) {
                fail_write(copy, job, place->start, fault);
                return;
            }
        } else {
            taken = write_run(copy, w, job, buf, i, &packed_at, &fault.error_number);
            if (fault.error_number != 0) {
                fail_write(copy, job, place->start, fault);
                return;
            }
        }
    }
    target_done(copy->target, (struct cell_place *)w->places->data, w->places->len);
}

/* Gives the places their room, in turn. */
static gboolean find_room(struct copy *copy, struct worker_state *w, const struct job *job,
                          guint64 number)
{
    struct target_fault fault;
    gboolean ok;

    if (!copy->options->out_of_order) {
        pool_take_turn(copy->pool, number);
    }
    ok = w->places->len == 0 || target_room(copy->target, w->places, &fault);
    pool_lock(copy->pool);
    copy->unplaced_bytes -= job->length;
    pool_unlock(copy->pool);
    if (!ok) {
        fail_write(copy, job, job->start, fault);
    }
    return ok && !copy_has_failed(copy);
}

/* ---- a job ---- */

/* Whether the kernel could copy the job as it is: one run of stored bytes. */
static gboolean can_offload(const struct copy *copy, const struct job *job)
{
    return copy->offload && job->pieces->len == 1 &&
           g_array_index(job->pieces, struct piece, 0).kind == PIECE_DATA &&
           !copy->shape->compresses;
}

/* Copies inside the kernel. FALSE: it would not, the places have their room all the same. */
static gboolean offload_places(struct copy *copy, struct worker_state *w, const struct job *job)
{
    const struct piece *piece = &g_array_index(job->pieces, struct piece, 0);

    for (guint i = 0; i < w->places->len; i++) {
        const struct cell_place *place = &g_array_index(w->places, struct cell_place, i);

        if (endpoint_copy_range(piece->endpoint, piece->offset + (place->start - piece->start),
                                copy->shape->data, place->offset, place->length) != 0) {
            copy->offload = FALSE;
            return FALSE;
        }
    }
    target_done(copy->target, (struct cell_place *)w->places->data, w->places->len);
    return TRUE;
}

/*
 * Whether a piece is part of what progress counts: data, and zeros where they are written as data.
 */
static gboolean copy_counts(const struct copy_options *options, const struct piece *piece)
{
    return piece->kind != PIECE_SKIP && (piece->kind != PIECE_ZERO || options->sparse_bytes == 0);
}

/* Lock held. Tells progress about the requests of the source that end in these pieces. */
static void tell_pieces(struct copy *copy, const GArray *pieces)
{
    guint64 total = copy->options->total_bytes, chunk = copy->options->chunk_bytes;

    for (guint i = 0; i < pieces->len; i++) {
        const struct piece *piece = &g_array_index(pieces, struct piece, i);
        guint64 at = piece->start, end = at + piece->length;

        while (copy_counts(copy->options, piece) && at < end) {
            guint64 stop = MIN(at + chunk - (at - piece->run_start) % chunk, piece->run_end);

            copy->done_bytes += MIN(stop, end) - at;
            if (stop <= end) {
                progress_update(MIN(copy->done_bytes, total), total);
            }
            at = stop;
        }
    }
}

/* What of a job progress counts. Units that are compressed are counted whole. */
static GArray *counted_pieces(const struct copy *copy, const struct job *job)
{
    GArray *pieces;

    if (!job->zero && !copy->shape->compresses) {
        return g_array_ref(job->pieces);
    }
    pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    if (!job->zero) {
        struct piece whole = {.start = job->start,
                              .length = job->length,
                              .run_start = job->start,
                              .run_end = job->start + job->length,
                              .kind = PIECE_DATA};

        g_array_append_val(pieces, whole);
    }
    return pieces;
}

/* A job is done: progress hears of it when all before it were told. */
static void advance(struct copy *copy, const struct job *job, guint64 number)
{
    GArray *pieces;

    if (copy->options->total_bytes == 0) {
        return;
    }
    pool_lock(copy->pool);
    g_hash_table_insert(copy->done_pieces, GSIZE_TO_POINTER(number), counted_pieces(copy, job));
    while ((pieces = g_hash_table_lookup(copy->done_pieces, GSIZE_TO_POINTER(copy->next_told)))) {
        tell_pieces(copy, pieces);
        g_hash_table_remove(copy->done_pieces, GSIZE_TO_POINTER(copy->next_told));
        copy->next_told++;
    }
    pool_unlock(copy->pool);
}

static void copy_job(struct copy *copy, struct worker_state *w, const struct job *job,
                     guint64 number)
{
    guint8 *buf = NULL;
    gboolean offload = !job->zero && can_offload(copy, job);

    if (job->zero || offload) {
        g_array_set_size(w->places, 0);
        add_place(w, job->zero ? CELL_PLACE_ZERO : CELL_PLACE_DATA, job->start, job->length, 0);
    } else {
        buf = read_job(copy, w, job);
        if (buf == NULL) {
            return;
        }
        find_places(copy, w, job, buf);
    }
    if (copy->options->refuse_data && w->places->len > 0) {
        fail_write(copy, job, job->start, (struct target_fault){.error_number = ENOTSUP});
        return;
    }
    if (!find_room(copy, w, job, number)) {
        return;
    }
    pool_pass_turn(copy->pool, number);
    if (offload && !offload_places(copy, w, job)) {
        buf = read_job(copy, w, job);
        offload = FALSE;
        if (buf == NULL) {
            return;
        }
    }
    if (!offload) {
        write_places(copy, w, job, buf);
    }
    advance(copy, job, number);
}

static void run_job(void *user, unsigned worker, void *data, guint64 number)
{
    struct copy *copy = user;
    struct worker_state *w = &copy->workers[worker];
    struct job *job = data;

    if (!copy_has_failed(copy)) {
        if (w->reader == NULL) {
            w->reader = reader_new(copy->job_bytes, &copy->options->cell);
            w->places = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
        }
        if (copy->shape->compresses && w->compressor == NULL) {
            w->compressor = compressor_new(copy->options->codec, copy->shape->unit_bytes);
            w->packed = g_malloc(copy->job_bytes);
        }
        copy_job(copy, w, job, number);
    }
    pool_pass_turn(copy->pool, number); /* a second pass of the same number does nothing */
    job_free(job);
}

/* ---- the feeder ---- */

/* Keeps to a rate: sleeps until `bytes` more may go. */
struct throttle {
    gint64 start_usec;
    guint64 bytes;
};

static void throttle_wait(struct throttle *throttle, guint64 rate, guint64 bytes)
{
    gint64 due;

    if (rate == 0) {
        return;
    }
    due = throttle->start_usec + (gint64)((double)throttle->bytes / (double)rate * 1e6);
    throttle->bytes += bytes;
    for (gint64 now = g_get_monotonic_time(); now < due; now = g_get_monotonic_time()) {
        g_usleep((gulong)MIN(due - now, G_USEC_PER_SEC));
    }
}

/* Serves the target, which has `position` of the disk behind it; on failure everybody is let go. */
static gboolean serve(struct copy *copy, guint64 position)
{
    struct target_fault fault;
    guint64 most;

    pool_lock(copy->pool);
    most = copy->unplaced_bytes + copy->shape->size_bytes - position;
    pool_unlock(copy->pool);
    if (!copy_has_failed(copy) && !target_serve(copy->target, most, &fault)) {
        copy_fail(copy, (struct copy_fault){.stage = fault.error_number ? COPY_WRITE : COPY_OTHER,
                                            .offset = position,
                                            .error_number = fault.error_number,
                                            .error = fault.error});
    }
    if (copy_has_failed(copy)) {
        target_abandon(copy->target);
        return FALSE;
    }
    return TRUE;
}

/* Queues a job, which is the pool's from then on; on failure it is freed. */
static gboolean push(struct copy *copy, struct job *job)
{
    guint64 end = job->start + job->length;

    pool_lock(copy->pool);
    copy->unplaced_bytes += job->length;
    pool_unlock(copy->pool);
    while (!pool_push(copy->pool, job)) {
        pool_wait(copy->pool);
        if (!serve(copy, end)) {
            job_free(job);
            return FALSE;
        }
    }
    return TRUE;
}

static void feed_jobs(struct copy *copy, struct cutter *cutter)
{
    struct throttle throttle = {.start_usec = g_get_monotonic_time()};
    GError *error = NULL;
    struct job *job;
    guint64 position = 0;
    int got;

    while ((got = cutter_next(cutter, &job, &error)) > 0) {
        position = job->start + job->length;
        throttle_wait(&throttle, copy->options->rate_bytes, job->zero ? 0 : job->length);
        if (!push(copy, job) || !serve(copy, position)) {
            break;
        }
    }
    if (got < 0) {
        copy_fail(copy, (struct copy_fault){.stage = COPY_STATUS,
                                            .offset = cutter_position(cutter),
                                            .error = error});
    }
    pool_run_alone(copy->pool);
    while (pool_wait(copy->pool)) {
        serve(copy, position);
    }
}

static void free_workers(struct copy *copy)
{
    for (guint i = 0; i < copy->nr_workers; i++) {
        struct worker_state *w = &copy->workers[i];

        reader_free(w->reader);
        compressor_free(w->compressor);
        g_free(w->packed);
        g_free(w->salvaged);
        if (w->places != NULL) {
            g_array_unref(w->places);
        }
    }
    g_free(copy->workers);
}

/* Zeros are looked for in pieces of the smallest hole that is wanted, on its own multiples. */
static guint64 zero_granule(const struct copy *copy)
{
    guint64 granule = SECTOR;

    if (copy->shape->compresses) {
        return copy->shape->unit_bytes; /* each unit is looked at for itself */
    }
    while (granule < copy->options->sparse_bytes && granule < copy->job_bytes) {
        granule *= 2;
    }
    return MAX(granule, copy->shape->unit_bytes);
}

static struct cut_rules cut_rules(const struct copy_feed *feed, const struct target_shape *shape,
                                  const struct copy_options *options)
{
    return (struct cut_rules){
        .next = feed->next,
        .rest = feed->rest,
        .user = feed->user,
        .unit_bytes = shape->unit_bytes,
        .job_bytes = MAX(JOB_BYTES, shape->unit_bytes),
        .drop_zeros = shape->reads_zero && options->sparse_bytes != 0,
        .zero_ranges = options->sparse_bytes != 0,
    };
}

gboolean copy_survey(const struct copy_feed *feed, const struct target *target,
                     const struct copy_options *options, guint64 *out_bytes,
                     struct copy_fault *fault)
{
    struct cut_rules rules = cut_rules(feed, target_shape(target), options);
    struct cutter *cutter;
    GError *error = NULL;
    struct job *job;
    int got;

    rules.rest = NULL;
    cutter = cutter_new(&rules);
    *out_bytes = 0;
    while ((got = cutter_next(cutter, &job, &error)) > 0) {
        for (guint i = 0; !job->zero && i < job->pieces->len; i++) {
            const struct piece *piece = &g_array_index(job->pieces, struct piece, i);

            if (piece->kind == PIECE_BAD && !options->quiet) {
                wording_report_status_error(TRUE, piece->start, piece->error_number);
            }
            if (!target_shape(target)->compresses && copy_counts(options, piece)) {
                *out_bytes += piece->length;
            }
        }
        if (!job->zero && target_shape(target)->compresses) {
            *out_bytes += job->length;
        }
        job_free(job);
    }
    if (got < 0) {
        *fault = (struct copy_fault){
            .stage = COPY_STATUS, .offset = cutter_position(cutter), .error = error};
    }
    cutter_free(cutter);
    return got == 0;
}

gboolean copy_run(const struct copy_feed *feed, struct target *target,
                  const struct copy_options *options, struct copy_fault *fault)
{
    struct copy copy = {.options = options, .shape = target_shape(target), .target = target};
    struct target_fault target_fault;
    struct cut_rules rules;
    struct cutter *cutter;

    /* Every arena of malloc reserves address space, of which callers may have little. */
    mallopt(M_ARENA_MAX, 2);
    copy.job_bytes = MAX(JOB_BYTES, copy.shape->unit_bytes);
    copy.granule = zero_granule(&copy);
    copy.drop_zeros = copy.shape->reads_zero && options->sparse_bytes != 0;
    copy.offload = options->offload;
    copy.nr_workers = options->salvage ? 1 : MAX(options->workers, 1);
    copy.workers = g_new0(struct worker_state, copy.nr_workers);
    copy.done_pieces = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
    copy.pool = pool_new(copy.nr_workers, 2 * copy.nr_workers, run_job, &copy);
    target_attach(target, copy.pool);
    rules = cut_rules(feed, copy.shape, options);
    cutter = cutter_new(&rules);
    feed_jobs(&copy, cutter);
    cutter_free(cutter);
    if (!copy.failed && !target_finish(target, &target_fault)) {
        copy_fail(&copy, (struct copy_fault){.stage = COPY_OTHER,
                                             .offset = copy.shape->size_bytes,
                                             .error_number = target_fault.error_number,
                                             .error = target_fault.error});
    }
    pool_free(copy.pool);
    g_hash_table_unref(copy.done_pieces);
    free_workers(&copy);
    *fault = copy.fault;
    return !copy.failed;
}
