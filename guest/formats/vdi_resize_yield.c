/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing what vdi_resize.c decided. After each stage the image is the old one or the new one, with
 * at most some blocks that nobody uses.
 */
#include "guest/formats/vdi_resize.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define ENTRIES_AT_ONCE (PLAN_CHUNK_BYTES / VDI_ENTRY_BYTES / 4)

const enum vdi_resize_stage vdi_resize_growing[] = {
    VDI_RESIZE_COUNT, VDI_RESIZE_ROOM,   VDI_RESIZE_BLOCKS, VDI_RESIZE_MOVED,
    VDI_RESIZE_MAP,   VDI_RESIZE_HEADER, VDI_RESIZE_DONE,
};
const enum vdi_resize_stage vdi_resize_shrinking[] = {
    VDI_RESIZE_SIZES,  VDI_RESIZE_CLEAR, VDI_RESIZE_BLOCKS, VDI_RESIZE_MOVED,
    VDI_RESIZE_HEADER, VDI_RESIZE_CUT,   VDI_RESIZE_DONE,
};
const enum vdi_resize_stage vdi_resize_nothing[] = {VDI_RESIZE_DONE};

static uint64_t entry_offset(const struct vdi_header *header, uint32_t index)
{
    return header->offset_bmap + (uint64_t)index * VDI_ENTRY_BYTES;
}

/* ---- the header ---- */

static void write_header(struct vdi_resize *r, struct plan_sink *sink, const struct vdi_header *h)
{
    uint8_t *out = plan_write(sink, r->blob, 0, VDI_HEADER_BYTES, CELL_NOTE_HEADER);

    memcpy(out, r->sector, VDI_HEADER_BYTES);
    store_le32(out + VDI_AT_OFFSET_BMAP, h->offset_bmap);
    store_le32(out + VDI_AT_OFFSET_DATA, h->offset_data);
    store_le64(out + VDI_AT_DISK_SIZE, h->disk_size);
    store_le32(out + VDI_AT_BLOCKS_IN_IMAGE, h->blocks_in_image);
    store_le32(out + VDI_AT_BLOCKS_ALLOCATED, h->blocks_allocated);
}

static bool yield_header(struct vdi_resize *r, struct plan_sink *sink, enum vdi_resize_stage stage)
{
    struct vdi_header h = stage == VDI_RESIZE_COUNT ? r->vdi->header : r->after;

    if (stage == VDI_RESIZE_COUNT && r->nr_moves == 0)
        return true;
    if (!plan_room(sink, 1, VDI_HEADER_BYTES))
        return false;
    if (stage != VDI_RESIZE_HEADER)
        h.blocks_allocated = (uint32_t)max_u64(r->top, r->vdi->header.blocks_allocated);
    if (stage == VDI_RESIZE_SIZES)
        h.blocks_in_image = r->vdi->header.blocks_in_image;
    write_header(r, sink, &h);
    return true;
}

/* ---- room ---- */

/* As far as the file reaches: behind its end there are zeros. */
static void zero_in_file(struct vdi_resize *r, struct plan_sink *sink, uint64_t offset,
                         uint64_t len)
{
    uint64_t size = r->vdi->source->size_bytes;

    if (offset < size)
        plan_simple(sink, CELL_OP_ZERO, r->blob, offset, min_u64(len, size - offset),
                    CELL_NOTE_DATA);
}

