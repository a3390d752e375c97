/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VDI image. Blocks are allocated one behind the other and never given back, as
 * stock does it: the header's blocks_allocated is where the next one goes.
 *
 * A plan writes, with barriers between: zeros over blocks that are to read as such; the header's
 * count; the block map; the file's size. A count that is too high wastes room until the next write,
 * one that is too low would let stock hand out a block twice, so the count goes first.
 */
#include "guest/formats/vdi_bmap.h"
#include "guest/formats/vdi_write.h"
#include "guest/formats/zero_list.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define MAP_BUDGET (32ull << 20)
#define LEASE_MAX  (1ull << 30)

enum phase { PHASE_ZERO, PHASE_COUNT, PHASE_MAP, PHASE_SIZE, PHASE_DONE };

struct vdi_writer {
    struct image_writer base;
    struct vdi *vdi;
    struct vdi_bmap map;
    struct vdi_usage usage;
    uint32_t cursor;  /* where the next free block is looked for */
    uint32_t on_disk; /* blocks_allocated as it stands there */
    struct zero_list zeros;
    uint64_t budget;

    bool finishing;
    enum phase phase;
    uint32_t index;
};

static struct vdi_writer *writer_of(struct image_writer *writer)
{
    return (struct vdi_writer *)writer;
}

static uint32_t blob_of(const struct vdi_writer *w)
{
    return w->vdi->source->blob;
}

/* A run of whole units, but for the end of the disk, stored as it is. */
static bool run_valid(const struct vdi_writer *w, const struct cell_place *run)
{
    uint64_t end, unit = w->base.shape.unit;

    return (run->kind == CELL_PLACE_DATA || run->kind == CELL_PLACE_ZERO) && run->length > 0 &&
           run->start % unit == 0 && add_u64(run->start, run->length, &end) &&
           end <= w->vdi->header.disk_size && (end % unit == 0 || end == w->vdi->header.disk_size);
}

static uint64_t run_end(const struct cell_place *run)
{
    return run->start + run->length;
}

/* ---- leases ---- */

static enum guest_err writer_lease(struct image_writer *writer, uint64_t bytes,
                                   uint64_t *out_offset, uint64_t *out_bytes,
                                   struct guest_err_detail *detail)
{
    struct vdi_writer *w = writer_of(writer);
    uint64_t rounded;

    /* More may be leased than the disk has blocks: what is not used is given back at the end. */
    if (!w->base.shape.lease || !align_up_u64(max_u64(bytes, 1), VDI_BLOCK_BYTES, &rounded) ||
        rounded > LEASE_MAX || w->usage.top >= VDI_DISCARDED - LEASE_MAX / VDI_BLOCK_BYTES)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    *out_offset = vdi_block_offset(w->vdi, w->usage.top);
    *out_bytes = rounded;
    w->usage.top += (uint32_t)(rounded / VDI_BLOCK_BYTES);
    return GUEST_OK;
}

static enum guest_err take_leased(struct vdi_writer *w, const struct cell_place *run,
                                  struct guest_err_detail *detail)
{
    uint64_t first = run->offset - w->vdi->header.offset_data;
    uint32_t nr = (uint32_t)div_round_up_u64(run->length, VDI_BLOCK_BYTES);
    enum guest_err err = GUEST_OK;

    if (run->offset < w->vdi->header.offset_data || first % VDI_BLOCK_BYTES ||
        !range_inside_u64(first / VDI_BLOCK_BYTES, nr, w->usage.top))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    for (uint32_t i = 0; i < nr && !err; i++)
        err = vdi_bmap_set(&w->map, (uint32_t)(run->start / VDI_BLOCK_BYTES) + i,
                           (uint32_t)(first / VDI_BLOCK_BYTES) + i, false, detail);
    return err;
}

/* ---- places ---- */

static bool append(struct cell_place *out, uint32_t max, uint32_t *nr, uint32_t first,
                   const struct cell_place *part)
{
    struct cell_place *last = *nr > first ? &out[*nr - 1] : NULL;

    if (last && last->offset + last->length == part->offset) {
        last->length += part->length;
        return true;
    }
    if (*nr == max)
        return false;
    out[(*nr)++] = *part;
    return true;
}

/* A block that is not there reads as zeros already; another is overwritten. */
static enum guest_err zero_run(struct vdi_writer *w, const struct cell_place *run,
                               struct guest_err_detail *detail)
{
    uint64_t len;

