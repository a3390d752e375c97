/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a benchmark that write into a stream-optimized VMDK: whole grains, each once.
 */
#ifndef INSTAR_SRC_COPY_BENCH_STREAM_H
#define INSTAR_SRC_COPY_BENCH_STREAM_H

#include "src/copy/target.h"

struct bench_stream;

/*
 * Prepares writes to a target that takes compressed grains.
 *
 * in:      target: outlives the stream
 * returns: NULL when out of memory
 */
struct bench_stream *bench_stream_new(struct target *target);
void bench_stream_free(struct bench_stream *stream);

/*
 * Writes a range that lies inside the disk. May be called by several threads at a time.
 *
 * returns: FALSE with *fault: EINVAL for a range that does not consist of whole grains
 */
gboolean bench_stream_write(struct bench_stream *stream, guint64 offset, const guint8 *buf,
                            gsize len, struct target_fault *fault);

#endif
