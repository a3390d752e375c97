/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters in pages; see qcow2_counts.h.
 */
#include "guest/formats/qcow2_counts.h"

#include <string.h>

#include "guest/lib/arena.h"

bool qcow2_counts_init(struct qcow2_counts *c, uint64_t nr)
{
    c->nr = nr;
    c->pages = arena_array((nr >> QCOW2_COUNTS_PAGE_BITS) + 1, sizeof(*c->pages));
    return c->pages != NULL;
}

bool qcow2_counts_grow(struct qcow2_counts *c, uint64_t nr)
{
    uint64_t had = (c->nr >> QCOW2_COUNTS_PAGE_BITS) + 1;
    uint64_t have = (nr >> QCOW2_COUNTS_PAGE_BITS) + 1;
    struct qcow2_counts_page *pages;

    if (nr <= c->nr)
        return true;
    if (have > had) {
        pages = arena_array(have, sizeof(*pages));
        if (!pages)
            return false;
        memcpy(pages, c->pages, had * sizeof(*pages));
        free(c->pages);
        c->pages = pages;
    }
    c->nr = nr;
    return true;
}

uint64_t qcow2_counts_next(const struct qcow2_counts *c, uint64_t cluster, uint64_t end)
{
    for (; cluster < end; cluster++) {
        const struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];

        if (!page->narrow && !page->wide)
            cluster |= QCOW2_COUNTS_PAGE - 1;
        else if (qcow2_counts_get(c, cluster))
            return cluster;
    }
    return end;
}

void qcow2_counts_clear(struct qcow2_counts *c)
{
    for (uint64_t i = 0; c->pages && i <= c->nr >> QCOW2_COUNTS_PAGE_BITS; i++) {
        free(c->pages[i].narrow);
        free(c->pages[i].wide);
    }
    free(c->pages);
    *c = (struct qcow2_counts){0};
}

static bool widen(struct qcow2_counts_page *page)
{
    uint32_t *wide = arena_array(QCOW2_COUNTS_PAGE, sizeof(*wide));

    if (!wide)
        return false;
    for (uint64_t i = 0; page->narrow && i < QCOW2_COUNTS_PAGE; i++)
        wide[i] = page->narrow[i];
    free(page->narrow);
    page->narrow = NULL;
    page->wide = wide;
    return true;
}

bool qcow2_counts_set(struct qcow2_counts *c, uint64_t cluster, uint64_t value)
{
    struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;

    if (page->narrow && value <= UINT8_MAX) {
        page->narrow[at] = (uint8_t)value;
        return true;
    }
    if (!page->narrow && !page->wide) {
        if (value == 0)
            return true;
        page->narrow = arena_array(QCOW2_COUNTS_PAGE, 1);
        if (!page->narrow)
            return false;
        return qcow2_counts_set(c, cluster, value);
    }
    if (!page->wide && !widen(page))
        return false;
    page->wide[at] = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    return true;
}
