/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VHDX, which stock does not give.
 *
 * One item of the metadata says the size. When the disk grows it changes last, after the BAT
 * entries behind the old end were cleared (or, in a fixed disk, given their blocks); when it
 * shrinks it changes first, and the blocks behind the new end are forgotten after it.
 */
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/stepped.h"

#define SECTOR_BYTES 512u
#define BAT_CHUNK    65536u

enum step {
    STEP_HEADER,
    STEP_GROW_FILE,
    STEP_CLEAR, /* growing: the rest of the last block, then entries behind it */
    STEP_ENTRIES_BEFORE,
    STEP_SIZE,
    STEP_FORGET, /* shrinking */
    STEP_ENTRIES_AFTER,
    STEP_TRUNCATE,
    STEP_DONE,
};

struct vhdx_resize {
    struct stepped_plan base;
    struct vhdx *vhdx;
    uint64_t old_size, new_size;
    uint64_t old_entries, new_entries; /* of the BAT */
    uint64_t old_blocks, new_blocks;
    uint64_t file_end, data_end; /* bytes; data_end: where new blocks of a fixed disk begin */
};

static bool grows(const struct vhdx_resize *r)
{
    return r->new_size > r->old_size;
}

static bool is_fixed(const struct vhdx_resize *r)
{
    return r->vhdx->params & VHDX_LEAVE_BLOCKS;
}

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
    if (!err && (entry & VHDX_STATE_MASK) == VHDX_FULLY_PRESENT)
        plan_simple(sink, CELL_OP_ZERO, blob_of(r), (entry & VHDX_OFFSET_MASK) + used,
                    r->vhdx->block_size - used, CELL_NOTE_DATA);
    return err;
}

/* The entry at an index behind the smaller of the two disks. */
static uint64_t entry_behind(const struct vhdx_resize *r, uint64_t index)
{
    uint64_t chunk = r->vhdx->chunk_ratio + 1ull, block = index - index / chunk;

    if (!grows(r) || !is_fixed(r) || index % chunk == r->vhdx->chunk_ratio ||
        block < r->old_blocks || block >= r->new_blocks)
        return VHDX_NOT_PRESENT;
    return (r->data_end + (block - r->old_blocks) * r->vhdx->block_size) | VHDX_FULLY_PRESENT;
}

/* Entries from the end of the smaller BAT to that of the larger; true when all are there. */
static bool put_entries(struct vhdx_resize *r, struct plan_sink *sink)
{
    uint64_t first = min_u64(r->old_entries, r->new_entries);
    uint64_t nr = max_u64(r->old_entries, r->new_entries) - first - r->base.at;
    uint8_t *out;

    nr = min_u64(nr, BAT_CHUNK / VHDX_BAT_ENTRY_BYTES);
    if (nr == 0)
        return true;
    first += r->base.at;
    out = plan_write(sink, blob_of(r), r->vhdx->bat_offset + first * VHDX_BAT_ENTRY_BYTES,
                     nr * VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);
    for (uint64_t i = 0; i < nr; i++)
        store_le64(out + i * VHDX_BAT_ENTRY_BYTES, entry_behind(r, first + i));
    r->base.at += nr;
    return false;
}

static void put_size(struct vhdx_resize *r, struct plan_sink *sink)
{
    uint64_t offset = r->vhdx->metadata_offset + r->vhdx->items[VHDX_ITEM_DISK_SIZE].offset;

    plan_barrier(sink);
    store_le64(plan_write(sink, blob_of(r), offset, sizeof(uint64_t), CELL_NOTE_HEADER),
               r->new_size);
    plan_barrier(sink);
}

static uint64_t grown_file(const struct vhdx_resize *r)
{
    uint64_t blocks = is_fixed(r) ? r->new_blocks - r->old_blocks : 0;

    return max_u64(r->file_end, r->data_end + blocks * r->vhdx->block_size);
}

static enum guest_err do_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                              bool *out_more, struct guest_err_detail *detail)
{
    struct vhdx_resize *r = (struct vhdx_resize *)plan;
    enum guest_err err = GUEST_OK;

