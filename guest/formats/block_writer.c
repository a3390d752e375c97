/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/block_writer.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static struct block_writer *writer_of(struct image_writer *writer)
{
    return (struct block_writer *)writer;
}

/* ---- room ---- */

static enum guest_err make_block(struct block_writer *w, uint64_t block,
                                 struct guest_err_detail *detail)
{
    if (w->end / w->place_unit >= BLOCK_NOWHERE)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    w->placed[block] = (uint32_t)(w->end / w->place_unit);
    w->made[w->nr_made++] = (uint32_t)block;
    w->end += w->block_span;
    return GUEST_OK;
}

/* One run inside one block; out->offset is where its bytes are. */
static enum guest_err place_in_block(struct block_writer *w, struct cell_place *out,
                                     struct guest_err_detail *detail)
{
    uint64_t block = out->start / w->block_bytes;
    enum guest_err err = GUEST_OK;

    if (block >= w->nr_blocks)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->placed[block] == BLOCK_NOWHERE && out->kind == CELL_PLACE_DATA)
        err = make_block(w, block, detail);
    out->blob = w->blob;
    out->offset = w->placed[block] == BLOCK_NOWHERE
                      ? 0
                      : block_data_offset(w, block) + out->start % w->block_bytes;
    return err;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct block_writer *w = writer_of(writer);
    uint32_t used = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t at = in[i].start, left = in[i].length;

        while (left) {
            struct cell_place part = in[i];
            enum guest_err err;

            if (used == max)
                return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
            part.start = at;
            part.length = min_u64(left, w->block_bytes - at % w->block_bytes);
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

static void link_block(struct block_writer *w, uint64_t block)
{
    if (w->linked[block] || w->placed[block] == BLOCK_NOWHERE)
        return;
    w->linked[block] = BLOCK_LINKED;
    w->stale[w->format->bat_sector(w, block)] = 1;
}

/* Zeros of the disk's own, over what the parent has. */
static enum guest_err own_zeros(struct block_writer *w, uint64_t block, uint64_t from,
                                uint64_t length, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (w->placed[block] == BLOCK_NOWHERE)
        err = make_block(w, block, detail);
    else if (!w->fresh)
        err = zero_list_add(&w->zeros, w->blob, block_data_offset(w, block) + from, length, detail);
    return err ? err : block_bits_add(w, block, from, from + length, detail);
}

static enum guest_err commit_run(struct block_writer *w, const struct cell_place *run,
                                 struct guest_err_detail *detail)
{
    for (uint64_t at = run->start, end = run->start + run->length; at < end;) {
        uint64_t block = at / w->block_bytes;
        uint64_t length = min_u64(end - at, w->block_bytes - at % w->block_bytes);
        uint64_t from = at % w->block_bytes;
        enum guest_err err = GUEST_OK;

        if (block >= w->nr_blocks)
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        if (w->has_parent && run->kind != CELL_PLACE_DATA)
            err = own_zeros(w, block, from, length, detail);
        else if (w->has_parent && w->placed[block] != BLOCK_NOWHERE)
            err = block_bits_add(w, block, from, from + length, detail);
        if (!err && (run->kind == CELL_PLACE_DATA || w->has_parent))
            link_block(w, block);
        else if (!err && w->placed[block] != BLOCK_NOWHERE && !w->fresh)
            err = zero_list_add(&w->zeros, w->blob, block_data_offset(w, block) + from, length,
                                detail);
        if (err)
            return err;
        at += length;
    }
    return GUEST_OK;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct block_writer *w = writer_of(writer);
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && i < nr; i++)
        err = commit_run(w, &runs[i], detail);
    return err;
}

static enum guest_err linear_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct block_writer *w = writer_of(writer);
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && !w->fresh && i < nr; i++)
        if (runs[i].kind == CELL_PLACE_ZERO)
            err = zero_list_add(&w->zeros, w->blob, runs[i].start, runs[i].length, detail);
    return err;
}

/* ---- plans ---- */

/* Moves on to the next stage that has something to do. */
static void settle(struct block_writer *w)
{
    if (w->stage == BLOCK_STAGE_PREPARE && !w->format->unprepared(w))
        w->stage = BLOCK_STAGE_ZEROS;
    if (w->stage == BLOCK_STAGE_ZEROS && w->at == w->zeros.nr) {
        w->zeros.nr = w->at = 0;
        w->stage = BLOCK_STAGE_BITS;
    }
    if (w->stage == BLOCK_STAGE_BITS) {
        while (w->nr_bits_set && !w->bits_set[w->at])
            w->at++;
        if (w->nr_bits_set == 0) {
            w->at = 0;
            w->stage = w->bit_tables_stale ? BLOCK_STAGE_BIT_TABLES : BLOCK_STAGE_BAT;
        }
    }
    while (w->stage == BLOCK_STAGE_BIT_TABLES || w->stage == BLOCK_STAGE_BAT) {
        while (w->at < w->nr_bat_sectors && !w->stale[w->at])
            w->at++;
        if (w->at < w->nr_bat_sectors)
            break;
        w->at = 0;
        w->stage++;
        w->bit_tables_stale = false;
        if (w->stage == BLOCK_STAGE_DONE)
            w->format->changed(w);
    }
}

