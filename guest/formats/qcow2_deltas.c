/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_deltas.h"

#include <stdlib.h>
#include <string.h>

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static uint64_t pages_of(uint64_t clusters)
{
    return div_round_up_u64(clusters, QCOW2_DELTAS_PAGE);
}

bool qcow2_deltas_init(struct qcow2_deltas *d, uint64_t from, uint64_t to, uint64_t unit)
{
    *d = (struct qcow2_deltas){.from = from, .to = to, .unit = unit};
    d->pages = arena_array(pages_of(to - from), sizeof(*d->pages));
    return d->pages != NULL;
}

static void drop_pages(struct qcow2_deltas *d, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        d->nr_arrays -= d->pages[i].each != NULL;
        free(d->pages[i].each);
        d->pages[i] = (struct qcow2_deltas_page){0};
    }
}

void qcow2_deltas_clear(struct qcow2_deltas *d)
{
    if (d->pages)
        drop_pages(d, 0, pages_of(d->to - d->from));
    free(d->pages);
    *d = (struct qcow2_deltas){0};
}

/* Half of the window, in units. */
static void shrink(struct qcow2_deltas *d)
{
    uint64_t pages = pages_of(d->to - d->from);
    d->to = d->from + max_u64(1, (d->to - d->from) / d->unit / 2) * d->unit;
    drop_pages(d, pages_of(d->to - d->from), pages);
}

/* The run that ends behind `at`, or nr_runs. */
static uint32_t find_run(const struct qcow2_deltas_page *page, uint64_t at)
{
    uint32_t i = 0;
    while (i < page->nr_runs && page->runs[i].to <= at)
        i++;
    return i;
}

/* The delta at a place of a page, the same up to *out_end. */
static int32_t look(const struct qcow2_deltas_page *page, uint64_t at, uint64_t *out_end)
{
    if (page->each) {
        uint64_t end = at + 1;
        while (end < QCOW2_DELTAS_PAGE && page->each[end] == page->each[at])
            end++;
        *out_end = end;
        return page->each[at];
    }
    uint32_t i = find_run(page, at);
    bool inside = i < page->nr_runs && page->runs[i].from <= at;
    if (i == page->nr_runs)
        *out_end = QCOW2_DELTAS_PAGE;
    else
        *out_end = inside ? page->runs[i].to : page->runs[i].from;
    return inside ? page->runs[i].add : 0;
}

int32_t qcow2_deltas_run(const struct qcow2_deltas *d, uint64_t cluster, uint64_t *out_end)
{
    uint64_t at = cluster - d->from, first = at - at % QCOW2_DELTAS_PAGE, end;
    int32_t add = look(&d->pages[first / QCOW2_DELTAS_PAGE], at - first, &end);
    *out_end = min_u64(d->from + first + end, d->to);
    return add;
}

/* The page with [from, to) raised, as runs into `out`. returns: how many, at most RUNS_MAX + 2 */
static uint32_t raised(const struct qcow2_deltas_page *page, uint64_t from, uint64_t to, int add,
                       struct qcow2_delta_run *out, bool *out_fits)
{
    uint32_t nr = 0;
    for (uint64_t at = 0, end; at < QCOW2_DELTAS_PAGE; at = end) {
        int32_t value = look(page, at, &end);
        if (at < from)
            end = min_u64(end, from);
        else if (at < to)
            end = min_u64(end, to);
        if (at >= from && at < to && __builtin_add_overflow(value, add, &value))
            *out_fits = false;
        if (value && nr && out[nr - 1].to == at && out[nr - 1].add == value)
            out[nr - 1].to = (uint16_t)end;
        else if (value)
            out[nr++] = (struct qcow2_delta_run){(uint16_t)at, (uint16_t)end, value};
    }
    return nr;
}

static bool make_each(struct qcow2_deltas *d, struct qcow2_deltas_page *page)
{
    int32_t *each = arena_array(QCOW2_DELTAS_PAGE, sizeof(*each));
    if (!each)
        return false;
    for (uint32_t i = 0; i < page->nr_runs; i++) {
        for (uint64_t at = page->runs[i].from; at < page->runs[i].to; at++)
            each[at] = page->runs[i].add;
    }
    page->each = each;
    page->nr_runs = 0;
    d->nr_arrays++;
    return true;
}

/* In a page whose runs do not suffice. */
static bool add_to_each(struct qcow2_deltas_page *page, uint64_t from, uint64_t to, int add)
{
    for (uint64_t at = from; at < to; at++) {
        if (__builtin_add_overflow(page->each[at], add, &page->each[at]))
            return false;
    }
    return true;
}

static bool add_to_page(struct qcow2_deltas *d, uint64_t index, uint64_t from, uint64_t to, int add,
                        bool *out_no_memory)
{
    /* Cutting out of a run makes three of it. */
    struct qcow2_delta_run runs[QCOW2_DELTAS_RUNS_MAX * 2 + 3];
    struct qcow2_deltas_page *page = &d->pages[index];
    bool fits = true;
    if (page->each)
        return add_to_each(page, from, to, add);
    uint32_t nr = raised(page, from, to, add, runs, &fits);
    if (!fits)
        return false;
    if (nr <= QCOW2_DELTAS_RUNS_MAX) {
        memcpy(page->runs, runs, nr * sizeof(*runs));
        page->nr_runs = nr;
        return true;
    }
    while (d->nr_arrays >= QCOW2_DELTAS_ARRAYS_MAX && d->to - d->from > d->unit)
        shrink(d);
    if (index >= pages_of(d->to - d->from))
        return true;
    *out_no_memory = !make_each(d, page);
    return !*out_no_memory && add_to_each(page, from, to, add);
}

bool qcow2_deltas_add(struct qcow2_deltas *d, uint64_t cluster, uint64_t nr, int add,
                      bool *out_no_memory)
{
    uint64_t end = cluster + nr;
    *out_no_memory = false;
    for (uint64_t c = max_u64(cluster, d->from); c < min_u64(end, d->to);) {
        uint64_t at = c - d->from, first = at - at % QCOW2_DELTAS_PAGE;
        uint64_t to = min_u64(min_u64(end, d->to) - d->from - first, QCOW2_DELTAS_PAGE);
        if (!add_to_page(d, first / QCOW2_DELTAS_PAGE, at - first, to, add, out_no_memory))
            return false;
        c = d->from + first + QCOW2_DELTAS_PAGE;
    }
    return true;
}