    switch (step) {
    case STEP_HEADER:
        vhdx_put_next_header(r->vhdx, false, sink);
        break;
    case STEP_GROW_FILE:
        if (grows(r) && grown_file(r) > r->file_end) {
            plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), grown_file(r), 0, CELL_NOTE_FILE_SIZE);
            plan_barrier(sink);
        }
        break;
    case STEP_CLEAR:
        if (grows(r))
            err = clear_tail(r, sink, r->old_size, detail);
        break;
    case STEP_FORGET:
        if (!grows(r))
            err = clear_tail(r, sink, r->new_size, detail);
        break;
    case STEP_ENTRIES_BEFORE:
    case STEP_ENTRIES_AFTER:
        *out_more = (step == STEP_ENTRIES_BEFORE) == grows(r) && !put_entries(r, sink);
        break;
    case STEP_SIZE:
        put_size(r, sink);
        break;
    default:
        if (!grows(r) && r->data_end < r->file_end) {
            plan_barrier(sink);
            plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), r->data_end, 0, CELL_NOTE_FILE_SIZE);
        }
        break;
    }
    return err;
}

static const struct stepped_verbs resize_verbs = {
    .step = do_step,
    .nr_steps = STEP_DONE,
    .ops = 3,
    .bytes = BAT_CHUNK,
};

/* Where the file's last byte is needed, when the disk has only kept_blocks. */
static enum guest_err find_data_end(struct vhdx_resize *r, uint64_t kept_blocks,
                                    struct guest_err_detail *detail)
{
    uint64_t end = VHDX_HEADER_SECTION;

    for (uint32_t i = 0; i < r->vhdx->nr_taken; i++)
        end = max_u64(end, r->vhdx->taken[i].end);
    for (uint64_t i = 0; i < kept_blocks; i++) {
        uint64_t entry;
        enum guest_err err =
            vhdx_bat_entry(r->vhdx, vhdx_payload_index(r->vhdx, i), &entry, detail);

        if (err)
            return err;
        if ((entry & VHDX_STATE_MASK) == VHDX_FULLY_PRESENT)
            end = max_u64(end, (entry & VHDX_OFFSET_MASK) + r->vhdx->block_size);
    }
    return align_up_u64(end, VHDX_MIB, &r->data_end) ? GUEST_OK
                                                     : vhdx_error(detail, VHDX_ERR_TOO_LARGE);
}

static enum guest_err lay_out(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = r->vhdx;
    uint64_t ratio;

    if (vhdx->params & VHDX_HAS_PARENT)
        return vhdx_error(detail, VHDX_ERR_RESIZE_KIND);
    if (r->new_size > VHDX_SIZE_MAX)
        return vhdx_error(detail, VHDX_ERR_SIZE_TOO_LARGE);
    if (r->new_size == 0)
        return vhdx_error(detail, VHDX_ERR_RESIZE_ZERO);
    r->old_blocks = vhdx->data_blocks;
    r->old_entries = vhdx->data_blocks ? vhdx->bat_entries : 0;
    r->new_entries = vhdx_shape(r->new_size, vhdx->block_size, vhdx->logical_sector, false, &ratio,
                                &r->new_blocks);
    if (r->new_entries > vhdx->bat_length / VHDX_BAT_ENTRY_BYTES)
        return vhdx_error(detail, VHDX_ERR_RESIZE_BAT);
    return find_data_end(r, min_u64(r->old_blocks, r->new_blocks), detail);
}

enum guest_err vhdx_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                                struct plan **out, struct guest_err_detail *detail)
{
    struct vhdx_resize *r = arena_array(1, sizeof(*r));
    enum guest_err err = GUEST_OK;

    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->vhdx = vhdx_of(node);
    stepped_init(&r->base, &resize_verbs);
    r->old_size = r->vhdx->disk_size;
    r->file_end = node->source->size_bytes;
    if (!align_up_u64(request->size, r->vhdx->logical_sector, &r->new_size))
        err = vhdx_error(detail, VHDX_ERR_SIZE_TOO_LARGE);
    if (!err && request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        err = vhdx_error(detail, VHDX_ERR_RESIZE_PREALLOC);
    if (!err && r->new_size != r->old_size)
        err = lay_out(r, detail);
    if (err) {
        free(r);
        return err;
    }
    if (r->new_size == r->old_size)
        stepped_skip_all(&r->base);
    r->base.plan.file_size = max_u64(r->file_end, grows(r) ? grown_file(r) : 0);
    *out = &r->base.plan;
    return GUEST_OK;
}
