/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing, in order unless told otherwise. Who has filled the job that is next claims it: gives it
 * its room and steps on to the next number; then he writes it, while another may claim and write
 * the next one. So room is given and writes are issued in order, and yet two of them can be under
 * way. What is filled too early is left for whoever is free when its turn comes, and its worker
 * goes on reading into another slot. Bytes are mostly written by the thread that has them in its
 * cache, which was measured to be faster than a thread that only writes.
 */
#include <errno.h>

#include "compat/progress.h"
#include "src/copy/copy_internal.h"

#define IOV_MAX_USED 64

/* Bytes that a place puts into the target. */
static guint64 stored_len(const struct cell_place *place)
{
    return place->kind == CELL_PLACE_COMPRESSED ? place->comp_len : place->length;
}

/*
 * Encrypts a run in its buffer. Where the disk ends inside a unit the rest of it is stored as well:
 * in a larger disk it would show.
 */
static void encrypt_place(const struct copy *copy, const struct cell_place *place,
                          struct iovec *bytes)
{
    const struct target_shape *shape = copy->shape;
    guint64 end = place->start + place->length;

    if (end == shape->size_bytes && end % shape->unit_bytes != 0) {
        bytes->iov_len += shape->unit_bytes - end % shape->unit_bytes;
    }
    sector_cipher_encrypt(shape->cipher, shape->cipher_by_place ? place->offset : place->start,
                          bytes->iov_base, bytes->iov_len);
}

/* Writes places [first, ...) that lie one behind the other in the target; gives how many. */
static guint write_run(struct copy *copy, struct copy_slot *slot, guint first, gsize *packed_at,
                       int *out_err)
{
    struct iovec iov[IOV_MAX_USED];
    const struct cell_place *head = &g_array_index(slot->places, struct cell_place, first);
    guint64 offset = head->offset, end = offset;
    struct endpoint *endpoint;
    guint i = first;

    for (; i < slot->places->len && i - first < IOV_MAX_USED; i++) {
        const struct cell_place *place = &g_array_index(slot->places, struct cell_place, i);

        if (place->kind == CELL_PLACE_ZERO || place->offset != end || place->blob != head->blob) {
            break;
        }
        iov[i - first].iov_len = stored_len(place);
        if (place->kind == CELL_PLACE_COMPRESSED) {
            iov[i - first].iov_base = slot->packed + *packed_at;
            *packed_at += place->comp_len;
        } else {
            iov[i - first].iov_base = slot->buf + (place->start - slot->job->start);
            if (copy->shape->cipher != NULL) {
                encrypt_place(copy, place, &iov[i - first]);
            }
        }
        end += iov[i - first].iov_len;
    }
    endpoint = target_blob(copy->target, head);
    *out_err = endpoint_pwritev(endpoint, offset, iov, (int)(i - first));
    if (*out_err == 0) {
        copy_note_written(copy, endpoint, offset, end - offset);
    }
    return i - first;
}

static void write_places(struct copy *copy, struct copy_slot *slot)
{
    gsize packed_at = 0;
    guint taken;

    for (guint i = 0; i < slot->places->len; i += taken) {
        const struct cell_place *place = &g_array_index(slot->places, struct cell_place, i);
        struct target_fault fault = {0};

        taken = 1;
        if (place->kind == CELL_PLACE_ZERO) {
            if (!target_zero(copy->target, place, &fault)) {
                copy_fail_write(copy, slot->job, place->start, fault);
                return;
            }
        } else {
            taken = write_run(copy, slot, i, &packed_at, &fault.error_number);
            if (fault.error_number != 0) {
                copy_fail_write(copy, slot->job, place->start, fault);
                return;
            }
        }
    }
    target_done(copy->target, (struct cell_place *)slot->places->data, slot->places->len);
}

/* ---- room ---- */

static gboolean find_room(struct copy *copy, struct copy_slot *slot)
{
    struct target_fault fault;

    if (copy->options->refuse_data && slot->places->len > 0) {
        copy_fail_write(copy, slot->job, slot->job->start,
                        (struct target_fault){.error_number = ENOTSUP});
        return FALSE;
    }
    if (slot->places->len > 0 && !target_room(copy->target, slot->places, &fault)) {
        copy_fail_write(copy, slot->job, slot->job->start, fault);
        return FALSE;
    }
    pool_lock(copy->pool);
    copy->unplaced_bytes -= slot->job->length;
    pool_unlock(copy->pool);
    return TRUE;
}

/* ---- offloading ---- */

static int move_place(const struct copy *copy, const struct copy_slot *slot,
                      const struct piece *piece, const struct cell_place *place)
{
    uint64_t from = piece->offset + (place->start - piece->start);

    return slot->share ? endpoint_share_range(piece->endpoint, from, copy->shape->data,
                                              place->offset, place->length)
                       : endpoint_copy_range(piece->endpoint, from, copy->shape->data,
                                             place->offset, place->length);
}

