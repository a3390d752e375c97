/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the copy engine. Only src/copy/copy*.c include this.
 *
 *   copy.c         the feeder: cuts jobs, serves the target, starts and ends
 *   copy_fill.c    a job into a slot: read, look for zeros, compress
 *   copy_drain.c   slots into the target, in order
 *   copy_cache.c   what the kernel is told about its cache
 *   copy_fault.c   what failed first
 */
#ifndef INSTAR_SRC_COPY_COPY_INTERNAL_H
#define INSTAR_SRC_COPY_COPY_INTERNAL_H

#include "src/copy/compress.h"
#include "src/copy/copy.h"
#include "src/copy/reader.h"

#define COPY_JOB_BYTES    (1u << 20)
#define COPY_PACKED_BYTES (384u << 10) /* of jobs with something to decode */
#define COPY_JOB_MAX      (2u << 20)
#define COPY_RATED_BYTES  (512u << 10) /* at a rate: what goes at once, as in stock */
#define COPY_SLOTS        2u /* of each worker: how far it may be ahead of what is written */
#define COPY_SECTOR       512u

#define COPY_WRITE_BACK (32u << 20) /* written, or read, before the kernel is told so */

struct copy_worker;

/* A job that was filled, until it is written. */
struct copy_slot {
    struct copy_worker *worker; /* whose buffer it has */
    struct job *job;
    guint8 *buf;      /* the job's bytes; NULL: nothing was read */
    guint8 *packed;   /* compressed units of the job, one behind the other */
    guint8 *salvaged; /* when salvaging had to read by sectors */
    GArray *places;   /* of struct cell_place, without room yet */
    gboolean offload; /* the kernel copies */
    gboolean share;   /* offload: by sharing blocks */
    gboolean failed;  /* nothing to write: it only keeps its place in the order */
    gboolean busy;    /* under the pool's lock */
};

/* What a worker keeps from job to job. */
struct copy_worker {
    struct reader *reader; /* with a buffer for each slot */
    struct reader *other;  /* for what is compared */
    struct compressor *compressor;
    const struct endpoint *asked; /* the source that was last asked whether it shares */
    gboolean shares;
    struct copy_slot slots[COPY_SLOTS];
};

/* What was written, or read, since the kernel was last told so. */
struct copy_span {
    struct endpoint *endpoint; /* NULL: nothing */
    guint64 from, to;          /* all of it lies in between */
    guint64 bytes;
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
    gboolean share;   /* the same */
    struct copy_worker *workers;
    guint nr_workers;

    /* Under the pool's lock. */
    gboolean failed;
    struct copy_fault fault;
    guint64 unplaced_bytes; /* of jobs that were pushed and have no room yet */
    guint64 done_bytes;     /* as progress counts */
    struct copy_span written;
    struct copy_span spent;   /* of a source that is emptied afterwards: without gaps */
    struct copy_slot **ready; /* [number % nr_ready]: filled, waiting to be written */
    guint nr_ready;
    guint64 next_write; /* number of the job that is written next */
    gboolean claiming;  /* some worker gives it its room */
};

/* ---- copy_fault.c ---- */

/* Records a failure, unless one at a lower offset was met. Takes fault.error. */
void copy_fail(struct copy *copy, struct copy_fault fault);
gboolean copy_has_failed(struct copy *copy);

/*
 * Whether nothing that is met from an offset on can be what failed first. A job that lies before
 * the failure is still read: what is told must not hang on which worker was faster.
 */
gboolean copy_failed_before(struct copy *copy, guint64 offset);

/* A write that failed, told as the request of the source that it belongs to. */
void copy_fail_write(struct copy *copy, const struct job *job, guint64 offset,
                     struct target_fault fault);

/* A read that failed, likewise. */
void copy_fail_read(struct copy *copy, const struct piece *piece, struct read_fault fault);

/* A read of what the source is compared with. */
void copy_fail_read_against(struct copy *copy, const struct piece *piece, struct read_fault fault);

/* ---- copy_fill.c ---- */

/* Reads a job into a slot and finds out what of it goes where; a failure is recorded. */
void copy_fill(struct copy *copy, struct copy_slot *slot);

/* ---- copy_drain.c ---- */

/*
 * Hands a filled slot over to be written: at once if it is its turn, otherwise when that comes, by
 * whoever is free then.
 */
void copy_hand_over(struct copy *copy, struct copy_slot *slot, guint64 number);

/* A slot of the worker that is free; waits for one. */
struct copy_slot *copy_free_slot(struct copy *copy, struct copy_worker *worker);

/* Whether progress counts a piece: data, and zeros where they are written as data. */
gboolean copy_counts(const struct copy_options *options, const struct piece *piece);

/* ---- copy_cache.c ---- */

/* Says that a range of the target was written. */
void copy_note_written(struct copy *copy, struct endpoint *endpoint, guint64 offset, guint64 bytes);

/* Says that a job's pieces were read and written, and that nobody reads them again. */
void copy_note_spent(struct copy *copy, const GArray *pieces);

#endif
