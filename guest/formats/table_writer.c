/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where data goes: leases, places, and reports that become entries.
 */
#include "guest/formats/table_writer.h"

#include "guest/abi/error_plan.h"
#include "guest/formats/table_writer_private.h"
#include "guest/lib/arena.h"

#define BUDGET_MAX    (128ull << 20)
#define UNIT_MAX      (2u << 20)
#define UNIT_MIN      512u
#define FINE_UNIT     (64u << 10) /* of blocks that are no power of two, or larger than UNIT_MAX */
#define ZERO_UNIT_MAX 4096u
#define LEASE_MAX     (1ull << 30)
#define END_MAX       (1ull << 62)

static const struct table_format *format_of(const struct table_writer *w)
{
    return w->pages.image.format;
}

static enum table_entry_kind look(const struct table_writer *w, uint64_t entry, uint64_t *offset)
{
    *offset = 0;
    return format_of(w)->look(w->pages.image.image, entry, offset);
}

static uint64_t data_entry(const struct table_writer *w, uint64_t offset)
{
    return format_of(w)->data_entry(w->pages.image.image, offset);
}

static uint64_t run_end(const struct cell_place *run)
{
    return run->start + run->length;
}

/* ---- room ---- */

static enum guest_err take(struct table_writer *w, uint64_t bytes, uint64_t align, uint64_t base,
                           uint64_t *out_offset, struct guest_err_detail *detail)
{
    struct table_image *image = &w->pages.image;
    uint64_t at = max_u64(image->end, base);

    at = base + div_round_up_u64(at - base, align) * align;
    if (at > END_MAX || bytes > END_MAX - at)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    *out_offset = at;
    image->end = at + bytes;
    return GUEST_OK;
}

enum guest_err table_writer_take(struct table_writer *w, uint64_t bytes, uint64_t *out_offset,
                                 struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;

    w->comp_pos = 0;
    return take(w, bytes, image->block_align, image->block_base, out_offset, detail);
}

static enum guest_err writer_lease(struct image_writer *writer, uint64_t bytes,
                                   uint64_t *out_offset, uint64_t *out_bytes,
                                   struct guest_err_detail *detail)
{
    struct table_writer *w = table_writer_of(writer);
    uint64_t rounded;
    enum guest_err err;

    if (!w->base.shape.lease || !align_up_u64(max_u64(bytes, 1), w->base.shape.unit, &rounded) ||
        rounded > LEASE_MAX)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    err = table_writer_take(w, rounded, out_offset, detail);
    if (err)
        return err;
    *out_bytes = rounded;
    if (*out_offset != w->lease_end)
        w->lease_start = *out_offset;
    w->lease_end = *out_offset + rounded;
    w->leased_from = w->leased_from ? w->leased_from : *out_offset;
    return GUEST_OK;
}

/* ---- zeros ---- */

static enum guest_err add_zeros(struct table_writer *w, uint64_t offset, uint64_t len,
                                struct guest_err_detail *detail)
{
    return zero_list_add(&w->zeros, w->pages.image.source->blob, offset, len, detail);
}

/* [from, to) of one block reads as zeros from now on. */
static enum guest_err zero_block(struct table_writer *w, uint64_t block, uint64_t from, uint64_t to,
                                 struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    uint64_t start = block * image->block_bytes, entry, offset;
    bool whole = from == 0 && (to == image->block_bytes || start + to == image->disk_bytes);
    enum guest_err err = table_pages_get(&w->pages, block, &entry, detail);

    if (err)
        return err;
    switch (look(w, entry, &offset)) {
    case TABLE_ENTRY_ZERO:
        return GUEST_OK;
    case TABLE_ENTRY_DATA:
        return add_zeros(w, offset + from, to - from, detail);
    case TABLE_ENTRY_BAD:
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    case TABLE_ENTRY_ABSENT:
        if (!image->has_backing)
            return GUEST_OK;
        break;
    case TABLE_ENTRY_COMPRESSED:
        break;
    }
    if (!whole)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (image->format->has_zero_entry)
        return table_pages_set(&w->pages, block, image->format->zero_entry, detail);
    if (!image->has_backing)
        return table_pages_set(&w->pages, block, 0, detail);
    err = table_writer_take(w, image->block_bytes, &offset, detail);
    if (!err)
        err = add_zeros(w, offset, image->block_bytes, detail);
    return err ? err : table_pages_set(&w->pages, block, data_entry(w, offset), detail);
}

/* As much of a run as memory allows; *run is what is left. */
static enum guest_err zero_run(struct table_writer *w, struct cell_place *run, bool bounded,
                               struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    enum guest_err err = GUEST_OK;

    while (!err && run->length > 0 && !(bounded && table_writer_over_budget(w))) {
        uint64_t block = run->start / image->block_bytes, from = run->start % image->block_bytes;
        uint64_t len = min_u64(image->block_bytes - from, run->length);

        err = zero_block(w, block, from, from + len, detail);
        run->start += len;
        run->length -= len;
    }
    return err;
}

/* ---- places ---- */

