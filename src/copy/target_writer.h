/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a planned target. Only src/copy/target_writer*.c include this.
 *
 *   target_writer.c        the target's verbs: opens, serves, ends
 *   target_writer_room.c   workers: leases are spent, or runs placed by the feeder
 *   target_writer_calls.c  the cell's WRITER_* methods, called from the feeder's thread alone
 *
 * What the cell answers is checked before it is used: room lies where offsets cannot overflow, a
 * placed run covers exactly what was asked for. A cell that lies can spoil the image it plans, and
 * nothing else: bytes go to the endpoints the copy was given, and to no other.
 */
#ifndef INSTAR_SRC_COPY_TARGET_WRITER_H
#define INSTAR_SRC_COPY_TARGET_WRITER_H

#include "src/copy/lease.h"
#include "src/copy/target_ops.h"

#define WRITER_REPORTS_BATCH 4096u        /* places reported in one call */
#define WRITER_OFFSET_MAX    (1ull << 62) /* what lies behind is not believed */

/* A worker that waits for its runs to be placed. */
struct placing {
    GArray *places;
    gboolean taken; /* the feeder looks at it: the worker may not leave before it is done */
    gboolean done;
    gboolean failed;
    int refused; /* errno with which the format does not take the runs */
    struct placing *next;
};

struct writer {
    struct target target;
    struct cell *cell;
    struct apply_target *blobs; /* sorted by id */
    guint nr_blobs;
    guint32 data_blob;
    gboolean leases, linear;
    guint64 linear_offset;

    /* Under the pool's lock. */
    struct lease lease;
    guint64 leased_bytes;  /* all in all */
    guint64 most_bytes;    /* upper bound of what may still come */
    gboolean wants_lease;  /* a worker found too little */
    struct placing *waits; /* oldest first */
    GArray *reports;       /* of struct cell_place */
    gboolean abandoned;
};

static inline struct writer *writer_of(struct target *target)
{
    return (struct writer *)target;
}

/* ---- target_writer_calls.c: feeder ---- */

/*
 * Calls a WRITER_* method, with places as its records (NULL: none).
 *
 * out:     *out the reply, freed by the caller, whose error field is checked already
 */
gboolean writer_call(struct writer *writer, enum cell_method method,
                     const ProtobufCMessage *request, const GArray *places,
                     const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
                     struct target_fault *fault);

/* An answer of the cell that cannot be right: FALSE, with the fault that says so. */
gboolean writer_refuse(struct target_fault *fault, const char *what);

/* Applies the plan that the cell has ready. */
gboolean writer_apply(struct writer *writer, struct target_fault *fault);

/* Bytes of room to ask for next. Any thread; pool's lock held, or the feeder's. */
guint64 writer_next_lease(const struct writer *writer);
gboolean writer_fetch_lease(struct writer *writer, guint64 bytes, struct target_fault *fault);

/* Passes reports on: all of them, or only when there are enough to be worth a call. */
gboolean writer_pass_reports(struct writer *writer, gboolean all, struct target_fault *fault);

/*
 * Finds room for runs that may lie where clusters exist already.
 *
 * out:     places as target_room leaves them; *refused: the errno with which the format does not
 *          take the runs, which is no failure of the call
 */
gboolean writer_place_run(struct writer *writer, GArray *places, int *refused,
                          struct target_fault *fault);

/* The same for all workers that wait for it. */
gboolean writer_place_waiting(struct writer *writer, struct target_fault *fault);

/* The file behind an id of the cell's, borrowed; NULL: it has none of that id. */
struct endpoint *writer_endpoint(const struct writer *writer, guint32 blob);

/* ---- target_writer_room.c: workers ---- */

/* As target_room. */
gboolean writer_room(struct target *target, GArray *places, struct target_fault *fault);

#endif
