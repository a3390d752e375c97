/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: each request under way has one, and with it its part of the buffers.
 */
#include "src/copy/bench_kernel.h"

#include <errno.h>

#include "src/copy/bench_plan.h"

#define ENDS_MAX 64u

struct slot {
    guint64 offset; /* of the disk */
    guint8 *buf;
};

struct kernel_bench {
    struct bench_disk *disk;
    const struct bench_options *options;
    struct kernel_queue *queue;
    struct slot *slots;
    guint *free_slots; /* a stack */
    guint nr_free, depth;
    guint64 issued, flushes;
    int failed;
};

static void fail(struct kernel_bench *bench, int err)
{
    bench->failed = bench->failed != 0 ? bench->failed : err;
}

static int run_here(struct kernel_bench *bench, const struct slot *slot)
{
    const struct bench_options *options = bench->options;
    int err = options->write
                  ? bench_disk_write(bench->disk, slot->offset, slot->buf, options->request_bytes)
                  : bench_disk_read(bench->disk, slot->offset, slot->buf, options->request_bytes);

    return err != 0 ? err : bench_disk_serve(bench->disk);
}

static void issue(struct kernel_bench *bench)
{
    const struct bench_options *options = bench->options;
    guint index = bench->free_slots[--bench->nr_free];
    struct slot *slot = &bench->slots[index];
    struct endpoint *endpoint;
    guint64 at;
    int err;

    slot->offset = bench_offset(options, bench->issued++);
    if (bench_disk_locate(bench->disk, slot->offset, options->request_bytes, options->write,
                          &endpoint, &at)) {
        if (options->write) {
            endpoint_note_write(endpoint, at, options->request_bytes);
        }
        err = kernel_queue_add(bench->queue, &(struct kernel_request){
                                                 .fd = endpoint_fd(endpoint),
                                                 .write = options->write,
                                                 .buf = slot->buf,
                                                 .offset = at,
                                                 .len = options->request_bytes,
                                                 .user = index,
                                             });
        if (err == 0) {
            return;
        }
    } else {
        err = run_here(bench, slot);
    }
    fail(bench, err);
    bench->free_slots[bench->nr_free++] = index;
}

static void reap(struct kernel_bench *bench)
{
    struct kernel_end ends[ENDS_MAX];
    unsigned nr;
    int err = kernel_queue_wait(bench->queue, ends, ENDS_MAX, &nr);

    if (err != 0) {
        fail(bench, err);
        bench->nr_free = bench->depth; /* the queue is broken: nothing more will come */
        return;
    }
    for (unsigned i = 0; i < nr; i++) {
        struct slot *slot = &bench->slots[ends[i].user];

        if (ends[i].result < 0 && ends[i].result != -EAGAIN) {
            fail(bench, (int)-ends[i].result);
        } else if (ends[i].result != (int64_t)bench->options->request_bytes) {
            fail(bench, run_here(bench, slot)); /* cut short: all of it, the plain way */
        }
        bench->free_slots[bench->nr_free++] = (guint)ends[i].user;
    }
}

/* Flushes if it is time to. FALSE: requests must end first. */
static gboolean flush(struct kernel_bench *bench)
{
    if (bench->flushes == bench_flushes_before(bench->options, bench->issued)) {
        return TRUE;
    }
    if (bench->options->drain && bench->nr_free < bench->depth) {
        return FALSE;
    }
    fail(bench, bench_disk_flush(bench->disk));
    bench->flushes++;
    return TRUE;
}

static void run(struct kernel_bench *bench)
{
    guint64 count = bench->options->count;

    while (bench->failed == 0 && (bench->issued < count || bench->nr_free < bench->depth)) {
        while (bench->failed == 0 && bench->nr_free > 0 && flush(bench) && bench->issued < count) {
            issue(bench);
        }
        if (bench->nr_free < bench->depth) {
            reap(bench);
        }
    }
    while (bench->nr_free < bench->depth) {
        reap(bench);
    }
    if (bench->failed == 0) {
        (void)flush(bench);
    }
}

int bench_kernel_run(struct bench_disk *disk, const struct bench_options *options,
                     struct kernel_queue *queue, guint depth, guint8 *buffers, guint64 stride)
{
    struct kernel_bench bench = {
        .disk = disk, .options = options, .queue = queue, .depth = depth, .nr_free = depth};

    bench.slots = g_new0(struct slot, depth);
    bench.free_slots = g_new(guint, depth);
    for (guint i = 0; i < depth; i++) {
        bench.slots[i].buf = buffers + i * stride;
        bench.free_slots[i] = i;
    }
    run(&bench);
    g_free(bench.slots);
    g_free(bench.free_slots);
    return bench.failed;
}
