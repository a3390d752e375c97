/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check that repairs wants written, as a plan.
 *
 * The order keeps every prefix no worse than the damaged image: references that make no sense go
 * before the clusters they meant are free; refcounts are right before COPIED flags are; new
 * refcount structures and a new snapshot table are complete before one write to the header's first
 * sector switches to them; what is free then is free last. What the guest reads is the same all the
 * time, but for entries that were unreadable.
 *
 *   1 the file's size
 *   2 L2 entries of misplaced clusters without data: plain zeros
 *   3 refcount blocks: changed sectors of old ones, or all of new ones and their table; the header
 *   4 COPIED flags: L1 table, then L2 tables
 *   5 the new snapshot table; the header; refcounts of the old one
 *   6 discards of what is free now
 *   7 the header's dirty and corrupt bits
 *
 * A repair that had to stop writes what it had decided up to there.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_REPAIR_H
#define INSTAR_GUEST_FORMATS_QCOW2_REPAIR_H

#include "guest/formats/qcow2_bump.h"
#include "guest/formats/qcow2_check.h"
#include "guest/plan/plan.h"

#define QCOW2_REPAIR_FREED_MAX 4096u

struct qcow2_repair {
    struct plan base;
    struct qcow2_check check; /* the check's state, taken over at its end */

    uint64_t *zeros; /* file offsets of L2 entries that become plain zeros */
    uint64_t nr_zeros, max_zeros;

    bool settled;     /* refcounts are to be written */
    bool rebuilt;     /* to new blocks, with a new table */
    bool grown;       /* the file must reach as far as the last cluster in use */
    uint64_t highest; /* that cluster */
    uint8_t *touched; /* by refcount block: some refcount in it changes */
    uint64_t nr_touched;
    struct qcow2_run freed[QCOW2_REPAIR_FREED_MAX]; /* what has no references, as many as fit */
    uint64_t nr_freed;

    uint64_t l1_from, l1_to; /* entries whose flags change, and those between them */
    uint64_t l2_tables;      /* L2 tables of L1 entries below this get their flags */
    bool l2_changes;         /* some entry of theirs changes */

    uint32_t nr_flaws; /* of the snapshot table */
    bool new_snapshots;
    uint8_t *snapshots; /* the new table */
    uint64_t snapshots_bytes, snapshots_cluster;
    uint64_t old_snapshots_offset, old_snapshots_bytes;

    bool marked; /* corrupt */
    bool set_features;
    uint64_t features; /* incompatible features as they will be */

    /* qcow2_repair.c: where it stands */
    unsigned phase;
    uint64_t index;
    struct qcow2_l2_window walk;
    uint8_t *block; /* one cluster */
};

struct qcow2_repair *qcow2_repair_new(void);

/* Notes an L2 entry, by its offset in the file. returns: false when out of memory */
bool qcow2_repair_add_zero(struct qcow2_repair *r, uint64_t entry_offset);

/* Notes that refcounts of the clusters change. returns: false when out of memory */
bool qcow2_repair_touch(struct qcow2_repair *r, const struct qcow2_check *c, uint64_t cluster);

/* Notes a cluster that is free from now on, in ascending order. */
void qcow2_repair_add_freed(struct qcow2_repair *r, uint64_t cluster);

/* The image is left with a flaw that was to be written over: its corrupt bit is to be set. */
void qcow2_repair_mark_corrupt(struct qcow2_repair *r, const struct qcow2 *q);

/*
 * Makes the plan of what was noted; it takes over the check's counters and tables.
 *
 * returns: NULL when there is nothing to write; the repair is gone then
 */
struct plan *qcow2_repair_finish(struct qcow2_repair *r, struct qcow2_check *c);
void qcow2_repair_free(struct qcow2_repair *r);

#endif
