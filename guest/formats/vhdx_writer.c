/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VHDX: room for blocks at the end of the file, and the BAT that refers to them.
 *
 * Blocks that are there are written where they are. In an existing image the header comes first
 * (who writes must say so), then the file grows, then come (the copy's) data, then the BAT, sector
 * by sector: an entry is changed whole or not at all, so that nothing of it needs the log.
 */
#include "guest/formats/vhdx_make.h"
#include "guest/formats/writer.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Ranges to be zeroed are handed out when there are this many. */
#define ZEROS_ENOUGH 4096u

#define SECTOR_BYTES   512u
#define SECTOR_ENTRIES (SECTOR_BYTES / VHDX_BAT_ENTRY_BYTES)

/* What of a plan comes next. */
enum stage {
    STAGE_HEADER,
    STAGE_GROW,
    STAGE_ZEROS,
    STAGE_BAT,
    STAGE_DONE,
};

/* Bytes of the file that shall be zeros. */
struct file_range {
    uint64_t offset, length;
};

struct vhdx_writer {
    struct image_writer base;
    struct vhdx *vhdx;
    bool fresh;
    uint32_t *placed; /* by block: where, MiB; 0: nowhere */
    uint8_t *linked;  /* by block: its data was reported, the BAT in the file may say so */
    uint8_t *stale;   /* by sector of the BAT: the file does not say what it may */
    uint64_t end;     /* after the last block, bytes, whole MiB */
    uint64_t grown;   /* what the file was made to be, bytes */
    bool said;        /* the header tells of the change */
    struct file_range *zeros;
    uint32_t nr_zeros, room_zeros;

    /* of the plan being drained */
    enum stage stage;
    uint64_t at;
};

static struct vhdx_writer *writer_of(struct image_writer *writer)
{
    return (struct vhdx_writer *)writer;
}

/* ---- room ---- */

static enum guest_err place_in_block(struct vhdx_writer *w, struct cell_place *out,
                                     struct guest_err_detail *detail)
{
    uint64_t size = w->vhdx->block_size, block = out->start / size;

    if (block >= w->vhdx->data_blocks)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->placed[block] == 0 && out->kind == CELL_PLACE_DATA) {
        if (w->end / VHDX_MIB > UINT32_MAX)
            return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
        w->placed[block] = (uint32_t)(w->end / VHDX_MIB);
        w->end += size;
    }
    out->blob = w->vhdx->source->blob;
    out->offset = w->placed[block] ? w->placed[block] * VHDX_MIB + out->start % size : 0;
    return GUEST_OK;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct vhdx_writer *w = writer_of(writer);
    uint64_t size = w->vhdx->block_size;
    uint32_t used = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t at = in[i].start, left = in[i].length;

        while (left) {
            struct cell_place part = in[i];
            enum guest_err err;

            if (used == max)
                return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
            part.start = at;
            part.length = min_u64(left, size - at % size);
            err = place_in_block(w, &part, detail);
            if (err)
                return err;
            out[used++] = part;
            at += part.length;
            left -= part.length;
        }
    }
    *out_nr = used;
    return GUEST_OK;
}

/* ---- what was written ---- */

static void link_block(struct vhdx_writer *w, uint64_t block)
{
    if (w->linked[block] || w->placed[block] == 0)
        return;
    w->linked[block] = 1;
    w->stale[vhdx_payload_index(w->vhdx, block) / SECTOR_ENTRIES] = 1;
}

/* Zeros where the file may hold something else: not in a fresh one. */
static enum guest_err note_zeros(struct vhdx_writer *w, uint64_t offset, uint64_t length,
                                 struct guest_err_detail *detail)
{
    if (w->fresh)
        return GUEST_OK;
    if (w->nr_zeros == w->room_zeros) {
        uint32_t room = w->room_zeros ? 2 * w->room_zeros : ZEROS_ENOUGH;
        struct file_range *more = realloc(w->zeros, room * sizeof(*more));

        if (!more)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        w->zeros = more;
        w->room_zeros = room;
    }
    w->zeros[w->nr_zeros++] = (struct file_range){.offset = offset, .length = length};
    return GUEST_OK;
}

static enum guest_err commit_run(struct vhdx_writer *w, const struct cell_place *run,
                                 struct guest_err_detail *detail)
{
    uint64_t size = w->vhdx->block_size;