static enum guest_err check_run(const struct table_writer *w, const struct cell_place *run,
                                struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    uint64_t unit = w->base.shape.zero_unit, size = image->disk_bytes;

    if (run->length == 0 || !range_inside_u64(run->start, run->length, size) ||
        run->start % unit != 0 || (run_end(run) % unit != 0 && run_end(run) != size))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (run->kind == CELL_PLACE_DATA || (run->kind == CELL_PLACE_ZERO && !image->encrypted))
        return GUEST_OK;
    if (run->kind != CELL_PLACE_COMPRESSED || image->encrypted ||
        !image->format->compressed_entry || run->start % image->block_bytes != 0 ||
        run->comp_len == 0 || run->comp_len >= image->block_bytes ||
        run->length != min_u64(image->block_bytes, size - run->start))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return GUEST_OK;
}

/* Room for [from, to) of a block: where it is, or at the end of the file. */
static enum guest_err place_block(struct table_writer *w, uint64_t block, uint64_t from,
                                  uint64_t to, uint64_t *out_offset,
                                  struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    uint64_t start = block * image->block_bytes, entry, offset;
    bool whole = from == 0 && (to == image->block_bytes || start + to == image->disk_bytes);
    enum guest_err err = table_pages_get(&w->pages, block, &entry, detail);
    enum table_entry_kind kind;

    if (err)
        return err;
    kind = look(w, entry, &offset);
    *out_offset = offset + from;
    if (kind == TABLE_ENTRY_DATA)
        return GUEST_OK;
    if (kind == TABLE_ENTRY_BAD)
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    if (!whole && (kind == TABLE_ENTRY_COMPRESSED || (!kind && image->has_backing)))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST); /* what is around would be lost */
    err = table_writer_take(w, image->block_bytes, &offset, detail);
    *out_offset = offset + from;
    return err ? err : table_pages_place(&w->pages, block, data_entry(w, offset), detail);
}

static enum guest_err place_compressed(struct table_writer *w, const struct cell_place *run,
                                       uint64_t *out_offset, struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    enum guest_err err = take(w, run->comp_len, 1, 0, out_offset, detail);

    if (err)
        return err;
    return table_pages_place(
        &w->pages, run->start / image->block_bytes,
        image->format->compressed_entry(image->image, *out_offset, run->comp_len), detail);
}

/* Appends a placed piece, or lengthens the one before it. */
static bool append(struct cell_place *out, uint32_t first, uint32_t max, uint32_t *nr,
                   const struct cell_place *piece)
{
    struct cell_place *last = *nr > first ? &out[*nr - 1] : NULL;

    if (last && last->kind == CELL_PLACE_DATA && last->offset + last->length == piece->offset) {
        last->length += piece->length;
        return true;
    }
    if (*nr == max)
        return false;
    out[(*nr)++] = *piece;
    return true;
}

static enum guest_err place_run(struct table_writer *w, const struct cell_place *run,
                                struct cell_place *out, uint32_t max, uint32_t *nr,
                                struct guest_err_detail *detail)
{
    uint64_t block_bytes = w->pages.image.block_bytes;
    struct cell_place piece = *run;
    uint32_t first = *nr;
    enum guest_err err = check_run(w, run, detail);

    if (err)
        return err;
    piece.blob = w->base.shape.data_blob;
    piece.offset = 0;
    if (run->kind == CELL_PLACE_ZERO) {
        struct cell_place left = *run;
        err = zero_run(w, &left, false, detail);
    } else if (run->kind == CELL_PLACE_COMPRESSED) {
        err = place_compressed(w, run, &piece.offset, detail);
    }
    if (run->kind != CELL_PLACE_DATA) {
        if (!err && !append(out, *nr, max, nr, &piece))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        return err;
    }
    for (uint64_t at = run->start; !err && at < run_end(run); at += piece.length) {
        uint64_t from = at % block_bytes;

        piece.start = at;
        piece.length = min_u64(block_bytes - from, run_end(run) - at);
        err = place_block(w, at / block_bytes, from, from + piece.length, &piece.offset, detail);
        if (!err && !append(out, first, max, nr, &piece))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    }
    return err;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct table_writer *w = table_writer_of(writer);
    enum guest_err err = GUEST_OK;

    *out_nr = 0;
    if (w->base.shape.lease)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    for (uint32_t i = 0; i < nr && !err; i++)
        err = place_run(w, &in[i], out, max, out_nr, detail);
    return err;
}

/* ---- reports ---- */

/* One block whose data lies in leased room. */
static enum guest_err report_leased(struct table_writer *w, const struct cell_place *run,
                                    uint64_t block, uint64_t offset,
                                    struct guest_err_detail *detail)
{
    const struct table_image *image = &w->pages.image;
    uint64_t in = run->start % image->block_bytes, entry;

    if (run->kind == CELL_PLACE_COMPRESSED) {
        if (!range_inside_u64(run->offset, run->comp_len, image->end) ||
            run->offset < w->leased_from)
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        entry = image->format->compressed_entry(image->image, run->offset, run->comp_len);
        return table_pages_set(&w->pages, block, entry, detail);
    }
    offset -= in;
    if (offset < w->leased_from || !range_inside_u64(offset, image->block_bytes, image->end) ||
        (offset - image->block_base) % image->block_align != 0)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return table_pages_set(&w->pages, block, data_entry(w, offset), detail);
}

