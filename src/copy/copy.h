/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy engine: pieces in, a target filled.
 *
 * The calling thread cuts the source's pieces into jobs (cut.h), feeds them to workers (pool.h) and
 * serves the target (target.h). A worker reads a job into a buffer that stays in its cache
 * (reader.h), looks for zeros (zero.h), compresses if asked to (compress.h), asks the target for
 * room and writes while the bytes are hot. Memory is bounded by the number of workers, whatever the
 * size of the image.
 */
#ifndef INSTAR_SRC_COPY_COPY_H
#define INSTAR_SRC_COPY_COPY_H

#include "src/copy/cut.h"
#include "src/copy/target.h"
#include "src/sandbox/sandbox.h"

/* Address space that a worker may take: buffers, a stack and a codec cell. */
#define COPY_WORKER_ADDRESSES (96ull << 20)

struct copy_feed {
    piece_next_fn next;
    piece_rest_fn rest; /* may be NULL, see cut.h */
    piece_rest_fn
        against; /* may be NULL, see cut.h: then zeros are data until they are looked at */
    void *user;
};

struct copy_options {
    guint workers;
    guint64 sparse_bytes;  /* zeros of at least this many bytes are left out; 0: zeros are data */
    gboolean trust_source; /* with sparse_bytes: zeros are where the source says, and only there */
    gboolean out_of_order; /* writes may be issued in any order */
    gboolean salvage;      /* what cannot be read becomes zeros and a warning */
    gboolean quiet;        /* salvaging goes without warnings */
    gboolean refuse_data;  /* the target cannot take data in this form: the first of it fails */
    gboolean offload;      /* let the kernel copy where it can, without looking for zeros */
    gboolean share;        /* blocks of the source may be shared, without looking for zeros */
    gboolean source_spent; /* the source is emptied afterwards: nobody reads it again */
    enum cell_codec codec; /* for targets that compress */
    guint64 rate_bytes;    /* per second, 0: no limit */
    guint64 total_bytes;   /* what progress counts up to; 0: no progress is wanted */
    guint64 source_unit;   /* bytes that the sources compress as one, 0: not known */
    guint64 chunk_bytes;   /* stock's request size, by which errors and progress are told; not 0 */
    struct cell_config cell;
};

enum copy_stage {
    COPY_STATUS, /* where the source's data is could not be found out */
    COPY_READ,
    COPY_READ_AGAINST, /* what the source is compared with */
    COPY_WRITE,
    COPY_OTHER, /* neither: see error */
};

struct copy_fault {
    enum copy_stage stage;
    guint64 offset;   /* bytes, in the virtual disk */
    int error_number; /* errno, 0: see error */
    GError *error;    /* may be NULL; freed by the caller */
};

/*
 * Walks over the source once, without copying.
 *
 * out:     *out_bytes: what total_bytes should be; with salvage, warnings about runs that cannot be
 *          found out are given, as stock gives them before it copies
 * returns: FALSE with *fault
 */
gboolean copy_survey(const struct copy_feed *feed, const struct target *target,
                     const struct copy_options *options, guint64 *out_bytes,
                     struct copy_fault *fault);

/*
 * Copies everything, and finishes the target.
 *
 * out:     *fault on failure: the one with the lowest offset of those that were met. What was
 *          written stays written
 * bound:   memory: workers * (a buffer of 1 to 2 MiB, twice when compressing), and a codec cell for
 *          each worker that meets compressed data
 */
gboolean copy_run(const struct copy_feed *feed, struct target *target,
                  const struct copy_options *options, struct copy_fault *fault);

#endif