static void yield_new_blocks(struct vdi_resize *r, struct plan_sink *sink)
{
    uint64_t offset = vdi_block_offset(r->vdi, r->top), len = (uint64_t)r->added * VDI_BLOCK_BYTES;

    if (r->base.file_size > r->vdi->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, r->blob, r->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    if (len == 0)
        return;
    zero_in_file(r, sink, offset, len);
    if (r->preallocation == ABI__PREALLOCATION__PREALLOC_FULL)
        plan_simple(sink, CELL_OP_FILL, r->blob, offset, len, CELL_NOTE_DATA);
    else if (r->preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC)
        plan_simple(sink, CELL_OP_ALLOCATE, r->blob, offset, len, CELL_NOTE_DATA);
}

/* What lies behind the old end of the disk comes to light: the rest of its last block, and blocks
 * that a map larger than the disk names. */
static enum guest_err yield_room(struct vdi_resize *r, struct plan_sink *sink, bool *out_done,
                                 struct guest_err_detail *detail)
{
    uint64_t tail = r->vdi->header.disk_size % VDI_BLOCK_BYTES;
    uint32_t first = r->old_visible - (tail != 0);

    *out_done = false;
    if (r->index == 0) {
        if (!plan_room(sink, 3, 0))
            return GUEST_OK;
        yield_new_blocks(r, sink);
        r->index = 1;
    }
    for (; first + r->index - 1 < r->vdi->header.blocks_in_image; r->index++) {
        uint64_t skip = r->index == 1 ? tail : 0;
        uint32_t entry;
        enum guest_err err = vdi_entry(r->vdi, first + r->index - 1, &entry, detail);

        if (err)
            return err;
        if (!vdi_is_allocated(entry))
            continue;
        if (!plan_room(sink, 1, 0))
            return GUEST_OK;
        zero_in_file(r, sink, vdi_block_offset(r->vdi, entry) + skip, VDI_BLOCK_BYTES - skip);
    }
    *out_done = true;
    return GUEST_OK;
}

/* ---- moved blocks ---- */

static bool yield_blocks(struct vdi_resize *r, struct plan_sink *sink)
{
    for (; r->index < r->nr_moves; r->index++) {
        const struct vdi_move *move = &r->moves[r->index];

        if (!plan_room(sink, 1, 0))
            return false;
        plan_copy(sink, r->blob, vdi_block_offset(r->vdi, move->to), VDI_BLOCK_BYTES, r->blob,
                  vdi_block_offset(r->vdi, move->from), CELL_NOTE_DATA);
    }
    return true;
}

static bool yield_moved(struct vdi_resize *r, struct plan_sink *sink)
{
    for (; r->index < r->nr_moves; r->index++) {
        const struct vdi_move *move = &r->moves[r->index];

        if (!plan_room(sink, 1, VDI_ENTRY_BYTES))
            return false;
        store_le32(plan_write(sink, r->blob, entry_offset(&r->vdi->header, move->index),
                              VDI_ENTRY_BYTES, CELL_NOTE_BLOCK_MAP),
                   move->to);
    }
    return true;
}

/* ---- the map ---- */

/* Where the block of an entry is before the header switches over. */
static uint32_t moved_to(const struct vdi_resize *r, uint32_t index, uint32_t entry)
{
    uint32_t low = 0, high = r->nr_moves;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (r->moves[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->nr_moves && r->moves[low].index == index ? r->moves[low].to : entry;
}

static enum guest_err entry_after(struct vdi_resize *r, uint32_t index, uint32_t *out,
                                  struct guest_err_detail *detail)
{
    uint32_t more = index - r->vdi->header.blocks_in_image;
    enum guest_err err;

    *out = VDI_UNALLOCATED;
    if (index >= r->vdi->header.blocks_in_image) {
        if (more < r->added)
            *out = r->top + more - r->shift;
        return GUEST_OK;
    }
    err = vdi_entry(r->vdi, index, out, detail);
    if (!err && vdi_is_allocated(*out))
        *out = moved_to(r, index, *out) - r->shift;
    return err;
}

/* New entries where the map is, or all of them where it will be. */
static enum guest_err yield_map(struct vdi_resize *r, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    uint32_t first = r->shift ? 0 : r->vdi->header.blocks_in_image;

    *out_done = false;
    while (first + r->index < r->after.blocks_in_image) {
        uint32_t at = first + r->index;
        uint32_t nr = (uint32_t)min_u64(r->after.blocks_in_image - at, ENTRIES_AT_ONCE);
        enum guest_err err = GUEST_OK;
        uint8_t *out;

        if (!plan_room(sink, 1, (uint64_t)nr * VDI_ENTRY_BYTES))
            return GUEST_OK;
        out = plan_write(sink, r->blob, entry_offset(&r->after, at), (uint64_t)nr * VDI_ENTRY_BYTES,
                         CELL_NOTE_BLOCK_MAP);
        for (uint32_t i = 0; i < nr && !err; i++) {
            uint32_t entry;

            err = entry_after(r, at + i, &entry, detail);
            store_le32(out + (size_t)i * VDI_ENTRY_BYTES, entry);
        }
        if (err)
            return err;
        r->index += nr;
    }
    *out_done = true;
    return GUEST_OK;
}

static bool yield_clear(struct vdi_resize *r, struct plan_sink *sink)
{
    static const uint8_t unallocated[] = {0xff, 0xff, 0xff, 0xff};
    uint32_t nr = r->vdi->header.blocks_in_image - r->after.blocks_in_image;

    if (nr == 0)
        return true;
    if (!plan_room(sink, 1, 0))
        return false;
    plan_pattern(sink, r->blob, entry_offset(&r->after, r->after.blocks_in_image),
                 (uint64_t)nr * VDI_ENTRY_BYTES, unallocated, sizeof(unallocated),
                 CELL_NOTE_BLOCK_MAP);
    return true;
}

/* ---- stages ---- */

/* Blocks that are no longer in use, unless the map lies behind them. */
static bool yield_cut(struct vdi_resize *r, struct plan_sink *sink)
{
    uint64_t size = vdi_block_offset(r->vdi, r->after.blocks_allocated);

    if (size >= r->vdi->source->size_bytes || r->after.offset_bmap > r->after.offset_data)
        return true;
    if (!plan_room(sink, 1, 0))
        return false;
    plan_simple(sink, CELL_OP_TRUNCATE, r->blob, size, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

static enum guest_err yield(struct vdi_resize *r, struct plan_sink *sink, bool *out_done,
                            struct guest_err_detail *detail)
{
    enum vdi_resize_stage stage = r->stages[r->at];

    switch (stage) {
    case VDI_RESIZE_ROOM:
        return yield_room(r, sink, out_done, detail);
    case VDI_RESIZE_MAP:
        return yield_map(r, sink, out_done, detail);
    case VDI_RESIZE_BLOCKS:
        *out_done = yield_blocks(r, sink);
        return GUEST_OK;
    case VDI_RESIZE_MOVED:
        *out_done = yield_moved(r, sink);
        return GUEST_OK;
    case VDI_RESIZE_CLEAR:
        *out_done = yield_clear(r, sink);
        return GUEST_OK;
    case VDI_RESIZE_CUT:
        *out_done = yield_cut(r, sink);
        return GUEST_OK;
    default:
        *out_done = yield_header(r, sink, stage);
        return GUEST_OK;
    }
}

static enum guest_err resize_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct vdi_resize *r = (struct vdi_resize *)plan;

    while (r->stages[r->at] != VDI_RESIZE_DONE) {
        uint32_t before = sink->nr_ops;
        bool done;
        enum guest_err err = yield(r, sink, &done, detail);

        if (err)
            return err;
        r->wrote = r->wrote || sink->nr_ops > before;
        if (!done || !plan_room(sink, 1, 0))
            return GUEST_OK;
        if (r->wrote)
            plan_barrier(sink);
        r->wrote = false;
        r->at++;
        r->index = 0;
    }
    *out_done = true;
    return GUEST_OK;
}

static void resize_free(struct plan *plan)
{
    struct vdi_resize *r = (struct vdi_resize *)plan;

    vdi_usage_clear(&r->usage);
    free(r->moves);
    free(r);
}

const struct plan_verbs vdi_resize_verbs = {resize_next, resize_free};
