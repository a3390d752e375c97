/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is added to the refcounts of a window of clusters, or taken from them.
 *
 * Memory follows what changes: deltas come in pages; one in which few runs have one delta each has
 * no array, as where tables and data were allocated in order. When there are too many arrays the
 * window becomes smaller, and what lies behind it is for another one.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_DELTAS_H
#define INSTAR_GUEST_FORMATS_QCOW2_DELTAS_H

#include <stdbool.h>
#include <stdint.h>

#define QCOW2_DELTAS_PAGE       1024u
#define QCOW2_DELTAS_RUNS_MAX   6u
#define QCOW2_DELTAS_ARRAYS_MAX 16384u /* of 4 KiB */

/* Clusters [from, to) of a page have a delta that is not 0. */
struct qcow2_delta_run {
    uint16_t from, to;
    int32_t add;
};

struct qcow2_deltas_page {
    int32_t *each; /* NULL: the runs say it */
    uint32_t nr_runs;
    struct qcow2_delta_run runs[QCOW2_DELTAS_RUNS_MAX]; /* ascending, apart */
};

struct qcow2_deltas {
    struct qcow2_deltas_page *pages;
    uint64_t from, to; /* clusters */
    uint64_t unit;     /* clusters: `to` stays a multiple of these behind `from` */
    uint64_t nr_arrays;
};

/*
 * Makes a window over clusters [from, to) in which nothing changes.
 *
 * in:      to - from: a multiple of unit, and not 0
 * returns: false when out of memory
 */
bool qcow2_deltas_init(struct qcow2_deltas *d, uint64_t from, uint64_t to, uint64_t unit);
void qcow2_deltas_clear(struct qcow2_deltas *d);

/*
 * Adds to what lies in the window of clusters [cluster, cluster + nr). The window may become
 * smaller, but not than one unit.
 *
 * returns: false when a delta goes out of range; *out_no_memory: or when out of memory
 */
bool qcow2_deltas_add(struct qcow2_deltas *d, uint64_t cluster, uint64_t nr, int add,
                      bool *out_no_memory);

/* The delta of a cluster in the window; it is the same up to *out_end, of the window. */
int32_t qcow2_deltas_run(const struct qcow2_deltas *d, uint64_t cluster, uint64_t *out_end);

#endif
