/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters in pages; see qcow2_counts.h.
 */
#include "guest/formats/qcow2_counts.h"

#include <string.h>

#include "guest/lib/arena.h"

#define EIGHT_ONES 0x0101010101010101ull

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

void qcow2_counts_clear(struct qcow2_counts *c)
{
    for (uint64_t i = 0; c->pages && i <= c->nr >> QCOW2_COUNTS_PAGE_BITS; i++) {
        free(c->pages[i].narrow);
        free(c->pages[i].wide);
    }
    free(c->pages);
    *c = (struct qcow2_counts){0};
}

/* ---- looking ---- */

static bool has_runs(const struct qcow2_counts_page *page)
{
    return !page->narrow && !page->wide;
}

/* The first run that ends behind a place. */
static uint32_t find_run(const struct qcow2_counts_page *page, uint64_t at)
{
    uint32_t i = 0;

    while (i < page->nr_runs && page->runs[i].to <= at)
        i++;
    return i;
}

bool qcow2_counts_get8(const struct qcow2_counts *c, uint64_t cluster, uint64_t *out)
{
    const struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;
    uint8_t bytes[8];
    uint32_t i;

    if (page->wide)
        return false;
    if (page->narrow) {
        memcpy(out, &page->narrow[at], sizeof(*out));
        return true;
    }
    i = find_run(page, at);
    if (i == page->nr_runs || page->runs[i].from >= at + 8) {
        *out = 0;
    } else if (page->runs[i].from <= at && page->runs[i].to >= at + 8) {
        *out = EIGHT_ONES * page->runs[i].value;
    } else {
        for (unsigned k = 0; k < 8; k++)
            bytes[k] = (uint8_t)qcow2_counts_get(c, cluster + k);
        memcpy(out, bytes, sizeof(*out));
    }
    return true;
}

/* The same as qcow2_counts_next inside one page; QCOW2_COUNTS_PAGE: none. */
static uint64_t next_in_page(const struct qcow2_counts_page *page, uint64_t at)
{
    uint64_t eight;

    if (has_runs(page)) {
        uint32_t i = find_run(page, at);

        if (i == page->nr_runs)
            return QCOW2_COUNTS_PAGE;
        return at > page->runs[i].from ? at : page->runs[i].from;
    }
    while (at < QCOW2_COUNTS_PAGE) {
        if (page->narrow && at % 8 == 0) {
            memcpy(&eight, &page->narrow[at], sizeof(eight));
            if (!eight) {
                at += 8;
                continue;
            }
        }
        if (page->narrow ? page->narrow[at] : page->wide[at])
            break;
        at++;
    }
    return at;
}

uint64_t qcow2_counts_next(const struct qcow2_counts *c, uint64_t cluster, uint64_t end)
{
    while (cluster < end) {
        uint64_t page = cluster >> QCOW2_COUNTS_PAGE_BITS;
        uint64_t at = next_in_page(&c->pages[page], cluster % QCOW2_COUNTS_PAGE);

        cluster = (page << QCOW2_COUNTS_PAGE_BITS) + at;
        if (at < QCOW2_COUNTS_PAGE)
            return cluster < end ? cluster : end;
    }
    return end;
}

/* ---- counting ---- */