static enum guest_err yield_bat(struct block_writer *w, struct plan_sink *sink,
                                struct guest_err_detail *detail)
{
    enum guest_err err = w->format->put_bat_sector(w, w->at, sink, detail);

    if (w->stage == BLOCK_STAGE_BIT_TABLES) {
        plan_barrier(sink);
        w->at++;
    } else {
        w->stale[w->at] = 0;
    }
    return err;
}

static enum guest_err writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct block_writer *w = (struct block_writer *)plan;
    enum guest_err err = GUEST_OK;

    for (settle(w); !err && w->stage != BLOCK_STAGE_DONE &&
                    plan_room(sink, BLOCK_PREPARE_OPS, max_u64(BLOCK_PREPARE_BYTES, w->bits_bytes));
         settle(w)) {
        if (w->stage >= BLOCK_STAGE_BITS && !w->ordered && !w->fresh)
            plan_barrier(sink);
        w->ordered |= w->stage >= BLOCK_STAGE_BITS;
        switch (w->stage) {
        case BLOCK_STAGE_PREPARE:
            w->format->prepare(w, sink);
            break;
        case BLOCK_STAGE_ZEROS:
            zero_list_yield(&w->zeros, w->at++, sink);
            break;
        case BLOCK_STAGE_BITS:
            block_bits_yield(w, w->at, sink);
            break;
        default:
            err = yield_bat(w, sink, detail);
            break;
        }
    }
    *out_done = w->stage == BLOCK_STAGE_DONE;
    return err;
}

/* The plan is a part of the writer. */
static void keep_plan(struct plan *plan)
{
    (void)plan;
}

static const struct plan_verbs writer_plan_verbs = {.next = writer_next, .free = keep_plan};

/* An existing image must be ready before the data of new blocks is written. */
static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct block_writer *w = (const struct block_writer *)writer;

    return !w->fresh && (w->format->unprepared(w) || w->zeros.nr >= ZERO_LIST_ENOUGH);
}

static struct plan *writer_plan(struct image_writer *writer)
{
    struct block_writer *w = writer_of(writer);

    w->stage = BLOCK_STAGE_PREPARE;
    w->ordered = false;
    w->at = 0;
    w->base.plan.file_size = w->format->file_size(w);
    return &w->base.plan;
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct block_writer *w = writer_of(writer);

    (void)unused_offset;
    for (uint32_t i = 0; !w->has_parent && i < w->nr_made; i++)
        link_block(w, w->made[i]);
    return writer_plan(writer);
}

void block_writer_free(struct image_writer *writer)
{
    struct block_writer *w = writer_of(writer);

    if (w->format->forget)
        w->format->forget(w);
    for (uint64_t i = 0; w->bits && i < w->nr_blocks; i++)
        free(w->bits[i]);
    free(w->bits);
    free(w->bits_set);
    free(w->whole);
    free(w->placed);
    free(w->linked);
    free(w->stale);
    free(w->made);
    zero_list_clear(&w->zeros);
    free(w);
}

static const struct image_writer_verbs block_verbs = {
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = block_writer_free,
};

static const struct image_writer_verbs linear_verbs = {
    .commit = linear_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = block_writer_free,
};

enum guest_err block_writer_init(struct block_writer *w, uint32_t sector_bytes,
                                 struct guest_err_detail *detail)
{
    w->base.plan.verbs = &writer_plan_verbs;
    w->base.verbs = w->linear ? &linear_verbs : &block_verbs;
    w->base.shape = (struct image_writer_shape){
        .unit = sector_bytes,
        .data_blob = w->blob,
        .linear = w->linear,
        .zero_unit = sector_bytes,
    };
    if (w->has_parent) {
        w->bits = arena_array(w->nr_blocks, sizeof(*w->bits));
        w->bits_set = arena_array(w->nr_blocks, 1);
        w->whole = arena_array(w->nr_blocks, 1);
        if (!w->bits || !w->bits_set || !w->whole)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    w->placed = arena_array(w->nr_blocks, sizeof(*w->placed));
    w->made = arena_array(w->nr_blocks, sizeof(*w->made));
    w->linked = arena_array(w->nr_blocks, 1);
    w->stale = arena_array(w->nr_bat_sectors, 1);
    if (!w->placed || !w->made || !w->linked || !w->stale)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memset(w->placed, 0xff, w->nr_blocks * sizeof(*w->placed)); /* BLOCK_NOWHERE */
    return GUEST_OK;
}
