/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's bytes, and what of them goes into the target in which form.
 */
#include <string.h>

#include "src/copy/copy_internal.h"
#include "src/copy/salvage.h"
#include "src/copy/zero.h"

#define SHARED_BLOCK 4096u /* bytes; file systems with larger ones refuse, and it is copied */

static guint8 *read_salvaging(struct copy *copy, struct copy_slot *slot)
{
    const GArray *pieces = slot->job->pieces;

    if (slot->salvaged == NULL) {
        slot->salvaged = g_malloc(copy->job_bytes);
    }
    salvage_fill(slot->worker->reader, (const struct piece *)pieces->data, pieces->len,
                 copy->options->quiet, slot->salvaged);
    return slot->salvaged;
}

static guint8 *read_job(struct copy *copy, struct copy_slot *slot)
{
    const GArray *pieces = slot->job->pieces;
    guint index = (guint)(slot - slot->worker->slots);
    struct read_fault fault;
    guint8 *buf = reader_fill(slot->worker->reader, index, (const struct piece *)pieces->data,
                              pieces->len, &fault);

    if (buf != NULL) {
        return buf;
    }
    if (copy->options->salvage && fault.error == NULL) {
        return read_salvaging(copy, slot);
    }
    copy_fail_read(copy, &g_array_index(pieces, struct piece, fault.piece), fault);
    return NULL;
}

/*
 * Finds the units of a job that do not hold what is there without the copy.
 *
 * returns: a flag for each unit, newly allocated; NULL: a failure was recorded
 */
static guint8 *find_differing(struct copy *copy, struct copy_slot *slot, const guint8 *buf)
{
    const struct job *job = slot->job;
    const struct piece *others = (const struct piece *)job->others->data;
    guint64 unit = copy->shape->unit_bytes;
    guint8 *differs = g_new0(guint8, job->length / unit + 1);
    struct read_fault fault;
    const guint8 *other = reader_fill(slot->worker->other, 0, others, job->others->len, &fault);

    if (other == NULL) {
        copy_fail_read_against(copy, &others[fault.piece], fault);
        g_free(differs);
        return NULL;
    }
    for (guint i = 0; i < job->others->len; i++) {
        guint64 at = others[i].start - job->start, end = at + others[i].length, to;

        for (; others[i].kind != PIECE_SKIP && at < end; at = to) {
            to = MIN((at / unit + 1) * unit, end);
            if (!differs[at / unit] && memcmp(buf + at, other + at, to - at) != 0) {
                differs[at / unit] = TRUE;
            }
        }
    }
    return differs;
}

static void add_place(struct copy_slot *slot, enum cell_place_kind kind, guint64 start,
                      guint64 length, guint32 comp_len)
{
    struct cell_place place = {
        .start = start, .length = length, .comp_len = comp_len, .kind = kind};

    if (kind == CELL_PLACE_DATA && slot->places->len > 0) {
        struct cell_place *last =
            &g_array_index(slot->places, struct cell_place, slot->places->len - 1);

        if (last->kind == kind && last->start + last->length == start) {
            last->length += length;
            return;
        }
    }
    g_array_append_val(slot->places, place);
}

/* Compresses the units of a run of data; those that do not shrink are stored. */
static void add_packed(struct copy *copy, struct copy_slot *slot, const guint8 *buf, guint64 start,
                       guint64 length, gsize *packed_len)
{
    guint64 unit = copy->shape->unit_bytes;

    for (guint64 at = start; at < start + length; at += unit) {
        guint64 len = MIN(unit, start + length - at);
        gsize made = compress_unit(slot->worker->compressor, at, buf + (at - slot->job->start),
                                   slot->packed + *packed_len);

        add_place(slot, made ? CELL_PLACE_COMPRESSED : CELL_PLACE_DATA, at, len, (guint32)made);
        *packed_len += made;
    }
}

/* The run of a source that a place of the job lies in, as far as it says zeros or not. */
static guint64 run_of_zeros(const struct job *job, guint64 at, guint64 end, gboolean *out_zero)
{
    guint i = 0;

    while (g_array_index(job->pieces, struct piece, i).start +
               g_array_index(job->pieces, struct piece, i).length <=
           at) {
        i++;
    }
    *out_zero = g_array_index(job->pieces, struct piece, i).kind == PIECE_ZERO;
    for (; i < job->pieces->len && at < end; i++) {
        const struct piece *piece = &g_array_index(job->pieces, struct piece, i);

        if ((piece->kind == PIECE_ZERO) != *out_zero) {
            break;
        }
        at = piece->start + piece->length;
    }
    return MIN(at, end);
}

/*
 * Adds a run of stored data. Where the target keeps account of parts of a unit, parts that the
 * source says are zeros are left out.
 */
