/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions of a resize: whether it can be, and where everything goes.
 */
#include "guest/formats/vhdx_resize.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/lib/crc32c.h"

#define REGION_ROW_BYTES  32u
#define REGION_HEAD_BYTES 16u

/* Rows of a region table that lie in its first sector, which is written in one go. */
#define FIRST_SECTOR_ROWS ((512u - REGION_HEAD_BYTES) / REGION_ROW_BYTES)

/* ---- the BAT's region ---- */

/* Reads the region table and lets it name the BAT's new place. */
static enum guest_err make_regions(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    uint8_t *table = r->regions = arena_bytes(VHDX_REGION_TABLE_BYTES);
    enum guest_err err;

    if (!table)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = vhdx_read(r->vhdx, VHDX_REGION_TABLE_OFFSET, VHDX_REGION_TABLE_BYTES, table, detail);
    for (uint32_t i = 0; !err && i < min_u64(load_le32(table + 8), FIRST_SECTOR_ROWS); i++) {
        uint8_t *row = table + REGION_HEAD_BYTES + (size_t)i * REGION_ROW_BYTES;

        if (!span_equal(span_of(row, VHDX_GUID_BYTES), span_of(VHDX_GUID_BAT, VHDX_GUID_BYTES)))
            continue;
        store_le64(row + 16, r->bat_offset);
        store_le32(row + 24, (uint32_t)r->bat_length);
        store_le32(table + VHDX_CHECKSUM_AT,
                   crc32c_sealed(table, VHDX_REGION_TABLE_BYTES, VHDX_CHECKSUM_AT));
        return GUEST_OK;
    }
    return err ? err : vhdx_error(detail, VHDX_ERR_RESIZE_BAT);
}

/* Finds the BAT a larger region when it needs one. */
static enum guest_err place_bat(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    r->bat_offset = r->vhdx->bat_offset;
    r->bat_length = r->vhdx->bat_length;
    if (r->new_entries <= r->bat_length / VHDX_BAT_ENTRY_BYTES)
        return GUEST_OK;
    r->bat_length = div_round_up_u64(r->new_entries * VHDX_BAT_ENTRY_BYTES, VHDX_MIB) * VHDX_MIB;
    r->bat_offset = r->next;
    if (r->bat_length > UINT32_MAX)
        return vhdx_error(detail, VHDX_ERR_TOO_LARGE);
    r->next += r->bat_length;
    return make_regions(r, detail);
}

/* ---- the file's end ---- */

/* Bytes in the file of what an entry names; 0: nothing. */
static uint64_t bytes_of(const struct vhdx *vhdx, uint64_t index, uint64_t entry)
{
    unsigned state = entry & VHDX_STATE_MASK;

    if (index % (vhdx->chunk_ratio + 1ull) == vhdx->chunk_ratio)
        return state == VHDX_BITMAP_PRESENT && (vhdx->params & VHDX_HAS_PARENT) ? VHDX_MIB : 0;
    return state == VHDX_FULLY_PRESENT || state == VHDX_PARTIALLY_PRESENT ? vhdx->block_size : 0;
}

/* Where the file's last byte is needed, when the disk has only kept_blocks. */
static enum guest_err find_data_end(struct vhdx_resize *r, uint64_t kept_blocks,
                                    struct guest_err_detail *detail)
{
    struct vhdx *vhdx = r->vhdx;
    uint64_t end = VHDX_HEADER_SECTION, ratio, blocks, entries = 0;

