/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of another size. Growing: room, new files, tables, header, text; shrinking: text,
 * header, then what is cut off.
 */
#include "guest/formats/vmdk_resize.h"
#include "guest/lib/checked.h"

#define CHUNK_ENTRIES (PLAN_CHUNK_BYTES / 4)

static uint64_t flat_end(const struct vmdk_resize *r, uint64_t sectors)
{
    return r->extent->flat_offset + sectors * VMDK_SECTOR_BYTES;
}

static void yield_room(struct vmdk_resize *r, struct plan_sink *sink)
{
    uint32_t blob = r->extent->source->blob;

    r->step = VMDK_RESIZE_FILES;
    if (vmdk_resize_is_flat(r) && vmdk_resize_grows(r)) {
        /* What lies behind the old end must not come to light. */
        if (r->extent->source->size_bytes > flat_end(r, r->old_sectors))
            plan_simple(sink, CELL_OP_TRUNCATE, blob, flat_end(r, r->old_sectors), 0,
                        CELL_NOTE_FILE_SIZE);
        plan_simple(sink, CELL_OP_TRUNCATE, blob, flat_end(r, r->new_sectors), 0,
                    CELL_NOTE_FILE_SIZE);
        plan_barrier(sink);
    }
    if (!vmdk_resize_is_flat(r) && r->gd_sector)
        plan_simple(sink, CELL_OP_TRUNCATE, blob, r->plan.file_size, 0, CELL_NOTE_FILE_SIZE);
}

/* The files of new extents. False: again with more room. */
static bool yield_files(struct vmdk_resize *r, struct plan_sink *sink)
{
    const struct vmdk_extent *e = r->extent;

    for (; r->made < r->nr_new; r->made++) {
        if (r->now.step == VMDK_EXTENT_SIZE) {
            uint64_t before = (uint64_t)r->made * VMDK_SPLIT_SECTORS;

            r->now = (struct vmdk_new_extent){
                .blob = r->first_file_blob + r->made,
                .sectors = min_u64(r->extra_sectors - before, VMDK_SPLIT_SECTORS),
                .flat = e->flat,
                .zero_grain = e->zero_grain,
            };
        }
        if (!vmdk_make_extent(&r->now, sink))
            return false;
        r->now.step = VMDK_EXTENT_SIZE;
    }
    r->step = e->flat ? VMDK_RESIZE_TEXT : VMDK_RESIZE_RGD;
    return true;
}

/* Old entries as they are, new ones for the tables behind the directory. */
static enum guest_err yield_directory(struct vmdk_resize *r, struct plan_sink *sink, uint64_t old,
                                      uint64_t sector, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    uint64_t table_sectors = div_round_up_u64((uint64_t)e->gtes_per_gt * 4, VMDK_SECTOR_BYTES);
    uint64_t first = sector + div_round_up_u64(r->tables * 4, VMDK_SECTOR_BYTES);
    uint64_t nr = min_u64(r->tables - r->entry, CHUNK_ENTRIES);
    uint64_t kept = r->entry < e->gd_entries ? min_u64(nr, e->gd_entries - r->entry) : 0;
    uint8_t *out;
    enum guest_err err = GUEST_OK;

    if (sector == 0) {
        r->step++;
        return GUEST_OK;
    }
    out = plan_write(sink, e->source->blob, sector * VMDK_SECTOR_BYTES + r->entry * 4, nr * 4,
                     CELL_NOTE_L1_TABLE);
    if (kept)
        err = source_read_padded(e->source, old + r->entry * 4, kept * 4, out, detail);
    for (uint64_t i = kept; i < nr && !err; i++)
        store_le32(out + i * 4, (uint32_t)(first + (r->entry + i - e->gd_entries) * table_sectors));
    r->entry += nr;
    if (r->entry == r->tables) {
        r->entry = 0;
        r->step++;
    }
    return err;
}

