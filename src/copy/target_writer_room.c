/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for what workers are about to write: out of a lease, or asked for run by run. Where there is
 * none yet, a worker waits for the feeder.
 */
#include <errno.h>

#include "src/copy/target_writer.h"

/* A worker that was let go because the copy has failed elsewhere. */
static gboolean let_go(struct target_fault *fault)
{
    return target_errno(fault, ECANCELED);
}

/* Lock held. Waits until the feeder has done something, or does it, on the feeder's thread. */
static gboolean wait_served(struct writer *writer, struct target_fault *fault)
{
    struct pool *pool = writer->target.pool;

    if (writer->abandoned) {
        return let_go(fault);
    }
    if (pool_is_feeder(pool)) {
        gboolean ok;

        pool_unlock(pool);
        ok = target_serve(&writer->target, writer->most_bytes, fault);
        pool_lock(pool);
        return ok;
    }
    pool_tell(pool);
    pool_wait_answer(pool);
    return !writer->abandoned || let_go(fault);
}

/*
 * The offset of a run inside the unit that the data before it has its end in; FALSE: another unit.
 * Between the two there may be zeros, which have no place of their own.
 */
static gboolean same_unit(const struct writer *writer, const GArray *out,
                          const struct cell_place *run, guint64 *out_offset)
{
    guint64 unit = writer->target.shape.unit_bytes;

    for (guint i = out->len; run->start % unit != 0 && i > 0; i--) {
        const struct cell_place *last = &g_array_index(out, struct cell_place, i - 1);

        if ((last->start + last->length - 1) / unit != run->start / unit) {
            return FALSE;
        }
        if (last->kind == CELL_PLACE_DATA) {
            *out_offset = last->offset + (run->start - last->start);
            return TRUE;
        }
    }
    return FALSE;
}

/* Spends the lease on data that begins inside a unit: the unit is taken whole, once. */
static guint64 lease_part(struct writer *writer, const GArray *out, const struct cell_place *run,
                          guint64 *out_offset)
{
    guint64 unit = writer->target.shape.unit_bytes, in = run->start % unit, given;

    if (same_unit(writer, out, run, out_offset)) {
        return MIN(run->length, unit - in);
    }
    given = lease_take(&writer->lease, in + run->length, out_offset);
    *out_offset += in;
    return given > in ? given - in : 0;
}

/* Lock held. Spends the lease on one run; what does not fit is waited for. */
static gboolean lease_run(struct writer *writer, struct cell_place run, GArray *out,
                          struct target_fault *fault)
{
    while (run.length > 0) {
        struct cell_place part = run;

        part.blob = writer->data_blob;
        if (run.kind == CELL_PLACE_COMPRESSED) {
            part.length =
                lease_take_compressed(&writer->lease, run.comp_len, &part.offset) ? run.length : 0;
        } else if (run.kind == CELL_PLACE_DATA) {
            part.length = lease_part(writer, out, &run, &part.offset);
        }
        if (part.length > 0) {
            g_array_append_val(out, part);
            run.start += part.length;
            run.length -= part.length;
        } else {
            writer->wants_lease = TRUE;
            if (!wait_served(writer, fault)) {
                return FALSE;
            }
        }
    }
    return TRUE;
}

static gboolean room_from_lease(struct writer *writer, GArray *places, struct target_fault *fault)
{
    g_autoptr(GArray) out = g_array_sized_new(FALSE, FALSE, sizeof(struct cell_place), places->len);
    gboolean ok = TRUE;

    pool_lock(writer->target.pool);
    for (guint i = 0; ok && i < places->len; i++) {
        ok = lease_run(writer, g_array_index(places, struct cell_place, i), out, fault);
    }
    /* The feeder is told while there is still some, so that nobody has to wait. */
    if (ok && lease_left(&writer->lease) < MIN(writer->most_bytes, writer_next_lease(writer) / 2)) {
        writer->wants_lease = TRUE;
        pool_tell(writer->target.pool);
    }
    pool_unlock(writer->target.pool);
    if (ok) {
        g_array_set_size(places, 0);
        g_array_append_vals(places, out->data, out->len);
    }
    return ok;
}

/* Lock held. Nobody may look at a worker's wait that is over. */
static void leave(struct writer *writer, struct placing *wait)
{
    struct placing **link = &writer->waits;

    while (wait->taken && !wait->done) {
        pool_wait_answer(writer->target.pool);
    }
    while (*link != NULL && *link != wait) {
        link = &(*link)->next;
    }
    if (*link == wait) {
        *link = wait->next;
    }
}

static gboolean room_by_placing(struct writer *writer, GArray *places, struct target_fault *fault)
{
    struct placing wait = {.places = places};
    struct placing **end = &writer->waits;
    gboolean ok = TRUE;

    if (pool_is_feeder(writer->target.pool)) {
        return writer_place_run(writer, places, &wait.refused, fault) &&
               (wait.refused == 0 || target_errno(fault, wait.refused));
    }
    pool_lock(writer->target.pool);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = &wait;
    while (ok && !wait.done) {
        ok = wait_served(writer, fault);
    }
    leave(writer, &wait);
    ok = ok && (!wait.failed || let_go(fault));
    pool_unlock(writer->target.pool);
    return ok && (wait.refused == 0 || target_errno(fault, wait.refused));
}

gboolean writer_room(struct target *target, GArray *places, struct target_fault *fault)
{
    struct writer *writer = writer_of(target);

    if (writer->linear) {
        for (guint i = 0; i < places->len; i++) {
            struct cell_place *place = &g_array_index(places, struct cell_place, i);

            place->offset = writer->linear_offset + place->start;
            place->blob = writer->data_blob;
        }
        return TRUE;
    }
    return writer->leases ? room_from_lease(writer, places, fault)
                          : room_by_placing(writer, places, fault);
}