    if (kept_blocks)
        entries = vhdx_shape(kept_blocks * vhdx->block_size, vhdx->block_size, vhdx->logical_sector,
                             vhdx_resize_is_child(r), &ratio, &blocks);
    for (uint32_t i = 0; i < vhdx->nr_taken; i++)
        end = max_u64(end, vhdx->taken[i].end);
    for (uint64_t i = 0; i < min_u64(entries, vhdx->bat_entries); i++) {
        uint64_t chunk = vhdx->chunk_ratio + 1ull, entry, len;
        enum guest_err err;

        if (i % chunk != vhdx->chunk_ratio && i - i / chunk >= kept_blocks)
            continue; /* of the last chunk of a child, and forgotten */
        err = vhdx_bat_entry(vhdx, i, &entry, detail);
        if (err)
            return err;
        len = bytes_of(vhdx, i, entry);
        if (len)
            end = max_u64(end, (entry & VHDX_OFFSET_MASK) + len);
    }
    return align_up_u64(end, VHDX_MIB, &r->data_end) && r->data_end <= INT64_MAX
               ? GUEST_OK
               : vhdx_error(detail, VHDX_ERR_TOO_LARGE);
}

/* Room for all that a growing disk needs, behind what is in the file. */
static enum guest_err place_new(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    enum guest_err err;

    if (!align_up_u64(max_u64(r->file_end, r->data_end), VHDX_MIB, &r->next) ||
        r->next > 4 * VHDX_SIZE_MAX)
        return vhdx_error(detail, VHDX_ERR_TOO_LARGE);
    err = place_bat(r, detail);
    if (!err && vhdx_resize_is_child(r))
        err = vhdx_resize_last_block(r, detail);
    if (!err && (r->vhdx->params & VHDX_LEAVE_BLOCKS)) {
        r->new_data = r->next;
        r->next += (r->new_blocks - r->old_blocks) * r->vhdx->block_size;
    }
    return err;
}

static enum guest_err lay_out(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = r->vhdx;
    bool child = vhdx_resize_is_child(r);
    uint64_t ratio;
    enum guest_err err;

    /* A child with all its blocks, or with a part of a sector. */
    if (child && ((vhdx->params & VHDX_LEAVE_BLOCKS) || r->old_size % vhdx->logical_sector != 0))
        return vhdx_error(detail, VHDX_ERR_RESIZE_KIND);
    if (r->new_size > VHDX_SIZE_MAX)
        return vhdx_error(detail, VHDX_ERR_SIZE_TOO_LARGE);
    if (r->new_size == 0)
        return vhdx_error(detail, VHDX_ERR_RESIZE_ZERO);
    r->bat_offset = vhdx->bat_offset;
    r->bat_length = vhdx->bat_length;
    r->old_blocks = vhdx->data_blocks;
    r->old_entries = vhdx->data_blocks ? vhdx->bat_entries : 0;
    r->new_entries = vhdx_shape(r->new_size, vhdx->block_size, vhdx->logical_sector, child, &ratio,
                                &r->new_blocks);
    err = find_data_end(r, min_u64(r->old_blocks, r->new_blocks), detail);
    r->next = r->file_end;
    return !err && vhdx_resize_grows(r) ? place_new(r, detail) : err;
}

static void resize_free(struct vhdx_resize *r)
{
    free(r->regions);
    free(r);
}

enum guest_err vhdx_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                                struct plan **out, struct guest_err_detail *detail)
{
    struct vhdx_resize *r = arena_array(1, sizeof(*r));
    enum guest_err err = GUEST_OK;

    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->vhdx = vhdx_of(node);
    vhdx_resize_start(r);
    r->old_size = r->vhdx->disk_size;
    r->next = r->file_end = node->source->size_bytes;
    r->parent_size = node->backing ? node->backing->virtual_size : 0;
    if (!align_up_u64(request->size, r->vhdx->logical_sector, &r->new_size))
        err = vhdx_error(detail, VHDX_ERR_SIZE_TOO_LARGE);
    if (!err && request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        err = vhdx_error(detail, VHDX_ERR_RESIZE_PREALLOC);
    if (!err && r->new_size != r->old_size)
        err = lay_out(r, detail);
    if (err) {
        resize_free(r);
        return err;
    }
    if (r->new_size == r->old_size)
        stepped_skip_all(&r->base);
    r->base.plan.file_size = max_u64(r->file_end, r->next);
    *out = &r->base.plan;
    return GUEST_OK;
}
