/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a resize, in the order in which they are written.
 */
#include "guest/formats/vhdx_make.h"
#include "guest/formats/vhdx_resize.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTOR_BYTES 512u

enum step {
    STEP_HEADER,
    STEP_GROW_FILE,
    STEP_COPY_BAT,       /* to its new place */
    STEP_CLEAR,          /* growing: the rest of the last block */
    STEP_ENTRIES_BEFORE, /* growing: those behind it */
    STEP_REGION_COPY,    /* a BAT that moved: the second table, then the first */
    STEP_REGIONS,
    STEP_SIZE,
    STEP_FORGET, /* shrinking */
    STEP_ENTRIES_AFTER,
    STEP_TRUNCATE,
    STEP_DONE,
};

static uint32_t blob_of(const struct vhdx_resize *r)
{
    return r->vhdx->source->blob;
}

/* What the block that `size` ends in holds behind it becomes zeros. */
static enum guest_err clear_tail(struct vhdx_resize *r, struct plan_sink *sink, uint64_t size,
                                 struct guest_err_detail *detail)
{
    uint64_t used = size % r->vhdx->block_size, entry;
    enum guest_err err;

    if (used == 0)
        return GUEST_OK;
    err = vhdx_bat_entry(r->vhdx, vhdx_payload_index(r->vhdx, size / r->vhdx->block_size), &entry,
                         detail);
    if (!err && ((entry & VHDX_STATE_MASK) == VHDX_FULLY_PRESENT ||
                 (entry & VHDX_STATE_MASK) == VHDX_PARTIALLY_PRESENT))
        plan_simple(sink, CELL_OP_ZERO, blob_of(r), (entry & VHDX_OFFSET_MASK) + used,
                    r->vhdx->block_size - used, CELL_NOTE_DATA);
    return err;
}

/* ---- entries ---- */

/* The first entry that changes. In a child those of the last chunk are all there already. */
static uint64_t first_entry(const struct vhdx_resize *r)
{
    if (!vhdx_resize_is_child(r))
        return min_u64(r->old_entries, r->new_entries);
    if (vhdx_resize_grows(r) && r->last.has_bits)
        return vhdx_payload_index(r->vhdx, r->last.index);
    return vhdx_payload_index(r->vhdx, min_u64(r->old_blocks, r->new_blocks));
}

/* An entry of a child: the bitmaps of chunks that it keeps stay. */
static enum guest_err child_entry(struct vhdx_resize *r, uint64_t index, uint64_t *out,
                                  struct guest_err_detail *detail)
{
    struct vhdx *vhdx = r->vhdx;
    uint64_t chunk = vhdx->chunk_ratio + 1ull, block = index - index / chunk;
    uint64_t kept = min_u64(r->old_blocks, r->new_blocks);
    bool grows = vhdx_resize_grows(r);

    *out = VHDX_NOT_PRESENT;
    if (index % chunk == vhdx->chunk_ratio) {
        if (grows && r->last.new_bitmap && index == vhdx_bitmap_index(vhdx, r->last.index))
            *out = r->last.bitmap_entry;
        else if (index / chunk < div_round_up_u64(kept, vhdx->chunk_ratio))
            return vhdx_bat_entry(vhdx, index, out, detail);
        return GUEST_OK;
    }
    if (grows && r->last.has_bits && block == r->last.index)
        *out = r->last.entry;
    else if (grows && block < r->new_blocks && block * vhdx->block_size < r->parent_size)
        *out = VHDX_ZERO;
    return GUEST_OK;
}

/* The entry at an index behind the smaller of the two disks. */
static enum guest_err entry_behind(struct vhdx_resize *r, uint64_t index, uint64_t *out,
                                   struct guest_err_detail *detail)
{
    uint64_t chunk = r->vhdx->chunk_ratio + 1ull, block = index - index / chunk;

    if (vhdx_resize_is_child(r))
        return child_entry(r, index, out, detail);
    *out = VHDX_NOT_PRESENT;
    if (vhdx_resize_grows(r) && (r->vhdx->params & VHDX_LEAVE_BLOCKS) &&
        index % chunk != r->vhdx->chunk_ratio && block >= r->old_blocks && block < r->new_blocks)
        *out = (r->new_data + (block - r->old_blocks) * r->vhdx->block_size) | VHDX_FULLY_PRESENT;
    return GUEST_OK;
}

/* Whether what put_entries would write is there: behind the file all is zeros. */
static bool are_zeros(const struct vhdx_resize *r)
{
    return r->regions && !vhdx_resize_is_child(r) && !(r->vhdx->params & VHDX_LEAVE_BLOCKS);
}