/* Copies inside the kernel; what it will not copy is copied here, this time and from now on. */
static void offload_places(struct copy *copy, struct copy_slot *slot)
{
    const struct piece *piece = &g_array_index(slot->job->pieces, struct piece, 0);
    guint index = (guint)(slot - slot->worker->slots);

    for (guint i = 0; i < slot->places->len; i++) {
        const struct cell_place *place = &g_array_index(slot->places, struct cell_place, i);
        struct read_fault fault = {0};

        if (move_place(copy, slot, piece, place) == 0) {
            continue;
        }
        copy->offload = copy->share = FALSE;
        slot->buf = reader_buffer(slot->worker->reader, index);
        fault.error_number = slot->buf == NULL ? ENOMEM
                                               : endpoint_pread(piece->endpoint, piece->offset,
                                                                slot->buf, piece->length);
        if (fault.error_number != 0) {
            copy_fail_read(copy, piece, fault);
        } else {
            write_places(copy, slot);
        }
        return;
    }
    target_done(copy->target, (struct cell_place *)slot->places->data, slot->places->len);
}

/* ---- progress ---- */

gboolean copy_counts(const struct copy_options *options, const struct piece *piece)
{
    return piece->kind != PIECE_SKIP && (piece->kind != PIECE_ZERO || options->sparse_bytes == 0);
}

/* Lock held. Tells progress about the requests of the source that end in a piece. */
static void tell_piece(struct copy *copy, const struct piece *piece)
{
    guint64 total = copy->options->total_bytes, chunk = copy->options->chunk_bytes;
    guint64 at = piece->start, end = at + piece->length;

    while (at < end) {
        guint64 stop = MIN(at + chunk - (at - piece->run_start) % chunk, piece->run_end);

        copy->done_bytes += MIN(stop, end) - at;
        if (stop <= end) {
            progress_update(MIN(copy->done_bytes, total), total);
        }
        at = stop;
    }
}

/* A job is done. Units that are compressed are counted whole. */
static void advance(struct copy *copy, const struct job *job)
{
    struct piece whole = {.start = job->start,
                          .length = job->length,
                          .run_start = job->start,
                          .run_end = job->start + job->length};

    if (copy->options->total_bytes == 0 || job->zero) {
        return;
    }
    pool_lock(copy->pool);
    if (copy->shape->compresses) {
        tell_piece(copy, &whole);
    }
    for (guint i = 0; !copy->shape->compresses && i < job->pieces->len; i++) {
        const struct piece *piece = &g_array_index(job->pieces, struct piece, i);

        if (copy_counts(copy->options, piece)) {
            tell_piece(copy, piece);
        }
    }
    pool_unlock(copy->pool);
}

/* ---- slots ---- */

/* Gives a slot its room; what fails has nothing to write. */
static void claim(struct copy *copy, struct copy_slot *slot)
{
    if (slot->failed || copy_has_failed(copy) || !find_room(copy, slot)) {
        slot->failed = TRUE;
    } else {
        advance(copy, slot->job);
    }
}

static void write_slot(struct copy *copy, struct copy_slot *slot)
{
    if (slot->failed) {
        return;
    }
    if (slot->offload) {
        offload_places(copy, slot);
    } else {
        write_places(copy, slot);
    }
    if (copy->options->source_spent && slot->job->pieces != NULL) {
        copy_note_spent(copy, slot->job->pieces);
    }
}

/* Lock held. */
static void free_slot(struct copy *copy, struct copy_slot *slot)
{
    job_free(g_steal_pointer(&slot->job));
    slot->busy = FALSE;
    pool_answer_locked(copy->pool);
}

/* Lock held. The slot that is next, if it is filled and nobody is about to claim it. */
static struct copy_slot *next_ready(const struct copy *copy)
{
    return copy->claiming ? NULL : copy->ready[copy->next_write % copy->nr_ready];
}

/* Lock held. Claims and writes what is ready, as long as there is something. */
static void drain(struct copy *copy)
{
    struct copy_slot *slot;

    while ((slot = next_ready(copy)) != NULL) {
        copy->claiming = TRUE;
        pool_unlock(copy->pool);
        claim(copy, slot);
        pool_lock(copy->pool);
        copy->ready[copy->next_write % copy->nr_ready] = NULL;
        copy->next_write++;
        copy->claiming = FALSE;
        if (next_ready(copy) != NULL) {
            pool_answer_locked(copy->pool); /* for who waits in copy_free_slot */
        }
        pool_unlock(copy->pool);
        write_slot(copy, slot);
        pool_lock(copy->pool);
        free_slot(copy, slot);
    }
}

void copy_hand_over(struct copy *copy, struct copy_slot *slot, guint64 number)
{
    if (copy->options->out_of_order) {
        claim(copy, slot);
        write_slot(copy, slot);
        pool_lock(copy->pool);
        free_slot(copy, slot);
    } else {
        pool_lock(copy->pool);
        g_assert(copy->ready[number % copy->nr_ready] == NULL);
        copy->ready[number % copy->nr_ready] = slot;
        drain(copy);
    }
    pool_unlock(copy->pool);
}

/* Lock held. */
static struct copy_slot *find_free(struct copy_worker *worker)
{
    for (guint i = 0; i < COPY_SLOTS; i++) {
        if (!worker->slots[i].busy) {
            return &worker->slots[i];
        }
    }
    return NULL;
}

struct copy_slot *copy_free_slot(struct copy *copy, struct copy_worker *worker)
{
    struct copy_slot *found;

    pool_lock(copy->pool);
    while ((found = find_free(worker)) == NULL) {
        if (next_ready(copy) != NULL) {
            drain(copy);
        } else {
            pool_wait_answer(copy->pool);
        }
    }
    found->busy = TRUE;
    pool_unlock(copy->pool);
    return found;
}
