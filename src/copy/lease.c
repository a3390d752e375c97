/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing. A compressed unit is at most as long as a unit, so one more unit of room always
 * suffices.
 */
#include "src/copy/lease.h"

#include <string.h>

void lease_add(struct lease *lease, guint64 offset, guint64 bytes)
{
    if (offset != lease->end) {
        lease->pos = offset;
    }
    lease->end = offset + bytes;
}

guint64 lease_left(const struct lease *lease)
{
    return lease->end - lease->pos;
}

guint64 lease_take(struct lease *lease, guint64 bytes, guint64 *out_offset)
{
    guint64 whole = (bytes + lease->unit - 1) / lease->unit * lease->unit;
    guint64 given = MIN(whole, lease_left(lease));

    *out_offset = lease->pos;
    lease->pos += given;
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
    guint64 from, into;

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
    /* A remnant that ends where the free room begins is used up first. */
    from = lease->pos;
    for (i = 0; i < lease->nr_remnants; i++) {
        if (lease->remnants[i].end == lease->pos) {
            from = lease->remnants[i].pos;
            drop_remnant(lease, i);
            break;
        }
    }
    *out_offset = from;
    into = from + bytes;
    lease->pos += lease->unit;
    keep_remnant(lease, (struct lease_remnant){.pos = into, .end = lease->pos, .sharers = 1});
    return TRUE;
}