    for (uint64_t at = run->start, end = run->start + run->length; at < end;) {
        uint64_t length = min_u64(end - at, size - at % size), block = at / size;
        enum guest_err err = GUEST_OK;

        if (block >= w->vhdx->data_blocks)
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        if (run->kind == CELL_PLACE_DATA)
            link_block(w, block);
        else if (w->placed[block])
            err = note_zeros(w, w->placed[block] * VHDX_MIB + at % size, length, detail);
        if (err)
            return err;
        at += length;
    }
    return GUEST_OK;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    for (uint32_t i = 0; i < nr; i++) {
        enum guest_err err = commit_run(writer_of(writer), &runs[i], detail);

        if (err)
            return err;
    }
    return GUEST_OK;
}

/* ---- plans ---- */

/* What the guest sees is about to change: the next header says so. */
static void yield_header(struct vhdx_writer *w, struct plan_sink *sink)
{
    struct vhdx *vhdx = w->vhdx;
    struct vhdx_header next = vhdx->header;

    next.sequence_number++;
    vhdx_derive_guid(vhdx->header.file_write_guid, next.sequence_number, next.file_write_guid);
    vhdx_derive_guid(vhdx->header.data_write_guid, next.sequence_number, next.data_write_guid);
    vhdx_make_header(&next, plan_write(sink, vhdx->source->blob, vhdx_other_header(vhdx),
                                       VHDX_HEADER_BYTES, CELL_NOTE_HEADER));
    plan_barrier(sink);
    vhdx->header = next;
    vhdx->current = !vhdx->current;
    w->said = true;
}

static void yield_zeros(struct vhdx_writer *w, struct plan_sink *sink)
{
    const struct file_range *range = &w->zeros[w->at++];

    plan_simple(sink, CELL_OP_ZERO, w->vhdx->source->blob, range->offset, range->length,
                CELL_NOTE_DATA);
}

/* The entry as it was, for those that nothing is to be said about yet. */
static enum guest_err entry_of(struct vhdx_writer *w, uint64_t index, uint64_t *out,
                               struct guest_err_detail *detail)
{
    uint64_t chunk = w->vhdx->chunk_ratio + 1ull, block = index - index / chunk;

    if (index % chunk != w->vhdx->chunk_ratio && block < w->vhdx->data_blocks && w->linked[block]) {
        *out = w->placed[block] * VHDX_MIB | VHDX_FULLY_PRESENT;
        return GUEST_OK;
    }
    return vhdx_bat_entry(w->vhdx, index, out, detail);
}

static enum guest_err yield_bat_sector(struct vhdx_writer *w, struct plan_sink *sink,
                                       uint64_t sector, struct guest_err_detail *detail)
{
    uint64_t first = sector * SECTOR_ENTRIES;
    uint64_t nr = min_u64(SECTOR_ENTRIES, w->vhdx->bat_entries - first);
    uint8_t bytes[SECTOR_BYTES];

    for (uint64_t i = 0; i < nr; i++) {
        uint64_t entry;
        enum guest_err err = entry_of(w, first + i, &entry, detail);

        if (err)
            return err;
        store_le64(bytes + i * VHDX_BAT_ENTRY_BYTES, entry);
    }
    memcpy(plan_write(sink, w->vhdx->source->blob,
                      w->vhdx->bat_offset + first * VHDX_BAT_ENTRY_BYTES, nr * VHDX_BAT_ENTRY_BYTES,
                      CELL_NOTE_L1_TABLE),
           bytes, nr * VHDX_BAT_ENTRY_BYTES);
    w->stale[sector] = 0;
    return GUEST_OK;
}

/* Moves on to the next stage that has something to do. */
static void settle(struct vhdx_writer *w)
{
    uint64_t sectors = div_round_up_u64(w->vhdx->bat_entries, SECTOR_ENTRIES);

    if (w->stage == STAGE_HEADER && w->said)
        w->stage = STAGE_GROW;
    if (w->stage == STAGE_GROW && w->grown >= w->end)
        w->stage = STAGE_ZEROS;
    if (w->stage == STAGE_ZEROS && w->at == w->nr_zeros) {
        w->nr_zeros = 0;
        w->at = 0;
        w->stage = STAGE_BAT;
    }
    if (w->stage == STAGE_BAT) {
        while (w->at < sectors && !w->stale[w->at])
            w->at++;
        if (w->at == sectors) {
            w->vhdx->window_valid = false;
            w->stage = STAGE_DONE;
        }
    }
}

