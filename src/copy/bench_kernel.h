/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark by way of a kernel queue.
 */
#ifndef INSTAR_SRC_COPY_BENCH_KERNEL_H
#define INSTAR_SRC_COPY_BENCH_KERNEL_H

#include "src/copy/bench.h"
#include "src/io/kernel_queue.h"

/*
 * Runs all requests on the calling thread, which is the feeder of the disk's pool.
 *
 * in:      buffers: for `depth` requests, `stride` bytes from one to the next (0: one for all)
 * returns: 0 or the errno of the first failure; nothing is under way any more
 */
int bench_kernel_run(struct bench_disk *disk, const struct bench_options *options,
                     struct kernel_queue *queue, guint depth, guint8 *buffers, guint64 stride);

#endif
