/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counter for each host cluster, for checks.
 *
 * Memory follows what is counted, not the size of the file: counters come in pages, a page that
 * was never touched is not there, and a page has one byte a counter until one of them passes 255.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_COUNTS_H
#define INSTAR_GUEST_FORMATS_QCOW2_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#define QCOW2_COUNTS_PAGE_BITS 15u
#define QCOW2_COUNTS_PAGE      (1ull << QCOW2_COUNTS_PAGE_BITS)

/* A page: at most one of the two is there. */
struct qcow2_counts_page {
    uint8_t *narrow;
    uint32_t *wide; /* saturates at UINT32_MAX */
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
    return page->wide ? page->wide[at] : 0;
}

/* The first cluster from `cluster` on, below `end`, whose counter is not 0; `end`: none. */
uint64_t qcow2_counts_next(const struct qcow2_counts *c, uint64_t cluster, uint64_t end);

/* Values above UINT32_MAX are stored as that. returns: false when out of memory */
bool qcow2_counts_set(struct qcow2_counts *c, uint64_t cluster, uint64_t value);

#endif
