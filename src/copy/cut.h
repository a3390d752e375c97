/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a stream of pieces into jobs that suit the target: whole units of it, small enough for a
 * buffer that stays in the cache. What the target need not be told about is left out here.
 */
#ifndef INSTAR_SRC_COPY_CUT_H
#define INSTAR_SRC_COPY_CUT_H

#include "src/copy/piece.h"

/*
 * Gives pieces in order of start, without gaps.
 *
 * returns: 1 with *out; 0 at the end; -1 with *error, about the offset where *out would have begun
 */
typedef int (*piece_next_fn)(void *user, struct piece *out, GError **error);

/*
 * Gives what the target itself holds at [start, start + length): appended to `pieces` (struct
 * piece), for units of which the copy writes only a part.
 */
typedef gboolean (*piece_rest_fn)(void *user, guint64 start, guint64 length, GArray *pieces,
                                  GError **error);

struct cut_rules {
    piece_next_fn next;
    piece_rest_fn rest; /* NULL: zeros */
    /*
     * Gives what is there without the copy, for pieces that are not SKIP, each asked for once and
     * in order: units that hold the same are left out. NULL: nothing is compared.
     */
    piece_rest_fn against;
    void *user;
    guint64 unit_bytes;
    guint64 job_bytes;    /* a multiple of unit_bytes */
    guint64 packed_bytes; /* the same for jobs with something to decode: it is in memory twice */
    gboolean drop_zeros;  /* zeros need not be written */
    gboolean zero_ranges; /* long zeros become jobs of their own, else they are data */
};

struct job {
    guint64 start, length; /* bytes; on units, but for the disk's end */
    gboolean zero;         /* all of it reads as zeros: nothing to read */
    GArray *pieces;        /* of struct piece; they cover the job exactly. NULL for zero */
    GArray *others; /* the same for what they are compared with; SKIP: not compared; or NULL */
};

struct cutter;
struct cutter *cutter_new(const struct cut_rules *rules);
void cutter_free(struct cutter *cutter);

/* As piece_next_fn; a job is freed with job_free. */
int cutter_next(struct cutter *cutter, struct job **out, GError **error);
void job_free(struct job *job);

/* Where the next piece would begin: what an error is about. */
guint64 cutter_position(const struct cutter *cutter);

#endif