/* As much of a report as memory allows; *run is what is left. */
static enum guest_err report(struct table_writer *w, struct cell_place *run,
                             struct guest_err_detail *detail)
{
    uint64_t block_bytes = w->pages.image.block_bytes;
    enum guest_err err = GUEST_OK;

    if (run->kind == CELL_PLACE_ZERO) {
        if (w->base.shape.lease && w->pages.image.has_backing)
            return zero_run(w, run, true, detail);
        run->length = 0; /* done when it was placed, or zeros already */
        return GUEST_OK;
    }
    while (!err && run->length > 0 && !table_writer_over_budget(w)) {
        uint64_t block = run->start / block_bytes;
        uint64_t len = min_u64(block_bytes - run->start % block_bytes, run->length);

        err = w->base.shape.lease ? report_leased(w, run, block, run->offset, detail)
                                  : table_pages_confirm(&w->pages, block, detail);
        run->start += len;
        run->offset += len;
        run->length -= len;
    }
    return err;
}

bool table_writer_over_budget(const struct table_writer *w)
{
    return w->pages.used_bytes > w->budget;
}

enum guest_err table_writer_run_queue(struct table_writer *w, struct guest_err_detail *detail)
{
    while (w->at_queue < w->nr_queue && !table_writer_over_budget(w)) {
        enum guest_err err = report(w, &w->queue[w->at_queue], detail);
        if (err)
            return err;
        w->at_queue += w->queue[w->at_queue].length == 0;
    }
    if (w->at_queue == w->nr_queue)
        w->at_queue = w->nr_queue = 0;
    return GUEST_OK;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct table_writer *w = table_writer_of(writer);

    for (uint32_t i = 0; i < nr; i++) {
        enum guest_err err = check_run(w, &runs[i], detail);
        if (err)
            return err;
    }
    if (!arena_grow((void **)&w->queue, &w->max_queue, w->nr_queue + nr, sizeof(*w->queue)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(&w->queue[w->nr_queue], runs, nr * sizeof(*runs));
    w->nr_queue += nr;
    return table_writer_run_queue(w, detail);
}

static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct table_writer *w = (const struct table_writer *)writer;

    return table_writer_over_budget(w) || w->at_queue < w->nr_queue;
}

/* ---- open ---- */

static void writer_free(struct image_writer *writer)
{
    struct table_writer *w = table_writer_of(writer);

    table_pages_clear(&w->pages);
    free(w->pages.image.tables);
    free(w->queue);
    zero_list_clear(&w->zeros);
    free(w->new_tables);
    free(w);
}

static const struct image_writer_verbs verbs = {
    .lease = writer_lease,
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = table_writer_plan,
    .finish = table_writer_finish,
    .free = writer_free,
};

/* The plan is a part of the writer. */
static void plan_free(struct plan *plan)
{
}

static const struct plan_verbs plan_verbs = {.next = table_writer_next, .free = plan_free};

/* Nothing that is placed, and nothing that only looks so. */
static bool is_empty(const struct table_image *image)
{
    for (uint64_t i = 0; image->l1_offset && i < image->nr_tables; i++)
        if (image->tables[i])
            return false;
    return true;
}

static void find_shape(struct table_writer *w, const struct image_writer_options *options)
{
    const struct table_image *image = &w->pages.image;
    uint64_t block = image->block_bytes;
    bool by_blocks = is_power_of_two_u64(block) && block <= UNIT_MAX && block >= UNIT_MIN &&
                     image->block_base % block == 0;
    struct image_writer_shape *shape = &w->base.shape;

    *shape = (struct image_writer_shape){
        .unit = by_blocks ? block : min_u64(block & (~block + 1), FINE_UNIT),
        .lease = by_blocks && options->fresh && is_empty(image),
        .data_blob = image->source->blob,
        .zero_by_default = options->fresh && !image->has_backing,
        .comp_align = 1,
        .plain_zeros = image->encrypted,
    };
    shape->zero_unit = shape->unit;
    if (shape->lease && !image->has_backing && !image->encrypted)
        shape->zero_unit =
            min_u64(shape->unit, ZERO_UNIT_MAX); /* room is zero where it was taken */
}

enum guest_err table_writer_new(const struct table_image *image,
                                const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail)
{
    struct table_writer *w = arena_array(1, sizeof(*w));

    if (!w || !table_pages_init(&w->pages, image)) {
        free(w);
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    w->base.verbs = &verbs;
    w->base.plan.verbs = &plan_verbs;
    w->pages.image.has_backing = image->has_backing || options->keep_zeros;
    w->budget = min_u64(BUDGET_MAX, arena_left_bytes() / 2);
    find_shape(w, options);
    if (w->base.shape.unit < UNIT_MIN ||
        (w->base.shape.unit != image->block_bytes && image->has_backing)) {
        w->pages.image.tables = NULL; /* still the caller's */
        writer_free(&w->base);
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    }
    *out = &w->base;
    return GUEST_OK;
}
