/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room in the target that its planner handed out ahead of use, and how it is spent: the oldest
 * first, to its end, so that what is not used when the copy ends lies behind all that is.
 *
 * Stored data takes whole units. Compressed units are packed byte by byte: each goes where the room
 * left by earlier ones is just large enough (a few such remnants are kept), and runs on into the
 * next unit where that one is free. Pure bookkeeping, without a lock.
 */
#ifndef INSTAR_SRC_COPY_LEASE_H
#define INSTAR_SRC_COPY_LEASE_H

#include <glib.h>

#define LEASE_RUNS     4
#define LEASE_REMNANTS 8

struct lease {
    guint64 unit;      /* bytes: what the target allocates */
    guint align;       /* bytes: where compressed data may start */
    guint max_sharers; /* compressed units that may touch one unit of room, 0: no bound */
    struct lease_run {
        guint64 pos, end; /* whole units not handed out yet */
    } runs[LEASE_RUNS];   /* in the order in which they came; the first may be empty */
    guint nr_runs;
    struct lease_remnant {
        guint64 pos, end; /* free bytes, inside one unit */
        guint sharers;    /* compressed units that touch it already */
    } remnants[LEASE_REMNANTS];
    guint nr_remnants;
};

/*
 * Adds room that the planner gave. More is asked for before all is used up, so there is a run that
 * is being spent and one to come; should there be too many, the oldest one is forgotten.
 */
void lease_add(struct lease *lease, guint64 offset, guint64 bytes);

/* Bytes of whole units that are left. */
guint64 lease_left(const struct lease *lease);

/* From where on nothing of the room is used: 0 before there was any. */
guint64 lease_unused(const struct lease *lease);

/*
 * Takes room for `bytes` of stored data, or for as much as there is.
 *
 * returns: bytes given room for, all in one piece at *out_offset: a multiple of the unit, or
 *          `bytes`; 0: no room at all
 */
guint64 lease_take(struct lease *lease, guint64 bytes, guint64 *out_offset);

/*
 * Takes room for one compressed unit.
 *
 * in:      0 < bytes <= unit
 * returns: FALSE when the lease has no such room
 */
gboolean lease_take_compressed(struct lease *lease, guint32 bytes, guint64 *out_offset);

#endif
