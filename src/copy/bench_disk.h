/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk as the requests of a benchmark see it: any range, in any order, from many threads.
 *
 * Raw images are their file. Of others, reads go where the map of the chain says (lookup.h),
 * compressed units through codec cells, and writes go in place where the image owns the cluster and
 * to a cluster that its writer finds (target.h) where it does not, with the rest of the cluster
 * copied. Tables are written when the writer's cache is full and by bench_disk_finish: a flush in
 * between makes data durable, which nothing refers to before the tables do.
 */
#ifndef INSTAR_SRC_COPY_BENCH_DISK_H
#define INSTAR_SRC_COPY_BENCH_DISK_H

#include "src/copy/pool.h"
#include "src/graph/graph.h"
#include "src/sandbox/sandbox.h"

struct bench_disk;

/*
 * Prepares an opened image.
 *
 * in:      image: outlives the disk; write: it was opened for writing and will be written to
 * returns: NULL with *error
 */
struct bench_disk *bench_disk_new(struct image *image, gboolean write,
                                  const struct cell_config *cell, GError **error);
void bench_disk_free(struct bench_disk *disk);
guint64 bench_disk_size(const struct bench_disk *disk);

/* Says which pool's lock and feeder to use. */
void bench_disk_attach(struct bench_disk *disk, struct pool *pool);

/*
 * Worker or feeder: one request.
 *
 * returns: 0 or an errno; EIO for a range that does not lie inside the disk; ECANCELED when the
 *          caller was let go because something else failed
 */
int bench_disk_read(struct bench_disk *disk, guint64 offset, void *buf, gsize len);
int bench_disk_write(struct bench_disk *disk, guint64 offset, const void *buf, gsize len);

/* The same as bench_disk_read, but sees what bench_disk_write has written. */
int bench_disk_read_back(struct bench_disk *disk, guint64 offset, void *buf, gsize len);

/*
 * Feeder: the one run of a file that a request is about, if it can be left to the kernel.
 *
 * out:     *endpoint has a descriptor and *at is the offset in it
 * returns: FALSE: use bench_disk_read and _write
 */
gboolean bench_disk_locate(struct bench_disk *disk, guint64 offset, gsize len, gboolean write,
                           struct endpoint **endpoint, guint64 *at);

/* Makes the data durable that was written so far. 0 or an errno. */
int bench_disk_flush(struct bench_disk *disk);

/* Feeder: does what workers wait for. 0, or an errno: then everybody is let go. */
int bench_disk_serve(struct bench_disk *disk);

/* Feeder: lets everybody go who waits. */
void bench_disk_abandon(struct bench_disk *disk);

/* Feeder, after all requests: writes the tables and flushes. 0 or an errno. */
int bench_disk_finish(struct bench_disk *disk);

#endif
