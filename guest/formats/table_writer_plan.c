/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a table writer, phase by phase.
 */
#include "guest/formats/table_writer.h"

#include "guest/formats/table_writer_private.h"
#include "guest/lib/arena.h"

static uint64_t table_bytes(const struct table_image *image)
{
    return image->table_entries * image->format->entry_bytes;
}

static bool page_dirty(const struct table_page *page)
{
    return page && page->from != page->to;
}

/* ---- places for new tables ---- */

static enum guest_err place_table(struct table_writer *w, uint64_t table,
                                  struct guest_err_detail *detail)
{
    struct table_image *image = &w->pages.image;
    uint64_t at;

    if (!align_up_u64(image->end, image->table_align, &at) || at > INT64_MAX - table_bytes(image))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (!arena_grow((void **)&w->new_tables, &w->max_new, w->nr_new + 1, sizeof(*w->new_tables)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->new_tables[w->nr_new++] = table;
    image->tables[table] = at;
    image->end = at + table_bytes(image);
    return GUEST_OK;
}

static enum guest_err place_tables(struct table_writer *w, struct guest_err_detail *detail)
{
    uint64_t per_table = w->pages.pages_per_table;
    enum guest_err err = GUEST_OK;

    for (uint64_t i = 0; !err && i < table_pages_count(&w->pages); i++)
        if (page_dirty(w->pages.pages[i]) && w->pages.image.tables[i / per_table] == 0)
            err = place_table(w, i / per_table, detail);
    return err;
}

/* ---- phases: each gives what fits, true when it is through ---- */

static bool yield_before(struct table_writer *w, struct plan_sink *sink)
{
    const struct table_image *image = &w->pages.image;

    if (!image->format->before || w->begun)
        return true;
    if (!plan_room(sink, TABLE_FORMAT_OPS + 1, TABLE_FORMAT_BYTES))
        return false;
    image->format->before(image->image, sink);
    plan_barrier(sink);
    w->begun = true;
    return true;
}

static bool yield_room(struct table_writer *w, struct plan_sink *sink)
{
    const struct table_image *image = &w->pages.image;
    uint64_t steps = w->zeros.nr + w->nr_new;

    if (w->index == 0) {
        if (!plan_room(sink, 1, 0))
            return false;
        plan_simple(sink, CELL_OP_TRUNCATE, image->source->blob, image->end, 0,
                    CELL_NOTE_FILE_SIZE);
        w->index = 1;
    }
    for (; w->index <= steps; w->index++) {
        uint64_t i = w->index - 1;

        if (!plan_room(sink, 1, 0))
            return false;
        if (i < w->zeros.nr)
            zero_list_yield(&w->zeros, i, sink);
        else
            plan_simple(sink, CELL_OP_ZERO, image->source->blob,
                        image->tables[w->new_tables[i - w->zeros.nr]], table_bytes(image),
                        CELL_NOTE_L2_TABLE);
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    w->zeros.nr = 0;
    return true;
}

static bool yield_blocks(struct table_writer *w, struct plan_sink *sink)
{
    for (; w->index < table_pages_count(&w->pages); w->index++) {
        const struct table_page *page = w->pages.pages[w->index];
        uint32_t len;

        if (!page_dirty(page))
            continue;
        len = page->to - page->from;
        if (!plan_room(sink, 1, len))
            return false;
        memcpy(plan_write(sink, w->pages.image.source->blob,
                          table_page_offset(&w->pages, w->index) + page->from, len,
                          CELL_NOTE_L2_TABLE),
               &page->bytes[page->from], len);
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

/* How many new tables from the i-th on are neighbours in the table of tables. */
static uint64_t neighbours(const struct table_writer *w, uint64_t i)
{
    uint64_t nr = 1, max = PLAN_CHUNK_BYTES / sizeof(uint64_t);

    while (nr < max && i + nr < w->nr_new && w->new_tables[i + nr] == w->new_tables[i] + nr)
        nr++;
    return nr;
}

static bool yield_tables(struct table_writer *w, struct plan_sink *sink)
{
    const struct table_image *image = &w->pages.image;

    while (w->index < w->nr_new) {
        uint64_t nr = neighbours(w, w->index), first = w->new_tables[w->index];
        uint8_t *to;

        if (!plan_room(sink, 1, nr * sizeof(uint64_t)))
            return false;
        to = plan_write(sink, image->source->blob, image->l1_offset + first * sizeof(uint64_t),
                        nr * sizeof(uint64_t), CELL_NOTE_L1_TABLE);
        for (uint64_t k = 0; k < nr; k++) {
            uint64_t offset = image->tables[first + k];

            if (image->format->big_endian)
                offset = __builtin_bswap64(offset);
            memcpy(&to[k * sizeof(offset)], &offset, sizeof(offset));
        }
        w->index += nr;
    }
    if (w->nr_new && !plan_room(sink, 1, 0))
        return false;
    if (w->nr_new)
        plan_barrier(sink);
    w->nr_new = 0;
    return true;
}

static bool yield_after(struct table_writer *w, struct plan_sink *sink)
{
    const struct table_image *image = &w->pages.image;

    if (!image->format->after)
        return true;
    if (!plan_room(sink, TABLE_FORMAT_OPS, TABLE_FORMAT_BYTES))
        return false;
    image->format->after(image->image, sink, image->end, w->finishing && w->nr_queue == 0);
    return true;
}

static bool (*const yields[])(struct table_writer *w, struct plan_sink *sink) = {
    [TABLE_PHASE_BEFORE] = yield_before, [TABLE_PHASE_ROOM] = yield_room,
    [TABLE_PHASE_BLOCKS] = yield_blocks, [TABLE_PHASE_TABLES] = yield_tables,
    [TABLE_PHASE_AFTER] = yield_after,
};

/* ---- the plan ---- */

/* The file is as planned; what is reported next goes into pages that are read again. */
static enum guest_err round_done(struct table_writer *w, struct guest_err_detail *detail)
{
    struct source *source = w->pages.image.source;

    source->size_bytes =
        w->finishing ? w->pages.image.end : max_u64(source->size_bytes, w->pages.image.end);
    source_forget(source);
    table_pages_written(&w->pages);
    return table_writer_run_queue(w, detail);
}

enum guest_err table_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                 struct guest_err_detail *detail)
{
    struct table_writer *w = (struct table_writer *)plan;
    enum guest_err err;

    *out_done = false;
    for (;; w->index = 0) {
        if (w->phase == TABLE_PHASE_PLACE_TABLES) {
            err = place_tables(w, detail);
            if (err)
                return err;
        } else if (w->phase == TABLE_PHASE_DONE) {
            err = round_done(w, detail);
            *out_done = w->nr_queue == 0;
            w->phase = TABLE_PHASE_PLACE_TABLES;
            if (err || *out_done)
                return err;
            continue;
        } else if (!yields[w->phase](w, sink)) {
            return GUEST_OK;
        }
        w->phase++;
    }
}

struct plan *table_writer_plan(struct image_writer *writer)
{
    struct table_writer *w = table_writer_of(writer);

    w->phase = TABLE_PHASE_PLACE_TABLES;
    w->index = 0;
    w->base.plan.file_size = w->pages.image.end;
    return &w->base.plan;
}

struct plan *table_writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct table_writer *w = table_writer_of(writer);
    struct table_image *image = &w->pages.image;

    w->finishing = true;
    table_pages_confirm_all(&w->pages);
    if (w->base.shape.lease && image->end == w->lease_end && unused_offset < w->lease_end)
        image->end = max_u64(unused_offset, w->lease_start);
    return table_writer_plan(writer);
}