    for (uint64_t at = run->start; at < run_end(run); at += len) {
        uint64_t skip = at % VDI_BLOCK_BYTES;
        uint32_t entry;
        enum guest_err err =
            vdi_bmap_get(&w->map, (uint32_t)(at / VDI_BLOCK_BYTES), &entry, detail);

        len = min_u64(VDI_BLOCK_BYTES - skip, run_end(run) - at);
        if (!err && vdi_is_allocated(entry))
            err = zero_list_add(&w->zeros, blob_of(w), vdi_block_offset(w->vdi, entry) + skip, len,
                                detail);
        if (err)
            return err;
    }
    return GUEST_OK;
}

static enum guest_err place_block(struct vdi_writer *w, uint32_t index, uint64_t *out_offset,
                                  struct guest_err_detail *detail)
{
    uint32_t entry;
    enum guest_err err = vdi_bmap_get(&w->map, index, &entry, detail);

    if (!err && !vdi_is_allocated(entry)) {
        if (!vdi_usage_take(&w->usage, &w->cursor, &entry))
            return vdi_error(detail, VDI_ERR_MAP_WRONG, 0, 0);
        err = vdi_bmap_set(&w->map, index, entry, true, detail);
    }
    if (!err)
        *out_offset = vdi_block_offset(w->vdi, entry);
    return err;
}

static enum guest_err place_run(struct vdi_writer *w, const struct cell_place *run,
                                struct cell_place *out, uint32_t max, uint32_t *out_nr,
                                struct guest_err_detail *detail)
{
    uint32_t first = *out_nr;
    struct cell_place part = *run;
    enum guest_err err = GUEST_OK;

    part.blob = blob_of(w);
    if (run->kind == CELL_PLACE_ZERO) {
        part.offset = 0;
        err = zero_run(w, run, detail);
        if (!err && !append(out, max, out_nr, *out_nr, &part))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        return err;
    }
    for (uint64_t at = run->start; at < run_end(run) && !err; at += VDI_BLOCK_BYTES) {
        part.start = at;
        part.length = min_u64(VDI_BLOCK_BYTES, run_end(run) - at);
        err = place_block(w, (uint32_t)(at / VDI_BLOCK_BYTES), &part.offset, detail);
        if (!err && !append(out, max, out_nr, first, &part))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    }
    return err;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct vdi_writer *w = writer_of(writer);
    enum guest_err err = GUEST_OK;

    *out_nr = 0;
    if (w->base.shape.lease || w->base.shape.linear)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    for (uint32_t i = 0; i < nr && !err; i++)
        err = run_valid(w, &in[i]) ? place_run(w, &in[i], out, max, out_nr, detail)
                                   : err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return err;
}

static void settle_run(struct vdi_writer *w, const struct cell_place *run)
{
    for (uint64_t at = run->start; at < run_end(run); at += VDI_BLOCK_BYTES)
        vdi_bmap_settle(&w->map, (uint32_t)(at / VDI_BLOCK_BYTES));
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct vdi_writer *w = writer_of(writer);
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; i < nr && !err; i++) {
        if (!run_valid(w, &runs[i]))
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        if (w->base.shape.linear)
            err = runs[i].kind == CELL_PLACE_ZERO ? zero_run(w, &runs[i], detail) : GUEST_OK;
        else if (runs[i].kind == CELL_PLACE_ZERO)
            continue; /* done when it was placed, or nothing to do in a fresh image */
        else if (w->base.shape.lease)
            err = take_leased(w, &runs[i], detail);
        else
            settle_run(w, &runs[i]);
    }
    return err;
}

/* ---- the plan ---- */

static bool yield_zeros(struct vdi_writer *w, struct plan_sink *sink)
{
    for (; w->index < w->zeros.nr; w->index++) {
        if (!plan_room(sink, 1, 0))
            return false;
        zero_list_yield(&w->zeros, w->index, sink);
    }
    w->zeros.nr = 0;
    return true;
}

static bool yield_count(struct vdi_writer *w, struct plan_sink *sink)
{
    if (w->on_disk == w->usage.top)
        return true;
    if (!plan_room(sink, 3, VDI_ENTRY_BYTES))
        return false;
    plan_barrier(sink);
    store_le32(
        plan_write(sink, blob_of(w), VDI_AT_BLOCKS_ALLOCATED, VDI_ENTRY_BYTES, CELL_NOTE_HEADER),
        w->usage.top);
    plan_barrier(sink);
    w->on_disk = w->usage.top;
    return true;
}

