/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark engine: requests of one size at offsets that step through a disk, as many under way
 * at once as asked for.
 *
 * By threads: each request under way has a thread of its own. By the kernel's queues: one thread
 * hands requests over and takes their ends; what is no plain run of a file (compressed units,
 * zeros, clusters that must first be found a place) is done by that thread itself.
 */
#ifndef INSTAR_SRC_COPY_BENCH_H
#define INSTAR_SRC_COPY_BENCH_H

#include "src/copy/bench_disk.h"

#define BENCH_THREADS_MAX 1024u /* more are not started, however deep the queue is to be */

enum bench_engine {
    BENCH_THREADS,
    BENCH_AIO,
    BENCH_URING,
};

struct bench_options {
    guint64 count;
    guint64 depth;      /* under way at once; see BENCH_THREADS_MAX, KERNEL_QUEUE_DEPTH_MAX */
    guint64 offset;     /* bytes, of the first request, which does not wrap */
    guint64 wrap_bytes; /* what those of the others are taken modulo of; 0: they are 0 */
    guint64 request_bytes;
    guint64 step_bytes;
    gboolean write;
    guint8 pattern;
    guint64 flush_interval; /* a flush after so many writes, 0: none */
    gboolean drain;         /* a flush waits for all requests before it, and those after it wait */
    enum bench_engine engine;
};

struct bench;

/*
 * Makes buffers and, where one is asked for, the kernel's queue.
 *
 * in:      disk, options: outlive the benchmark
 * returns: NULL with *error: what the engine needs is not to be had
 */
struct bench *bench_new(struct bench_disk *disk, const struct bench_options *options,
                        GError **error);
void bench_free(struct bench *bench);

/*
 * Runs the benchmark once, and writes the disk's tables when it is over.
 *
 * out:     *out_usecs: how long the requests took
 * returns: 0 or the errno of the first failure
 */
int bench_run(struct bench *bench, gint64 *out_usecs);

#endif
