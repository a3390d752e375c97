/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VHD: room for blocks at the end of the file, and the BAT that refers to them.
 *
 * In a fixed disk everything is in its place, and the writer is asked for nothing but zeros. In a
 * dynamic one a block gets its room with the first run in it. A fresh image is finished in one go:
 * bitmaps, BAT, footer. In an existing one the footer moves behind the new blocks first, then come
 * their bitmaps, then (the copy's) data, then the BAT: at every moment the blocks that the BAT
 * knows are whole and the footers are where they are looked for.
 */
#include "guest/formats/vpc_writer.h"

#include "guest/formats/vpc.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Ranges to be zeroed are handed out when there are this many. */
#define ZEROS_ENOUGH 4096u

#define BAT_SECTOR_ENTRIES (VPC_SECTOR_BYTES / VPC_BAT_ENTRY_BYTES)

/* What of a plan comes next. */
enum stage {
    STAGE_FOOTER,
    STAGE_BITMAPS,
    STAGE_ZEROS,
    STAGE_BAT,
    STAGE_DONE,
};

/* Bytes of the file that shall be zeros. */
struct file_range {
    uint64_t offset, length;
};

struct vpc_writer {
    struct image_writer base;
    struct vpc *vpc;
    bool fresh;
    uint32_t *bat;     /* by block: where it was placed, or VPC_UNALLOCATED */
    uint8_t *linked;   /* by block: its data was reported, the BAT in the file may say so */
    uint8_t *stale;    /* by sector of the BAT: the file does not say what it may */
    uint32_t *made;    /* blocks in the order in which they got their room */
    uint32_t entries;  /* of bat */
    uint32_t nr_made;  /* of made */
    uint32_t prepared; /* of made: their bitmaps are in the file */
    uint64_t end;      /* after the last block, bytes */
    uint64_t file_end; /* what lies before it may hold old bytes; moves with the footer */
    bool stale_any;
    bool finishing;
    struct file_range *zeros;
    uint32_t nr_zeros, room_zeros;

    /* of the plan being drained */
    enum stage stage;
    uint32_t at;
};

static struct vpc_writer *writer_of(struct image_writer *writer)
{
    return (struct vpc_writer *)writer;
}

static uint64_t block_span(const struct vpc_writer *w)
{
    return (uint64_t)w->vpc->bitmap_bytes + w->vpc->dynamic.block_size;
}

/* ---- room ---- */

static enum guest_err make_block(struct vpc_writer *w, uint32_t block,
                                 struct guest_err_detail *detail)
{
    if (w->end / VPC_SECTOR_BYTES >= VPC_UNALLOCATED)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    w->bat[block] = (uint32_t)(w->end / VPC_SECTOR_BYTES);
    w->made[w->nr_made++] = block;
    w->end += block_span(w);
    return GUEST_OK;
}

/* One run inside one block; out->offset is where its bytes are. */
static enum guest_err place_in_block(struct vpc_writer *w, struct cell_place *out,
                                     struct guest_err_detail *detail)
{
    uint32_t size = w->vpc->dynamic.block_size, block = (uint32_t)(out->start / size);
    enum guest_err err = GUEST_OK;

    if (block >= w->entries)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->bat[block] == VPC_UNALLOCATED && out->kind == CELL_PLACE_DATA)
        err = make_block(w, block, detail);
    out->blob = w->vpc->source->blob;
    out->offset = w->bat[block] == VPC_UNALLOCATED
                      ? 0
                      : vpc_data_offset(w->vpc, w->bat[block]) + out->start % size;
    return err;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct vpc_writer *w = writer_of(writer);
    uint32_t size = w->vpc->dynamic.block_size, used = 0;

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

static void link_block(struct vpc_writer *w, uint32_t block)
{
    if (w->linked[block] || w->bat[block] == VPC_UNALLOCATED)
        return;
    w->linked[block] = 1;
    w->stale[block / BAT_SECTOR_ENTRIES] = 1;
    w->stale_any = true;
}

/* Zeros where the file may hold something else: not in a fresh one. */
static enum guest_err note_zeros(struct vpc_writer *w, uint64_t offset, uint64_t length,
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

static enum guest_err commit_run(struct vpc_writer *w, const struct cell_place *run,
                                 struct guest_err_detail *detail)
{
    uint32_t size = w->vpc->dynamic.block_size;

    for (uint64_t at = run->start, end = run->start + run->length; at < end;) {
        uint64_t length = min_u64(end - at, size - at % size);
        uint32_t block = (uint32_t)(at / size);

        enum guest_err err = GUEST_OK;

        if (block >= w->entries)
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        if (run->kind == CELL_PLACE_DATA)
            link_block(w, block);
        else if (w->bat[block] != VPC_UNALLOCATED)
            err = note_zeros(w, vpc_data_offset(w->vpc, w->bat[block]) + at % size, length, detail);
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

static enum guest_err fixed_commit(struct image_writer *writer, const struct cell_place *runs,
                                   uint32_t nr, struct guest_err_detail *detail)
{
    struct vpc_writer *w = writer_of(writer);

    for (uint32_t i = 0; i < nr; i++) {
        enum guest_err err = GUEST_OK;

        if (runs[i].kind == CELL_PLACE_ZERO)
            err = note_zeros(w, runs[i].start, runs[i].length, detail);
        if (err)
            return err;
    }
    return GUEST_OK;
}

/* ---- plans ---- */

/* The footer behind the last block; writing it there makes the file as long as it must be. */
static void yield_footer(struct vpc_writer *w, struct plan_sink *sink)
{
    memcpy(plan_write(sink, w->vpc->source->blob, w->end, VPC_FOOTER_BYTES, CELL_NOTE_HEADER),
           w->vpc->footer_bytes, VPC_FOOTER_BYTES);
    plan_barrier(sink);
}

/* The next new block: all of it counts as written, and what is not reads as zeros. */
static void yield_bitmap(struct vpc_writer *w, struct plan_sink *sink)
{
    static const uint8_t ones = 0xff;
    uint64_t offset = (uint64_t)w->bat[w->made[w->prepared]] * VPC_SECTOR_BYTES;
    uint64_t data = offset + w->vpc->bitmap_bytes;

    if (data < w->file_end)
        plan_simple(sink, CELL_OP_ZERO, w->vpc->source->blob, data,
                    min_u64(w->file_end - data, w->vpc->dynamic.block_size), CELL_NOTE_DATA);
    if (w->vpc->bitmap_bytes)
        plan_pattern(sink, w->vpc->source->blob, offset, w->vpc->bitmap_bytes, &ones, 1,
                     CELL_NOTE_BITMAP);
    w->prepared++;
}

static void yield_zeros(struct vpc_writer *w, struct plan_sink *sink)
{
    const struct file_range *range = &w->zeros[w->at++];

    plan_simple(sink, CELL_OP_ZERO, w->vpc->source->blob, range->offset, range->length,
                CELL_NOTE_DATA);
}

/* One sector of the BAT; it names only blocks whose data was reported. */
static void yield_bat_sector(struct vpc_writer *w, struct plan_sink *sink, uint32_t sector)
{
    uint32_t first = sector * BAT_SECTOR_ENTRIES;
    uint32_t nr = (uint32_t)min_u64(BAT_SECTOR_ENTRIES, w->entries - first);
    uint8_t *bytes =
        plan_write(sink, w->vpc->source->blob, w->vpc->dynamic.table_offset + (uint64_t)first * 4,
                   (uint64_t)nr * VPC_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);

    for (uint32_t i = 0; i < nr; i++)
        store_be32(bytes + i * 4ul, w->linked[first + i] ? w->bat[first + i] : VPC_UNALLOCATED);
    w->stale[sector] = 0;
}

/* Moves on to the next stage that has something to do. */
static void settle(struct vpc_writer *w)
{
    uint32_t sectors = (uint32_t)div_round_up_u64(w->entries, BAT_SECTOR_ENTRIES);

    if (w->stage == STAGE_FOOTER && w->prepared == w->nr_made)
        w->stage = STAGE_ZEROS;
    if (w->stage == STAGE_BITMAPS && w->prepared == w->nr_made) {
        w->file_end = max_u64(w->file_end, w->end + VPC_FOOTER_BYTES);
        w->stage = STAGE_ZEROS;
    }
    if (w->stage == STAGE_ZEROS && w->at == w->nr_zeros) {
        w->nr_zeros = w->at = 0;
        w->stage = STAGE_BAT;
    }
    if (w->stage == STAGE_BAT) {
        while (w->at < sectors && !w->stale[w->at])
            w->at++;
        if (w->at == sectors) {
            w->stale_any = false;
            w->vpc->window_valid = false;
            w->stage = STAGE_DONE;
        }
    }
}

static enum guest_err writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct vpc_writer *w = (struct vpc_writer *)plan;

    (void)detail;
    for (settle(w); w->stage != STAGE_DONE && plan_room(sink, 3, VPC_FOOTER_BYTES); settle(w)) {
        switch (w->stage) {
        case STAGE_FOOTER:
            yield_footer(w, sink);
            w->stage = STAGE_BITMAPS;
            break;
        case STAGE_BITMAPS:
            yield_bitmap(w, sink);
            if (w->prepared == w->nr_made)
                plan_barrier(sink);
            break;
        case STAGE_ZEROS:
            yield_zeros(w, sink);
            break;
        default:
            yield_bat_sector(w, sink, w->at);
            break;
        }
    }
    *out_done = w->stage == STAGE_DONE;
    return GUEST_OK;
}

/* The plan is a part of the writer. */
static void keep_plan(struct plan *plan)
{
    (void)plan;
}

static const struct plan_verbs writer_plan_verbs = {.next = writer_next, .free = keep_plan};

/* New blocks of an existing image must be ready before their data is written. */
static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct vpc_writer *w = (const struct vpc_writer *)writer;

    return !w->fresh && (w->prepared < w->nr_made || w->nr_zeros >= ZEROS_ENOUGH);
}

static struct plan *writer_plan(struct image_writer *writer)
{
    struct vpc_writer *w = writer_of(writer);

    w->stage = STAGE_FOOTER;
    w->at = 0;
    w->base.plan.file_size = max_u64(w->end + VPC_FOOTER_BYTES, w->file_end);
    return &w->base.plan;
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct vpc_writer *w = writer_of(writer);

    (void)unused_offset;
    for (uint32_t i = 0; i < w->nr_made; i++)
        link_block(w, w->made[i]);
    return writer_plan(writer);
}

static void writer_free(struct image_writer *writer)
{
    struct vpc_writer *w = writer_of(writer);

    free(w->bat);
    free(w->linked);
    free(w->stale);
    free(w->made);
    free(w->zeros);
    free(w);
}

static const struct image_writer_verbs dynamic_verbs = {
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};

static const struct image_writer_verbs fixed_verbs = {
    .commit = fixed_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};

/* ---- opening ---- */

static enum guest_err load_bat(struct vpc_writer *w, struct guest_err_detail *detail)
{
    w->entries = w->vpc->dynamic.max_table_entries;
    w->bat = arena_array(w->entries, sizeof(*w->bat));
    w->made = arena_array(w->entries, sizeof(*w->made));
    w->linked = arena_array(w->entries, 1);
    w->stale = arena_array(div_round_up_u64(w->entries, BAT_SECTOR_ENTRIES), 1);
    if (!w->bat || !w->made || !w->linked || !w->stale)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < w->entries; i++) {
        enum guest_err err = vpc_bat_entry(w->vpc, i, &w->bat[i], detail);

        if (err)
            return err;
        w->linked[i] = w->bat[i] != VPC_UNALLOCATED;
    }
    return GUEST_OK;
}

/* What cannot be written to without making it worse. */
static enum guest_err refuse_odd(const struct node *node, struct guest_err_detail *detail)
{
    const struct vpc *vpc = vpc_of(node);

    if (vpc->is_differencing)
        return vpc_error(detail, VPC_ERR_WRITE_DIFFERENCING);
    if (vpc->is_fixed && vpc->has_table)
        return vpc_error(detail, VPC_ERR_WRITE_MIXED);
    if (vpc->is_fixed && node->virtual_size > vpc->source->size_bytes)
        return vpc_error(detail, VPC_ERR_WRITE_SHORT);
    return GUEST_OK;
}

enum guest_err vpc_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail)
{
    struct vpc *vpc = vpc_of(node);
    struct vpc_writer *w;
    enum guest_err err = refuse_odd(node, detail);

    if (err)
        return err;
    w = arena_array(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->vpc = vpc;
    w->fresh = options->fresh;
    w->end = vpc->free_offset;
    w->file_end = options->fresh ? 0 : vpc->source->size_bytes;
    w->base.plan.verbs = &writer_plan_verbs;
    w->base.verbs = vpc->is_fixed ? &fixed_verbs : &dynamic_verbs;
    w->base.shape = (struct image_writer_shape){
        .unit = VPC_SECTOR_BYTES,
        .data_blob = vpc->source->blob,
        .zero_by_default = options->fresh,
        .linear = vpc->is_fixed,
        .zero_unit = VPC_SECTOR_BYTES,
    };
    err = vpc->is_fixed ? GUEST_OK : load_bat(w, detail);
    if (err) {
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