/* An array of bytes instead of runs. */
static bool make_narrow(struct qcow2_counts_page *page)
{
    page->narrow = arena_array(QCOW2_COUNTS_PAGE, 1);
    if (!page->narrow)
        return false;
    for (uint32_t i = 0; i < page->nr_runs; i++)
        memset(&page->narrow[page->runs[i].from], page->runs[i].value,
               page->runs[i].to - page->runs[i].from);
    page->nr_runs = 0;
    return true;
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

/* One more run, of counters that are 0 now, before runs[i]. False: there are too many. */
static bool add_run(struct qcow2_counts_page *page, uint32_t i, uint64_t from, uint64_t to,
                    uint8_t value)
{
    struct qcow2_counts_run *runs = page->runs;
    bool joins_left = i > 0 && runs[i - 1].to == from && runs[i - 1].value == value;
    bool joins_right = i < page->nr_runs && runs[i].from == to && runs[i].value == value;

    if (joins_left && joins_right) {
        runs[i - 1].to = runs[i].to;
        memmove(&runs[i], &runs[i + 1], (page->nr_runs - i - 1) * sizeof(*runs));
        page->nr_runs--;
    } else if (joins_left) {
        runs[i - 1].to = (uint16_t)to;
    } else if (joins_right) {
        runs[i].from = (uint16_t)from;
    } else {
        if (page->nr_runs == QCOW2_COUNTS_RUNS_MAX)
            return false;
        memmove(&runs[i + 1], &runs[i], (page->nr_runs - i) * sizeof(*runs));
        runs[i] = (struct qcow2_counts_run){(uint16_t)from, (uint16_t)to, value};
        page->nr_runs++;
    }
    return true;
}

/* Makes counters [at, end) of runs[i] 0. False: the run would be two, and there are too many. */
static bool drop(struct qcow2_counts_page *page, uint32_t i, uint64_t at, uint64_t end)
{
    struct qcow2_counts_run *runs = page->runs, rest = runs[i];

    rest.from = (uint16_t)end;
    if (runs[i].from < at && rest.from < rest.to) {
        if (page->nr_runs == QCOW2_COUNTS_RUNS_MAX)
            return false;
        memmove(&runs[i + 2], &runs[i + 1], (page->nr_runs - i - 1) * sizeof(*runs));
        runs[i].to = (uint16_t)at;
        runs[i + 1] = rest;
        page->nr_runs++;
    } else if (runs[i].from < at) {
        runs[i].to = (uint16_t)at;
    } else if (rest.from < rest.to) {
        runs[i] = rest;
    } else {
        memmove(&runs[i], &runs[i + 1], (page->nr_runs - i - 1) * sizeof(*runs));
        page->nr_runs--;
    }
    return true;
}

/* Changes one counter of a page of runs. False: it needs an array; what is set is then left to it.
 */
static bool set_in_runs(struct qcow2_counts_page *page, uint64_t at, uint64_t value)
{
    uint32_t i = find_run(page, at);
    uint64_t now = i < page->nr_runs && page->runs[i].from <= at ? page->runs[i].value : 0;

    if (now == value)
        return true;
    if (value > UINT8_MAX || (now != 0 && !drop(page, i, at, at + 1)))
        return false;
    return value == 0 || add_run(page, find_run(page, at), at, at + 1, (uint8_t)value);
}

bool qcow2_counts_set(struct qcow2_counts *c, uint64_t cluster, uint64_t value)
{
    struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;

    if (has_runs(page)) {
        if (set_in_runs(page, at, value))
            return true;
        if (!make_narrow(page))
            return false;
    }
    if (page->narrow && value <= UINT8_MAX) {
        page->narrow[at] = (uint8_t)value;
        return true;
    }
    if (!page->wide && !widen(page))
        return false;
    page->wide[at] = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    return true;
}

uint64_t qcow2_counts_raise(struct qcow2_counts *c, uint64_t cluster, uint64_t nr, uint64_t most)
{
    struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;
    uint32_t i = has_runs(page) ? find_run(page, at) : page->nr_runs;
    uint8_t value;

    if (i == page->nr_runs || page->runs[i].from > at || page->runs[i].value == UINT8_MAX ||
        page->runs[i].value >= most)
        return 0;
    value = page->runs[i].value;
    if (nr > page->runs[i].to - at)
        nr = page->runs[i].to - at;
    /* Splitting a run takes two places at most: what has begun does not fail. */
    if (page->nr_runs + 2 > QCOW2_COUNTS_RUNS_MAX || !drop(page, i, at, at + nr))
        return 0;
    return add_run(page, find_run(page, at), at, at + nr, (uint8_t)(value + 1)) ? nr : 0;
}

static uint64_t fill_narrow(uint8_t *from, uint64_t nr)
{
    uint64_t done = 0, eight;

    for (; done + 8 <= nr; done += 8) {
        memcpy(&eight, &from[done], sizeof(eight));
        if (eight)
            break;
        eight = EIGHT_ONES;
        memcpy(&from[done], &eight, sizeof(eight));
    }
    for (; done < nr && !from[done]; done++)
        from[done] = 1;
    return done;
}

uint64_t qcow2_counts_fill(struct qcow2_counts *c, uint64_t cluster, uint64_t nr)
{
    struct qcow2_counts_page *page = &c->pages[cluster >> QCOW2_COUNTS_PAGE_BITS];
    uint64_t at = cluster % QCOW2_COUNTS_PAGE;

    if (nr > QCOW2_COUNTS_PAGE - at)
        nr = QCOW2_COUNTS_PAGE - at;
    if (page->wide)
        return 0;
    if (has_runs(page)) {
        uint32_t i = find_run(page, at);

        if (i < page->nr_runs && page->runs[i].from <= at)
            return 0;
        if (i < page->nr_runs && page->runs[i].from - at < nr)
            nr = page->runs[i].from - at;
        if (add_run(page, i, at, at + nr, 1))
            return nr;
        if (!make_narrow(page))
            return 0;
    }
    return fill_narrow(&page->narrow[at], nr);
}
