/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By threads: lanes, each a job of the pool that takes request after request until none is left.
 * The feeder serves the disk meanwhile. With a depth of one the feeder is the lane.
 */
#include "src/copy/bench.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#include "compat/wording.h"
#include "src/copy/bench_kernel.h"
#include "src/copy/bench_plan.h"

#define PAGE 4096u

struct bench {
    struct bench_disk *disk;
    const struct bench_options *options;
    struct pool *pool;
    struct kernel_queue *queue; /* NULL: by threads */
    guint nr_lanes;             /* threads, or requests in the queue */
    guint8 *buffers;
    gsize buffers_bytes;
    guint64 stride; /* bytes from one buffer to the next; 0: all use one */

    guint64 next; /* atomic: the request to be issued next */

    /* Under the pool's lock. */
    guint64 done, flushes;
    int failed;
};

/* ---- threads ---- */

static void fail(struct bench *bench, int err)
{
    pool_lock(bench->pool);
    if (bench->failed == 0 || bench->failed == ECANCELED) {
        bench->failed = err;
    }
    pool_unlock(bench->pool);
    bench_disk_abandon(bench->disk);
    pool_answer(bench->pool);
}

/* Lock held. Whether the request must wait for a flush that waits for requests before it. */
static gboolean must_wait(const struct bench *bench, guint64 number)
{
    return bench->failed == 0 && bench->options->drain &&
           bench->flushes < bench_flushes_before(bench->options, number);
}

static gboolean wait_for_flush(struct bench *bench, guint64 number)
{
    gboolean ok;

    pool_lock(bench->pool);
    while (must_wait(bench, number)) {
        pool_wait_answer(bench->pool);
    }
    ok = bench->failed == 0;
    pool_unlock(bench->pool);
    return ok;
}

/* Without draining, the request that is issued behind the point where a flush is due flushes. */
static int flush_between(struct bench *bench, guint64 number)
{
    const struct bench_options *options = bench->options;

    if (options->flush_interval == 0 || options->drain || number == 0 ||
        bench_flushes_before(options, number) == bench_flushes_before(options, number - 1)) {
        return 0;
    }
    return bench_disk_flush(bench->disk);
}

/* A request has ended: if it was the last that a flush waits for, it flushes. */
static int note_done(struct bench *bench)
{
    const struct bench_options *options = bench->options;
    gboolean due;
    int err;

    pool_lock(bench->pool);
    bench->done++;
    due = options->flush_interval != 0 && options->drain &&
          bench->done == bench_flush_at(options, bench->flushes);
    pool_unlock(bench->pool);
    if (!due) {
        return 0;
    }
    err = bench_disk_flush(bench->disk);
    pool_lock(bench->pool);
    bench->flushes++;
    pool_unlock(bench->pool);
    pool_answer(bench->pool);
    return err;
}

static int run_request(struct bench *bench, guint64 number, guint8 *buf)
{
    const struct bench_options *options = bench->options;
    guint64 offset = bench_offset(options, number);
    int err = flush_between(bench, number);

    if (err == 0) {
        err = options->write ? bench_disk_write(bench->disk, offset, buf, options->request_bytes)
                             : bench_disk_read(bench->disk, offset, buf, options->request_bytes);
    }
    if (err == 0 && pool_is_feeder(bench->pool)) {
        err = bench_disk_serve(bench->disk);
    }
    return err != 0 ? err : note_done(bench);
}

static void run_lane(void *user, unsigned worker, void *job, guint64 number)
{
    struct bench *bench = user;
    guint8 *buf = bench->buffers + worker * bench->stride;

    for (;;) {
        guint64 request = __atomic_fetch_add(&bench->next, 1, __ATOMIC_RELAXED);
        int err;

        if (request >= bench->options->count || !wait_for_flush(bench, request)) {
            return;
        }
        err = run_request(bench, request, buf);
        if (err != 0) {
            fail(bench, err);
            return;
        }
    }
}