/* Entries from the end of the smaller BAT to that of the larger; *out_more until all are there. */
static enum guest_err put_entries(struct vhdx_resize *r, struct plan_sink *sink, bool *out_more,
                                  struct guest_err_detail *detail)
{
    uint64_t first = first_entry(r) + r->base.at, end = max_u64(r->old_entries, r->new_entries);
    uint64_t nr = min_u64(end - first, VHDX_RESIZE_CHUNK / VHDX_BAT_ENTRY_BYTES);
    uint8_t *out;

    if (nr == 0 || are_zeros(r))
        return GUEST_OK;
    out = plan_write(sink, blob_of(r), r->bat_offset + first * VHDX_BAT_ENTRY_BYTES,
                     nr * VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);
    for (uint64_t i = 0; i < nr; i++) {
        uint64_t entry;
        enum guest_err err = entry_behind(r, first + i, &entry, detail);

        if (err)
            return err;
        store_le64(out + i * VHDX_BAT_ENTRY_BYTES, entry);
    }
    r->base.at += nr;
    *out_more = first + nr < end;
    return GUEST_OK;
}

/* ---- the BAT's new place ---- */

static void copy_bat(struct vhdx_resize *r, struct plan_sink *sink)
{
    uint64_t nr = min_u64(r->old_entries, vhdx_bat_in_file(r->vhdx));

    if (nr == 0)
        return;
    plan_copy(sink, blob_of(r), r->bat_offset, nr * VHDX_BAT_ENTRY_BYTES, blob_of(r),
              r->vhdx->bat_offset, CELL_NOTE_L1_TABLE);
    plan_barrier(sink);
}

static void put_regions(struct vhdx_resize *r, struct plan_sink *sink, uint64_t offset,
                        uint32_t bytes)
{
    plan_barrier(sink);
    memcpy(plan_write(sink, blob_of(r), offset, bytes, CELL_NOTE_HEADER), r->regions, bytes);
    plan_barrier(sink);
}

static void move_step(struct vhdx_resize *r, unsigned step, struct plan_sink *sink)
{
    if (step == STEP_COPY_BAT)
        copy_bat(r, sink);
    else if (step == STEP_REGION_COPY)
        put_regions(r, sink, VHDX_REGION_TABLE2_OFFSET, VHDX_REGION_TABLE_BYTES);
    else
        put_regions(r, sink, VHDX_REGION_TABLE_OFFSET, SECTOR_BYTES);
}

/* ---- all of them ---- */

static void put_size(struct vhdx_resize *r, struct plan_sink *sink)
{
    uint64_t offset = r->vhdx->metadata_offset + r->vhdx->items[VHDX_ITEM_DISK_SIZE].offset;

    plan_barrier(sink);
    store_le64(plan_write(sink, blob_of(r), offset, sizeof(uint64_t), CELL_NOTE_HEADER),
               r->new_size);
    plan_barrier(sink);
}

static enum guest_err do_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                              bool *out_more, struct guest_err_detail *detail)
{
    struct vhdx_resize *r = (struct vhdx_resize *)plan;
    bool grows = vhdx_resize_grows(r);

    switch (step) {
    case STEP_HEADER:
        vhdx_put_next_header(r->vhdx, false, sink);
        return GUEST_OK;
    case STEP_GROW_FILE:
        if (r->next > r->file_end) {
            plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), r->next, 0, CELL_NOTE_FILE_SIZE);
            plan_barrier(sink);
        }
        return GUEST_OK;
    case STEP_COPY_BAT:
    case STEP_REGION_COPY:
    case STEP_REGIONS:
        if (r->regions)
            move_step(r, step, sink);
        return GUEST_OK;
    case STEP_CLEAR:
        if (!grows)
            return GUEST_OK;
        if (r->last.has_bits)
            return vhdx_resize_put_last(r, sink, detail);
        return clear_tail(r, sink, r->old_size, detail);
    case STEP_FORGET:
        return grows ? GUEST_OK : clear_tail(r, sink, r->new_size, detail);
    case STEP_ENTRIES_BEFORE:
    case STEP_ENTRIES_AFTER:
        if ((step == STEP_ENTRIES_BEFORE) == grows)
            return put_entries(r, sink, out_more, detail);
        return GUEST_OK;
    case STEP_SIZE:
        put_size(r, sink);
        return GUEST_OK;
    default:
        if (!grows && r->data_end < r->file_end) {
            plan_barrier(sink);
            plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), r->data_end, 0, CELL_NOTE_FILE_SIZE);
        }
        return GUEST_OK;
    }
}

static void forget(struct stepped_plan *plan)
{
    free(((struct vhdx_resize *)plan)->regions);
}

static const struct stepped_verbs resize_verbs = {
    .step = do_step,
    .forget = forget,
    .nr_steps = STEP_DONE,
    .ops = 5,
    .bytes = VHDX_RESIZE_CHUNK + SECTOR_BYTES,
};

void vhdx_resize_start(struct vhdx_resize *r)
{
    stepped_init(&r->base, &resize_verbs);
}