static void yield_clean(struct vmdk_resize *r, struct plan_sink *sink)
{
    static const uint8_t zero = 0;
    uint32_t blob = r->extent->source->blob;

    for (unsigned k = 0; k < 2; k++)
        if (r->stale_at[k])
            plan_pattern(sink, blob, r->stale_at[k], r->stale_grains * 4, &zero, 1,
                         CELL_NOTE_L2_TABLE);
    if (r->tail_bytes)
        plan_simple(sink, CELL_OP_ZERO, blob, r->tail_at, r->tail_bytes, CELL_NOTE_DATA);
    plan_barrier(sink);
    r->step = VMDK_RESIZE_HEADER;
}

/* The header, if the edge has another size; before the text when it grows, else behind it. */
static void yield_header(struct vmdk_resize *r, struct plan_sink *sink)
{
    if (!vmdk_resize_is_flat(r) && r->new_sectors != r->old_sectors) {
        memcpy(plan_write(sink, r->extent->source->blob, 0, VMDK_SECTOR_BYTES, CELL_NOTE_HEADER),
               r->header, VMDK_SECTOR_BYTES);
        plan_barrier(sink);
    }
    r->step = r->shrinks ? VMDK_RESIZE_CUT : VMDK_RESIZE_TEXT;
}

/* What is longer than one sector goes to a file of its own, and the rest waits for that. */
static void yield_text(struct vmdk_resize *r, struct plan_sink *sink)
{
    uint64_t len = max_u64(r->text_len, max_u64(r->text_room, r->text_old_len));
    uint8_t *out;

    r->step = !r->shrinks ? VMDK_RESIZE_CUT : VMDK_RESIZE_HEADER;
    if (r->plan.unfinished)
        r->step = VMDK_RESIZE_DONE;
    if (!r->text)
        return;
    plan_barrier(sink); /* what it names is there */
    out = plan_write(sink, r->text_blob, r->text_at, len, CELL_NOTE_HEADER);
    memcpy(out, r->text, r->text_len);
    memset(out + r->text_len, 0, len - r->text_len);
    if (!r->text_room)
        plan_simple(sink, CELL_OP_TRUNCATE, r->text_blob, r->text_len, 0, CELL_NOTE_FILE_SIZE);
    plan_barrier(sink);
}

/* A flat file ends with the disk. */
static void yield_cut(struct vmdk_resize *r, struct plan_sink *sink)
{
    r->step = VMDK_RESIZE_DONE;
    if (vmdk_resize_is_flat(r) && !vmdk_resize_grows(r) &&
        r->extent->source->size_bytes > flat_end(r, r->new_sectors))
        plan_simple(sink, CELL_OP_TRUNCATE, r->extent->source->blob, flat_end(r, r->new_sectors), 0,
                    CELL_NOTE_FILE_SIZE);
}

enum guest_err vmdk_resize_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct vmdk_resize *r = (struct vmdk_resize *)plan;
    enum guest_err err = GUEST_OK;

    while (!err && r->step != VMDK_RESIZE_DONE) {
        if (!plan_room(sink, 5, PLAN_CHUNK_BYTES))
            return GUEST_OK;
        switch (r->step) {
        case VMDK_RESIZE_ROOM:
            yield_room(r, sink);
            break;
        case VMDK_RESIZE_FILES:
            if (!yield_files(r, sink))
                return GUEST_OK;
            break;
        case VMDK_RESIZE_RGD:
            err = yield_directory(r, sink, r->extent->rgd_offset, r->rgd_sector, detail);
            break;
        case VMDK_RESIZE_GD:
            err = yield_directory(r, sink, r->extent->gd_offset, r->gd_sector, detail);
            break;
        case VMDK_RESIZE_CLEAN:
            yield_clean(r, sink);
            break;
        case VMDK_RESIZE_HEADER:
            yield_header(r, sink);
            break;
        case VMDK_RESIZE_TEXT:
            yield_text(r, sink);
            break;
        case VMDK_RESIZE_CUT:
            yield_cut(r, sink);
            break;
        case VMDK_RESIZE_DONE:
            break;
        }
    }
    *out_done = true;
    return err;
}
