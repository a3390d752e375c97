/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaying the log of a VHDX: every sector it holds goes where it belongs, then the headers say
 * that the log is empty.
 *
 * All of it is looked at before the first write. Until the headers are changed the log is there: a
 * replay that was cut short is done again from its start.
 */
#include "guest/formats/vhdx_log.h"
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define ENTRY_HEADER_BYTES 64u

/* Nothing of a disk lies further out. */
#define REPLAY_OFFSET_MAX (2 * VHDX_SIZE_MAX)

struct descriptor {
    bool is_data;
    uint32_t trailing_bytes;
    uint64_t leading_bytes; /* data; of zeros: their length */
    uint64_t file_offset;
    uint64_t sequence_number;
};

/* Where in the run of entries we are. */
struct walk {
    const struct vhdx *vhdx;
    struct vhdx_log_run run;
    uint64_t used; /* bytes of the run that lie behind us */
    struct vhdx_log_entry entry;
    bool in_entry;
    uint32_t next;      /* descriptor */
    uint64_t sector;    /* where the next data sector is in the ring */
    uint64_t file_size; /* as the replay makes it */
    uint64_t sum_budget;
};

struct vhdx_replay {
    struct plan plan;
    struct vhdx *vhdx;
    struct walk walk;
    unsigned headers; /* written */
};

static enum guest_err bad_log(struct guest_err_detail *detail)
{
    return vhdx_error(detail, VHDX_ERR_INVALID);
}

static enum guest_err enter(struct walk *w, struct guest_err_detail *detail)
{
    uint64_t at = w->run.start + w->used, descriptors;
    bool valid;
    enum guest_err err = vhdx_log_entry_at(w->vhdx, at, &w->entry, detail, &valid, &w->sum_budget);

    if (err)
        return err;
    if (!valid || w->entry.flushed_file_offset > w->file_size)
        return bad_log(detail);
    descriptors =
        ENTRY_HEADER_BYTES + (uint64_t)w->entry.descriptor_count * VHDX_LOG_DESCRIPTOR_BYTES;
    w->sector = at + div_round_up_u64(descriptors, VHDX_LOG_SECTOR) * VHDX_LOG_SECTOR;
    w->in_entry = true;
    w->next = 0;
    return GUEST_OK;
}

static enum guest_err read_descriptor(const struct walk *w, struct descriptor *out,
                                      struct guest_err_detail *detail)
{
    uint8_t bytes[VHDX_LOG_DESCRIPTOR_BYTES];
    struct cursor c = cur_of(span_of(bytes, sizeof(bytes)));
    struct span signature;
    enum guest_err err = vhdx_log_read(w->vhdx,
                                       w->run.start + w->used + ENTRY_HEADER_BYTES +
                                           (uint64_t)w->next * VHDX_LOG_DESCRIPTOR_BYTES,
                                       sizeof(bytes), bytes, detail);

    if (err)
        return err;
    signature = cur_bytes(&c, 4);
    out->is_data = span_equal_text(signature, "desc");
    if (!out->is_data && !span_equal_text(signature, "zero"))
        return bad_log(detail);
    out->trailing_bytes = cur_le32(&c);
    out->leading_bytes = cur_le64(&c);
    out->file_offset = cur_le64(&c);
    out->sequence_number = cur_le64(&c);
    return out->sequence_number == w->entry.sequence_number ? GUEST_OK : bad_log(detail);
}

/* A descriptor must keep to whole sectors of 4 KiB, and off the log itself. */
static enum guest_err judge_descriptor(const struct walk *w, const struct descriptor *d,
                                       struct guest_err_detail *detail)
{
    const struct vhdx_header *header = &w->vhdx->header;
    uint64_t length = d->is_data ? VHDX_LOG_SECTOR : d->leading_bytes;

    if (d->file_offset % VHDX_LOG_SECTOR || length % VHDX_LOG_SECTOR)
        return bad_log(detail);
    if (!range_inside_u64(d->file_offset, length, REPLAY_OFFSET_MAX))
        return vhdx_error(detail, VHDX_ERR_TOO_LARGE);
    if (d->file_offset < header->log_offset + header->log_length &&
        header->log_offset < d->file_offset + length)
        return bad_log(detail);
    if (d->is_data && w->sector + VHDX_LOG_SECTOR > w->run.start + w->used + w->entry.entry_length)
        return bad_log(detail);
    return GUEST_OK;
}

/* The sector of a data descriptor, as it shall be in the file. */
static enum guest_err read_sector(const struct walk *w, const struct descriptor *d, uint8_t *out,
                                  struct guest_err_detail *detail)
{
    enum guest_err err = vhdx_log_read(w->vhdx, w->sector, VHDX_LOG_SECTOR, out, detail);
    uint64_t number;

