/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing. A compressed unit is at most as long as a unit, so one more unit of room always
 * suffices.
 */
#include "src/copy/lease.h"

#include <string.h>

static guint64 run_left(const struct lease_run *run)
{
    return run->end - run->pos;
}

static void drop_first(struct lease *lease)
{
    memmove(&lease->runs[0], &lease->runs[1], --lease->nr_runs * sizeof(lease->runs[0]));
}

void lease_add(struct lease *lease, guint64 offset, guint64 bytes)
{
    if (lease->nr_runs > 0 && lease->runs[lease->nr_runs - 1].end == offset) {
        lease->runs[lease->nr_runs - 1].end += bytes;
        return;
    }
    if (lease->nr_runs == LEASE_RUNS || (lease->nr_runs > 0 && run_left(&lease->runs[0]) == 0)) {
        drop_first(lease);
    }
    lease->runs[lease->nr_runs++] = (struct lease_run){.pos = offset, .end = offset + bytes};
}

guint64 lease_left(const struct lease *lease)
{
    guint64 left = 0;

    for (guint i = 0; i < lease->nr_runs; i++) {
        left += run_left(&lease->runs[i]);
    }
    return left;
}

guint64 lease_unused(const struct lease *lease)
{
    return lease->runs[0].pos;
}

/* Takes from the first run; one that is used up stays only as the last, to be continued. */
static guint64 take(struct lease *lease, guint64 whole, guint64 *out_offset)
{
    struct lease_run *run = &lease->runs[0];
    guint64 given = MIN(whole, run_left(run));

    *out_offset = run->pos;
    run->pos += given;
    if (run_left(run) == 0 && lease->nr_runs > 1) {
        drop_first(lease);
    }
    return given;
}

guint64 lease_take(struct lease *lease, guint64 bytes, guint64 *out_offset)
{
    guint64 whole = (bytes + lease->unit - 1) / lease->unit * lease->unit;
    guint64 given = take(lease, whole, out_offset);

    return MIN(given, bytes);
}

static void drop_remnant(struct lease *lease, guint i)
{
    lease->remnants[i] = lease->remnants[--lease->nr_remnants];
}

/* Keeps what is left of a unit, in place of the smallest remnant if there are too many. */
static void keep_remnant(struct lease *lease, struct lease_remnant left)
{
    guint smallest = 0;

    left.pos = (left.pos + lease->align - 1) / lease->align * lease->align;
    if (left.pos >= left.end || (lease->max_sharers != 0 && left.sharers >= lease->max_sharers)) {
        return;
    }
    if (lease->nr_remnants < LEASE_REMNANTS) {
        lease->remnants[lease->nr_remnants++] = left;
        return;
    }
    for (guint i = 1; i < LEASE_REMNANTS; i++) {
        const struct lease_remnant *r = &lease->remnants[i], *s = &lease->remnants[smallest];

        if (r->end - r->pos < s->end - s->pos) {
            smallest = i;
        }
    }
    lease->remnants[smallest] = left;
}

/* The remnant that fits best, or LEASE_REMNANTS. */
static guint best_remnant(const struct lease *lease, guint32 bytes)
{
    guint best = LEASE_REMNANTS;
    guint64 best_left = G_MAXUINT64;

    for (guint i = 0; i < lease->nr_remnants; i++) {
        guint64 left = lease->remnants[i].end - lease->remnants[i].pos;

        if (left >= bytes && left < best_left) {
            best = i;
            best_left = left;
        }
    }
    return best;
}

gboolean lease_take_compressed(struct lease *lease, guint32 bytes, guint64 *out_offset)
{
    guint i = best_remnant(lease, bytes);
    guint64 from, at;

    if (i < LEASE_REMNANTS) {
        struct lease_remnant left = lease->remnants[i];

        drop_remnant(lease, i);
        *out_offset = left.pos;
        left.pos += bytes;
        left.sharers++;
        keep_remnant(lease, left);
        return TRUE;
    }
    if (lease_left(lease) < lease->unit) {
        return FALSE;
    }
    take(lease, lease->unit, &at);
    from = at;
    /* A remnant that ends where the new unit begins is used up first. */
    for (i = 0; i < lease->nr_remnants; i++) {
        if (lease->remnants[i].end == at) {
            from = lease->remnants[i].pos;
            drop_remnant(lease, i);
            break;
        }
    }
    *out_offset = from;
    keep_remnant(
        lease, (struct lease_remnant){.pos = from + bytes, .end = at + lease->unit, .sharers = 1});
    return TRUE;
}