static enum guest_err writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct vhdx_writer *w = (struct vhdx_writer *)plan;
    enum guest_err err = GUEST_OK;

    for (settle(w); !err && w->stage != STAGE_DONE && plan_room(sink, 2, VHDX_HEADER_BYTES);
         settle(w)) {
        switch (w->stage) {
        case STAGE_HEADER:
            yield_header(w, sink);
            break;
        case STAGE_GROW:
            plan_simple(sink, CELL_OP_TRUNCATE, w->vhdx->source->blob, w->end, 0,
                        CELL_NOTE_FILE_SIZE);
            plan_barrier(sink);
            w->grown = w->end;
            break;
        case STAGE_ZEROS:
            yield_zeros(w, sink);
            break;
        default:
            err = yield_bat_sector(w, sink, w->at, detail);
            break;
        }
    }
    *out_done = w->stage == STAGE_DONE;
    return err;
}

/* The plan is a part of the writer. */
static void keep_plan(struct plan *plan)
{
    (void)plan;
}

static const struct plan_verbs writer_plan_verbs = {.next = writer_next, .free = keep_plan};

/* An existing image must say that it is written to, and be long enough, before any data is. */
static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct vhdx_writer *w = (const struct vhdx_writer *)writer;

    return !w->fresh && (!w->said || w->grown < w->end || w->nr_zeros >= ZEROS_ENOUGH);
}

static struct plan *writer_plan(struct image_writer *writer)
{
    struct vhdx_writer *w = writer_of(writer);

    w->stage = STAGE_HEADER;
    w->at = 0;
    w->base.plan.file_size = max_u64(w->end, w->grown);
    return &w->base.plan;
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct vhdx_writer *w = writer_of(writer);

    (void)unused_offset;
    for (uint64_t i = 0; i < w->vhdx->data_blocks; i++)
        link_block(w, i);
    return writer_plan(writer);
}

static void writer_free(struct image_writer *writer)
{
    struct vhdx_writer *w = writer_of(writer);

    free(w->placed);
    free(w->linked);
    free(w->stale);
    free(w->zeros);
    free(w);
}

static const struct image_writer_verbs writer_verbs = {
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};

/* ---- opening ---- */

static enum guest_err load_bat(struct vhdx_writer *w, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = w->vhdx;

    w->placed = arena_array(vhdx->data_blocks, sizeof(*w->placed));
    w->linked = arena_array(vhdx->data_blocks, 1);
    w->stale = arena_array(div_round_up_u64(vhdx->bat_entries, SECTOR_ENTRIES), 1);
    if (!w->placed || !w->linked || !w->stale)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < vhdx->data_blocks && !w->fresh; i++) {
        uint64_t entry;
        enum guest_err err = vhdx_bat_entry(vhdx, vhdx_payload_index(vhdx, i), &entry, detail);

        if (err)
            return err;
        if ((entry & VHDX_STATE_MASK) == VHDX_FULLY_PRESENT) {
            w->placed[i] = (uint32_t)((entry & VHDX_OFFSET_MASK) / VHDX_MIB);
            w->linked[i] = 1;
        } else if ((entry & VHDX_STATE_MASK) == VHDX_PARTIALLY_PRESENT ||
                   (entry & VHDX_STATE_MASK) == 4) {
            return vhdx_error(detail, VHDX_ERR_IO);
        }
    }
    return GUEST_OK;
}

enum guest_err vhdx_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    struct vhdx_writer *w;
    enum guest_err err;

    if (vhdx->params & VHDX_HAS_PARENT)
        return vhdx_error(detail, VHDX_ERR_WRITE_DIFFERENCING);
    w = arena_array(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->vhdx = vhdx;
    /* A fixed disk has its blocks already: new or not, they are looked up. */
    w->fresh = options->fresh && !(vhdx->params & VHDX_LEAVE_BLOCKS);
    w->said = options->fresh;
    w->grown = vhdx->source->size_bytes;
    w->base.plan.verbs = &writer_plan_verbs;
    w->base.verbs = &writer_verbs;
    w->base.shape = (struct image_writer_shape){
        .unit = vhdx->logical_sector,
        .data_blob = vhdx->source->blob,
        .zero_by_default = options->fresh,
        .zero_unit = vhdx->logical_sector,
    };
    err = align_up_u64(w->grown, VHDX_MIB, &w->end) ? load_bat(w, detail)
                                                    : err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    w->grown = w->end; /* the next block starts there; until then the file may stay as it is */
    if (err) {
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