    if (err)
        return err;
    number = (uint64_t)load_le32(out + 4) << 32 | load_le32(out + VHDX_LOG_SECTOR - 4);
    if (number != d->sequence_number) /* stock does not look at the signature */
        return bad_log(detail);
    store_le64(out, d->leading_bytes);
    store_le32(out + VHDX_LOG_SECTOR - 4, d->trailing_bytes);
    return GUEST_OK;
}

/* Steps over one descriptor, or the end of an entry; with a sink, its ops are yielded. */
static enum guest_err step(struct walk *w, struct plan_sink *sink, struct guest_err_detail *detail)
{
    uint32_t blob = w->vhdx->source->blob;
    uint8_t sector[VHDX_LOG_SECTOR];
    struct descriptor d;
    enum guest_err err;

    if (!w->in_entry)
        return enter(w, detail);
    if (w->next == w->entry.descriptor_count) {
        uint64_t size = div_round_up_u64(w->entry.last_file_offset, VHDX_MIB) * VHDX_MIB;

        if (size > REPLAY_OFFSET_MAX)
            return bad_log(detail);
        if (sink && w->file_size < w->entry.last_file_offset)
            plan_simple(sink, CELL_OP_TRUNCATE, blob, size, 0, CELL_NOTE_FILE_SIZE);
        if (w->file_size < w->entry.last_file_offset)
            w->file_size = size;
        w->used += w->entry.entry_length;
        w->in_entry = false;
        return GUEST_OK;
    }
    err = read_descriptor(w, &d, detail);
    if (!err)
        err = judge_descriptor(w, &d, detail);
    if (!err && d.is_data)
        err = read_sector(w, &d, sector, detail);
    if (err)
        return err;
    if (sink && d.is_data)
        memcpy(plan_write(sink, blob, d.file_offset, sizeof(sector), CELL_NOTE_L1_TABLE), sector,
               sizeof(sector));
    else if (sink && d.leading_bytes)
        plan_simple(sink, CELL_OP_ZERO, blob, d.file_offset, d.leading_bytes, CELL_NOTE_DATA);
    w->file_size =
        max_u64(w->file_size, d.file_offset + (d.is_data ? VHDX_LOG_SECTOR : d.leading_bytes));
    w->sector += d.is_data ? VHDX_LOG_SECTOR : 0;
    w->next++;
    return GUEST_OK;
}

static bool walk_done(const struct walk *w)
{
    return !w->in_entry && w->used == w->run.length;
}

/* The next header: the log is empty. */
static void yield_header(struct vhdx_replay *replay, struct plan_sink *sink)
{
    struct vhdx *vhdx = replay->vhdx;
    struct vhdx_header next = vhdx->header;

    next.sequence_number++;
    memset(next.log_guid, 0, sizeof(next.log_guid));
    if (replay->headers == 0)
        vhdx_derive_guid(vhdx->header.file_write_guid, next.sequence_number, next.file_write_guid);
    plan_barrier(sink);
    vhdx_make_header(&next, plan_write(sink, vhdx->source->blob, vhdx_other_header(vhdx),
                                       VHDX_HEADER_BYTES, CELL_NOTE_HEADER));
    vhdx->header = next;
    vhdx->current = !vhdx->current;
    replay->headers++;
}

static enum guest_err replay_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct vhdx_replay *replay = (struct vhdx_replay *)plan;

    while (plan_room(sink, 2, VHDX_HEADER_BYTES)) {
        if (!walk_done(&replay->walk)) {
            enum guest_err err = step(&replay->walk, sink, detail);

            if (err)
                return err;
        } else if (replay->headers < 2) {
            yield_header(replay, sink);
        } else {
            *out_done = true;
            break;
        }
    }
    return GUEST_OK;
}

static void replay_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs replay_verbs = {.next = replay_next, .free = replay_free};

enum guest_err vhdx_replay_plan(struct vhdx *vhdx, struct plan **out,
                                struct guest_err_detail *detail)
{
    struct vhdx_replay *replay = arena_array(1, sizeof(*replay));
    enum guest_err err;
    struct walk trial;

    if (!replay)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    replay->plan.verbs = &replay_verbs;
    replay->vhdx = vhdx;
    replay->walk.vhdx = vhdx;
    replay->walk.file_size = vhdx->source->size_bytes;
    replay->walk.sum_budget = vhdx->header.log_length;
    err = vhdx_log_search(vhdx, &replay->walk.run, detail);
    trial = replay->walk;
    while (!err && !walk_done(&trial))
        err = step(&trial, NULL, detail);
    if (err) {
        free(replay);
        return err;
    }
    replay->plan.file_size = trial.file_size;
    *out = &replay->plan;
    return GUEST_OK;
}
