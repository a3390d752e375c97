/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's feeder: jobs to the workers, answers to the target.
 */
#include "src/copy/copy.h"

#include <malloc.h>

#include "compat/wording.h"
#include "src/copy/copy_internal.h"

static void start_worker(struct copy *copy, struct copy_worker *worker)
{
    worker->reader = reader_new(copy->job_bytes, COPY_SLOTS, &copy->options->cell);
    worker->other = reader_new(copy->job_bytes, 1, &copy->options->cell);
    if (copy->shape->compresses) {
        worker->compressor = compressor_new(copy->options->codec, copy->shape->unit_bytes);
    }
    for (guint i = 0; i < COPY_SLOTS; i++) {
        worker->slots[i].worker = worker;
        worker->slots[i].places = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
        if (copy->shape->compresses) {
            worker->slots[i].packed =
                g_malloc(compressor_bound(copy->job_bytes, copy->shape->unit_bytes));
        }
    }
}

static void run_job(void *user, unsigned index, void *data, guint64 number)
{
    struct copy *copy = user;
    struct copy_worker *worker = &copy->workers[index];
    struct copy_slot *slot;

    if (worker->reader == NULL) {
        start_worker(copy, worker);
    }
    slot = copy_free_slot(copy, worker);
    slot->job = data;
    if (copy_failed_before(copy, slot->job->start)) {
        slot->failed = TRUE;
    } else {
        copy_fill(copy, slot);
    }
    copy_hand_over(copy, slot, number);
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
        struct copy_worker *worker = &copy->workers[i];

        reader_free(worker->reader);
        reader_free(worker->other);
        compressor_free(worker->compressor);
        for (guint k = 0; k < COPY_SLOTS; k++) {
            g_free(worker->slots[k].packed);
            g_free(worker->slots[k].salvaged);
            if (worker->slots[k].places != NULL) {
                g_array_unref(worker->slots[k].places);
            }
        }
    }
    g_free(copy->workers);
    g_free(copy->ready);
}

/* Zeros are looked for in pieces of the smallest hole that is wanted, on its own multiples. */
static guint64 zero_granule(const struct copy *copy)
{
    guint64 granule = COPY_SECTOR;

    if (copy->shape->compresses) {
        return copy->shape->unit_bytes; /* each unit is looked at for itself */
    }
    while (granule < copy->options->sparse_bytes && granule < copy->job_bytes) {
        granule *= 2;
    }
    return MAX(granule, copy->shape->zero_bytes);
}

/*
 * A buffer that stays in the cache, but whole units of both sides: half a unit costs all of it.
 * Where each job has to ask for its room there are fewer of them, unless each of them is in memory
 * once more to be compared with.
 */
static guint64 job_bytes(const struct copy_feed *feed, const struct target_shape *shape,
                         const struct copy_options *options, guint64 wanted)
{
    guint64 bytes = shape->asks_often && feed->against == NULL
                        ? COPY_JOB_MAX
                        : MAX(wanted, MIN(options->source_unit, COPY_JOB_MAX));

    if (options->rate_bytes != 0) {
        bytes = MIN(bytes, COPY_RATED_BYTES);
    }
    return MAX(bytes / shape->unit_bytes, 1) * shape->unit_bytes;
}

static struct cut_rules cut_rules(const struct copy_feed *feed, const struct target_shape *shape,
                                  const struct copy_options *options)
{
    return (struct cut_rules){
        .next = feed->next,
        .rest = feed->rest,
        .against = feed->against,
        .user = feed->user,
        .unit_bytes = shape->unit_bytes,
        .job_bytes = job_bytes(feed, shape, options, COPY_JOB_BYTES),
        .packed_bytes = job_bytes(feed, shape, options, COPY_PACKED_BYTES),
        .drop_zeros = shape->reads_zero && options->sparse_bytes != 0,
        .zero_ranges = options->sparse_bytes != 0 && !shape->plain_zeros && feed->against == NULL,
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

            if (piece->kind == PIECE_BAD && !piece->located && !options->quiet) {
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
    copy.job_bytes = job_bytes(feed, copy.shape, options, COPY_JOB_BYTES);
    copy.granule = zero_granule(&copy);
    copy.drop_zeros = copy.shape->reads_zero && options->sparse_bytes != 0;
    copy.offload = options->offload;
    copy.share = options->share;
    copy.nr_workers = options->salvage ? 1 : MAX(options->workers, 1);
    copy.workers = g_new0(struct copy_worker, copy.nr_workers);
    copy.nr_ready = copy.nr_workers * (COPY_SLOTS + 4);
    copy.ready = g_new0(struct copy_slot *, copy.nr_ready);
    copy.pool = pool_new(copy.nr_workers, 4 * copy.nr_workers, run_job, &copy);
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
    free_workers(&copy);
    *fault = copy.fault;
    return !copy.failed;
}