static void add_stored(struct copy *copy, struct copy_slot *slot, guint64 start, guint64 length)
{
    guint64 part = copy->shape->zero_bytes, at = start, end = start + length;

    if (part == copy->shape->unit_bytes || !copy->drop_zeros) {
        add_place(slot, CELL_PLACE_DATA, start, length, 0);
        return;
    }
    while (at < end) {
        gboolean zero;
        guint64 stop = run_of_zeros(slot->job, at, end, &zero);
        guint64 up = MIN((stop + part - 1) / part * part, end);

        if (!zero) {
            add_place(slot, CELL_PLACE_DATA, at, up - at, 0);
        } else {
            up = stop == end ? end : stop / part * part;
            if (up <= at) { /* less than a part */
                up = MIN((at / part + 1) * part, end);
                add_place(slot, CELL_PLACE_DATA, at, up - at, 0);
            }
        }
        at = up;
    }
}

/* Turns [at, end) of a job into places that have no room yet. */
static void add_run(struct copy *copy, struct copy_slot *slot, guint8 *buf, guint64 at, guint64 end,
                    gsize *packed_len)
{
    while (at < end) {
        /* The first granule may be cut short, so that the others lie on multiples of theirs. */
        guint64 to_granule = copy->granule - at % copy->granule;
        guint64 most = at % copy->granule ? MIN(to_granule, end - at) : end - at;
        gboolean zero = FALSE;
        guint64 length = most;

        if (copy->options->sparse_bytes != 0 && !copy->options->trust_source &&
            !copy->shape->plain_zeros) {
            length = zero_run(buf + (at - slot->job->start), most, copy->granule, &zero);
        }
        if (!zero && copy->shape->compresses) {
            add_packed(copy, slot, buf, at, length, packed_len);
        } else if (!zero) {
            add_stored(copy, slot, at, length);
        } else if (!copy->drop_zeros) {
            add_place(slot, CELL_PLACE_ZERO, at, length, 0);
        }
        at += length;
    }
}

static void find_places(struct copy *copy, struct copy_slot *slot, guint8 *buf,
                        const guint8 *differs)
{
    guint64 start = slot->job->start, end = start + slot->job->length;
    guint64 unit = copy->shape->unit_bytes, from = start, to;
    gsize packed_len = 0;

    if ((copy->shape->compresses || copy->shape->cipher != NULL) &&
        slot->job->length % copy->shape->unit_bytes != 0) {
        /* The disk ends inside a unit: what is compressed or encrypted is the whole of it. */
        memset(buf + slot->job->length, 0,
               copy->shape->unit_bytes - slot->job->length % copy->shape->unit_bytes);
    }
    for (; from < end; from = to) {
        gboolean wanted = differs == NULL || differs[(from - start) / unit];

        to = differs == NULL ? end : MIN(from + unit, end);
        while (to < end && (gboolean)differs[(to - start) / unit] == wanted) {
            to = MIN(to + unit, end);
        }
        if (wanted) {
            add_run(copy, slot, buf, from, to, &packed_len);
        }
    }
}

/* Whether the kernel could copy the job as it is: one run of stored bytes. */
static gboolean can_offload(const struct copy *copy, const struct job *job)
{
    return copy->offload && job->pieces->len == 1 &&
           g_array_index(job->pieces, struct piece, 0).kind == PIECE_DATA &&
           !copy->shape->compresses && copy->shape->cipher == NULL;
}

/* Whether the target could share the blocks that hold the job: whole blocks of one run. */
static gboolean can_share(const struct copy *copy, struct copy_worker *worker,
                          const struct job *job)
{
    const struct piece *piece = &g_array_index(job->pieces, struct piece, 0);

    if (!copy->share || job->pieces->len != 1 || piece->kind != PIECE_DATA ||
        copy->shape->compresses || copy->shape->cipher != NULL ||
        piece->offset % SHARED_BLOCK != 0 ||
        (copy->shape->stays_sorted ? job->start : copy->shape->unit_bytes) % SHARED_BLOCK != 0 ||
        (piece->length % SHARED_BLOCK != 0 &&
         piece->offset + piece->length != endpoint_size(piece->endpoint))) {
        return FALSE;
    }
    if (worker->asked != piece->endpoint) {
        worker->asked = piece->endpoint;
        worker->shares = endpoint_can_share(piece->endpoint, copy->shape->data);
    }
    return worker->shares;
}

void copy_fill(struct copy *copy, struct copy_slot *slot)
{
    const struct job *job = slot->job;
    g_autofree guint8 *differs = NULL;

    g_array_set_size(slot->places, 0);
    slot->buf = NULL;
    slot->failed = FALSE;
    slot->share = !job->zero && job->others == NULL && can_share(copy, slot->worker, job);
    slot->offload = slot->share || (!job->zero && job->others == NULL && can_offload(copy, job));
    if (job->zero || slot->offload) {
        add_place(slot, job->zero ? CELL_PLACE_ZERO : CELL_PLACE_DATA, job->start, job->length, 0);
        return;
    }
    slot->buf = read_job(copy, slot);
    if (slot->buf == NULL) {
        slot->failed = TRUE;
        return;
    }
    if (job->others != NULL) {
        differs = find_differing(copy, slot, slot->buf);
        slot->failed = differs == NULL;
    }
    if (!slot->failed) {
        find_places(copy, slot, slot->buf, differs);
    }
}
