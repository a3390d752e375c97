/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counter for each host cluster, for checks.
 *
 * Memory follows what is counted, not the size of the file: counters come in pages. A page in which
 * a few runs of counters have one value each and the others are 0 has no array: tables and data
 * that were allocated in order look like that, shared with snapshots or not. Any other has one byte
 * a counter until one of them passes 255.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_COUNTS_H
#define INSTAR_GUEST_FORMATS_QCOW2_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#define QCOW2_COUNTS_PAGE_BITS 10u
#define QCOW2_COUNTS_PAGE      (1ull << QCOW2_COUNTS_PAGE_BITS)

#define QCOW2_COUNTS_RUNS_MAX 6u

/* Counters [from, to) of a page are `value`, which is not 0. */
struct qcow2_counts_run {
    uint16_t from, to;
    uint8_t value;
};

/* A page: at most one of the arrays is there; with neither its runs say what is not 0. */
struct qcow2_counts_page {
    uint8_t *narrow;
    uint32_t *wide; /* saturates at UINT32_MAX */
    uint32_t nr_runs;
    struct qcow2_counts_run runs[QCOW2_COUNTS_RUNS_MAX]; /* ascending, apart */
};

struct qcow2_counts {
    struct qcow2_counts_page *pages;
    uint64_t nr; /* clusters */
};

/*
 * Makes counters for clusters [0, nr), all zero.
 *
 * returns: false when out of memory
 */
bool qcow2_counts_init(struct qcow2_counts *c, uint64_t nr);

/* Makes it counters for [0, nr) at least; the new ones are zero. returns: false when out of memory
 */
bool qcow2_counts_grow(struct qcow2_counts *c, uint64_t nr);
void qcow2_counts_clear(struct qcow2_counts *c);

/* cluster < nr. */
static inline uint32_t qcow2_counts_get(const struct qcow2_counts *c, uint64_t cluster)
{
    const struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;

    if (page->narrow)
        return page->narrow[at];
    if (page->wide)
        return page->wide[at];
    for (uint32_t i = 0; i < page->nr_runs; i++) {
        if (at < page->runs[i].to)
            return at >= page->runs[i].from ? page->runs[i].value : 0;
    }
    return 0;
}

/*
 * Eight counters at once, as bytes in memory order; cluster is a multiple of 8.
 *
 * returns: false when they are wide
 */
bool qcow2_counts_get8(const struct qcow2_counts *c, uint64_t cluster, uint64_t *out);

/* The first cluster from `cluster` on, below `end`, whose counter is not 0; `end`: none. */
uint64_t qcow2_counts_next(const struct qcow2_counts *c, uint64_t cluster, uint64_t end);

/* Values above UINT32_MAX are stored as that. returns: false when out of memory */
bool qcow2_counts_set(struct qcow2_counts *c, uint64_t cluster, uint64_t value);

/*
 * Makes counters that are 0 into 1, from `cluster` on: at most nr, up to the first that is not 0.
 *
 * returns: how many; 0 also when out of memory
 */
uint64_t qcow2_counts_fill(struct qcow2_counts *c, uint64_t cluster, uint64_t nr);

/*
 * Makes counters that are alike and not 0 larger by one, from `cluster` on: at most nr, and none
 * that is `most` already.
 *
 * returns: how many; 0 when it is to be done one by one
 */
uint64_t qcow2_counts_raise(struct qcow2_counts *c, uint64_t cluster, uint64_t nr, uint64_t most);

#endif