static void serve(struct bench *bench)
{
    int err = bench_disk_serve(bench->disk);

    if (err != 0) {
        fail(bench, err);
    }
}

/* One lane more than threads, as the pool keeps one job waiting; it finds nothing left to do. */
static void run_threads(struct bench *bench)
{
    guint nr_jobs = bench->nr_lanes > 1 ? bench->nr_lanes + 1 : 1;

    for (guint i = 0; i < nr_jobs; i++) {
        while (!pool_push(bench->pool, bench)) {
            pool_wait(bench->pool);
            serve(bench);
        }
    }
    pool_run_alone(bench->pool);
    while (pool_wait(bench->pool)) {
        serve(bench);
    }
    /* A flush that is due at the end and drains nothing. */
    if (bench->failed == 0 && bench->options->flush_interval != 0 && !bench->options->drain) {
        bench->failed = bench_disk_flush(bench->disk);
    }
}

/* ---- all engines ---- */

static guint count_lanes(const struct bench_options *options)
{
    guint most = options->engine == BENCH_THREADS ? BENCH_THREADS_MAX : KERNEL_QUEUE_DEPTH_MAX;

    return (guint)CLAMP(MIN(options->depth, options->count), 1, most);
}

/* One buffer for all writes, which are alike; one each for reads. */
static gboolean make_buffers(struct bench *bench, GError **error)
{
    const struct bench_options *options = bench->options;
    gsize one = (MAX(options->request_bytes, 1) + PAGE - 1) / PAGE * PAGE;
    void *map;

    bench->stride = options->write ? 0 : one;
    bench->buffers_bytes = options->write ? one : one * bench->nr_lanes;
    map = mmap(NULL, bench->buffers_bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        return wording_fail(error, "Could not allocate %" G_GSIZE_FORMAT " bytes of buffers",
                            bench->buffers_bytes);
    }
    bench->buffers = map;
    if (options->write) {
        memset(bench->buffers, options->pattern, one);
    }
    return TRUE;
}

static gboolean make_queue(struct bench *bench, GError **error)
{
    enum bench_engine engine = bench->options->engine;

    if (engine == BENCH_THREADS) {
        return TRUE;
    }
    bench->queue = kernel_queue_new(engine == BENCH_AIO ? KERNEL_QUEUE_AIO : KERNEL_QUEUE_URING,
                                    bench->nr_lanes, error);
    return bench->queue != NULL;
}

struct bench *bench_new(struct bench_disk *disk, const struct bench_options *options,
                        GError **error)
{
    struct bench *bench = g_new0(struct bench, 1);

    bench->disk = disk;
    bench->options = options;
    bench->nr_lanes = count_lanes(options);
    if (!make_buffers(bench, error) || !make_queue(bench, error)) {
        bench_free(bench);
        return NULL;
    }
    /* Every arena of malloc reserves address space, of which callers may have little. */
    mallopt(M_ARENA_MAX, 2);
    bench->pool = pool_new(bench->nr_lanes, bench->nr_lanes + 1, run_lane, bench);
    bench_disk_attach(disk, bench->pool);
    return bench;
}

void bench_free(struct bench *bench)
{
    if (bench == NULL) {
        return;
    }
    pool_free(bench->pool);
    kernel_queue_free(bench->queue);
    if (bench->buffers != NULL) {
        munmap(bench->buffers, bench->buffers_bytes);
    }
    g_free(bench);
}

int bench_run(struct bench *bench, gint64 *out_usecs)
{
    gint64 start = g_get_monotonic_time();
    int err = 0;

    if (bench->queue != NULL) {
        bench->failed = bench_kernel_run(bench->disk, bench->options, bench->queue, bench->nr_lanes,
                                         bench->buffers, bench->stride);
    } else {
        run_threads(bench);
    }
    *out_usecs = g_get_monotonic_time() - start;
    if (bench->options->write) {
        err = bench_disk_finish(bench->disk);
    }
    return bench->failed != 0 ? bench->failed : err;
}