/* The last block may be cut by the disk's end, and the room of others have gone unused. */
static bool yield_size(struct vdi_writer *w, struct plan_sink *sink)
{
    uint64_t size = vdi_block_offset(w->vdi, w->usage.top);

    if (!w->finishing || w->usage.top == 0 || size <= w->vdi->source->size_bytes)
        return true;
    if (!plan_room(sink, 1, 0))
        return false;
    plan_simple(sink, CELL_OP_TRUNCATE, blob_of(w), size, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

static bool yield(struct vdi_writer *w, struct plan_sink *sink)
{
    switch (w->phase) {
    case PHASE_ZERO:
        return yield_zeros(w, sink);
    case PHASE_COUNT:
        return yield_count(w, sink);
    case PHASE_MAP:
        return vdi_bmap_yield(&w->map, &w->index, blob_of(w), sink);
    default: /* PHASE_SIZE */
        return yield_size(w, sink);
    }
}

static enum guest_err plan_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct vdi_writer *w = (struct vdi_writer *)plan;

    (void)detail;
    while (w->phase != PHASE_DONE && yield(w, sink)) {
        w->phase++;
        w->index = 0;
    }
    *out_done = w->phase == PHASE_DONE;
    return GUEST_OK;
}

/* The plan is the writer's: it ends with it. */
static void plan_free(struct plan *plan)
{
    (void)plan;
}

static const struct plan_verbs plan_verbs = {plan_next, plan_free};

static bool writer_wants_plan(const struct image_writer *writer)
{
    return vdi_bmap_bytes(&((const struct vdi_writer *)writer)->map) >
           ((const struct vdi_writer *)writer)->budget;
}

static struct plan *writer_plan(struct image_writer *writer)
{
    struct vdi_writer *w = writer_of(writer);

    /* What an earlier plan wrote is on disk by now. */
    vdi_bmap_drop(&w->map);
    w->phase = PHASE_ZERO;
    w->index = 0;
    w->base.plan.file_size =
        max_u64(w->vdi->source->size_bytes, vdi_block_offset(w->vdi, w->usage.top));
    return &w->base.plan;
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct vdi_writer *w = writer_of(writer);

    w->finishing = true;
    if (w->base.shape.lease && unused_offset >= w->vdi->header.offset_data)
        w->usage.top = (uint32_t)min_u64(
            w->usage.top, (unused_offset - w->vdi->header.offset_data) / VDI_BLOCK_BYTES);
    vdi_bmap_settle_all(&w->map);
    return writer_plan(writer);
}

/* ---- the writer ---- */

static void writer_free(struct image_writer *writer)
{
    struct vdi_writer *w = writer_of(writer);

    vdi_bmap_clear(&w->map);
    vdi_usage_clear(&w->usage);
    zero_list_clear(&w->zeros);
    free(w);
}

static const struct image_writer_verbs writer_verbs = {
    .lease = writer_lease,
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};

/* Whether every block lies where its number says, as it does in a new static image. */
static enum guest_err is_linear(struct vdi_writer *w, bool *out, struct guest_err_detail *detail)
{
    uint32_t entry;

    *out = w->vdi->header.blocks_in_image > 0;
    for (uint32_t i = 0; *out && i < w->vdi->header.blocks_in_image; i++) {
        enum guest_err err = vdi_entry(w->vdi, i, &entry, detail);

        if (err)
            return err;
        *out = entry == i;
    }
    return GUEST_OK;
}

static enum guest_err prepare(struct vdi_writer *w, const struct image_writer_options *options,
                              struct guest_err_detail *detail)
{
    bool linear = false;
    enum guest_err err = vdi_usage_sound(w->vdi, 0, &w->usage, detail);

    if (!err && options->fresh)
        err = is_linear(w, &linear, detail);
    if (!err)
        err = vdi_bmap_init(&w->map, w->vdi, detail);
    if (err)
        return err;
    w->on_disk = w->vdi->header.blocks_allocated;
    w->budget = min_u64(MAP_BUDGET, arena_left_bytes() / 3);
    w->base.shape = (struct image_writer_shape){
        .unit = linear ? VDI_SECTOR_BYTES : VDI_BLOCK_BYTES,
        .lease = options->fresh && w->usage.top == 0,
        .data_blob = blob_of(w),
        .zero_by_default = options->fresh,
        .linear = linear,
        .linear_offset = w->vdi->header.offset_data,
        .zero_unit = linear ? VDI_SECTOR_BYTES : VDI_BLOCK_BYTES,
    };
    return GUEST_OK;
}

enum guest_err vdi_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail)
{
    struct vdi_writer *w;
    enum guest_err err;

    if (options->compressed)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->base.plan.verbs = &plan_verbs;
    w->base.verbs = &writer_verbs;
    w->vdi = vdi_of(node);
    err = prepare(w, options, detail);
    if (err) {
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
