/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vdi_resize.h"

#include "guest/abi/error_plan.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static bool add_move(struct vdi_resize *r, uint32_t index, uint32_t from, uint32_t to)
{
    if (r->nr_moves == r->max_moves) {
        uint64_t max = max_u64(64, 2 * (uint64_t)r->max_moves);
        struct vdi_move *moves;

        if (max > UINT32_MAX)
            return false;
        moves = realloc(r->moves, max * sizeof(*moves));
        if (!moves)
            return false;
        r->moves = moves;
        r->max_moves = (uint32_t)max;
    }
    r->moves[r->nr_moves++] = (struct vdi_move){index, from, to};
    return true;
}

/* ---- growing ---- */

/* Whether the map can stay where it is with `blocks` entries. */
static bool map_fits(const struct vdi *vdi, uint32_t blocks)
{
    const struct vdi_header *h = &vdi->header;
    uint64_t end = h->offset_bmap + (uint64_t)blocks * VDI_ENTRY_BYTES;

    return blocks <= h->blocks_in_image ||
           (h->offset_bmap < h->offset_data && end <= h->offset_data);
}

/* Block i < shift goes to the i-th place behind those that stay. */
static enum guest_err find_leading_blocks(struct vdi_resize *r, struct guest_err_detail *detail)
{
    uint32_t behind = (uint32_t)max_u64(r->usage.top, r->shift);

    for (uint32_t i = 0; i < r->vdi->header.blocks_in_image; i++) {
        uint32_t entry;
        enum guest_err err = vdi_entry(r->vdi, i, &entry, detail);

        if (err)
            return err;
        if (vdi_is_allocated(entry) && entry < r->shift && !add_move(r, i, entry, behind++))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    r->top = behind;
    return GUEST_OK;
}

static enum guest_err move_map(struct vdi_resize *r, struct guest_err_detail *detail)
{
    uint64_t map_bytes = (uint64_t)r->after.blocks_in_image * VDI_ENTRY_BYTES;
    uint64_t data;

    r->shift = (uint32_t)div_round_up_u64(map_bytes, VDI_BLOCK_BYTES);
    data = r->vdi->header.offset_data + (uint64_t)r->shift * VDI_BLOCK_BYTES;
    if (data > UINT32_MAX)
        return vdi_error(detail, VDI_ERR_DISK_SIZE, r->after.disk_size, VDI_DISK_SIZE_MAX);
    r->after.offset_bmap = r->vdi->header.offset_data;
    r->after.offset_data = (uint32_t)data;
    return find_leading_blocks(r, detail);
}

/* Blocks for the new part of the disk: what is static stays so. */
static enum guest_err add_blocks(struct vdi_resize *r, struct guest_err_detail *detail)
{
    uint32_t more = r->after.blocks_in_image - r->vdi->header.blocks_in_image;
    bool asked = r->preallocation != ABI__PREALLOCATION__PREALLOC_OFF;

    if (!asked && r->after.image_type != VDI_TYPE_STATIC)
        return GUEST_OK;
    /* Where blocks are in use that no entry names there may be too few numbers left. */
    if ((uint64_t)r->top - r->shift + more <= r->after.blocks_in_image)
        r->added = more;
    else if (asked)
        return vdi_error(detail, VDI_ERR_MAP_WRONG, 0, 0);
    return GUEST_OK;
}

static enum guest_err plan_growth(struct vdi_resize *r, struct guest_err_detail *detail)
{
    struct vdi_header *h = &r->after;
    uint64_t blocks = div_round_up_u64(h->disk_size, VDI_BLOCK_BYTES);
    enum guest_err err = GUEST_OK;

    r->stages = vdi_resize_growing;
    h->blocks_in_image = (uint32_t)max_u64(blocks, h->blocks_in_image);
    r->top = r->usage.top;
    if (!map_fits(r->vdi, h->blocks_in_image))
        err = move_map(r, detail);
    if (!err)
        err = add_blocks(r, detail);
    h->blocks_allocated = r->top + r->added - r->shift;
    return err;
}

/* ---- shrinking ---- */

/* The blocks that stay, as bits, and how many they are. */
static enum guest_err find_staying_blocks(struct vdi_resize *r, uint32_t *out_nr,
                                          struct guest_err_detail *detail)
{
    memset(r->usage.used, 0, div_round_up_u64(r->usage.nr_bits, 64) * sizeof(*r->usage.used));
    *out_nr = 0;
    for (uint32_t i = 0; i < r->after.blocks_in_image; i++) {
        uint32_t entry;
        enum guest_err err = vdi_entry(r->vdi, i, &entry, detail);

        if (err)
            return err;
        if (!vdi_is_allocated(entry))
            continue;
        r->usage.used[entry / 64] |= 1ull << (entry % 64);
        (*out_nr)++;
    }
    return GUEST_OK;
}

/* Those that lie behind the first `nr` blocks fill the holes among them. */
static enum guest_err fill_holes(struct vdi_resize *r, uint32_t nr, struct guest_err_detail *detail)
{
    uint32_t cursor = 0;

    for (uint32_t i = 0; i < r->after.blocks_in_image; i++) {
        uint32_t entry, to;
        enum guest_err err = vdi_entry(r->vdi, i, &entry, detail);

        if (err)
            return err;
        if (!vdi_is_allocated(entry) || entry < nr)
            continue;
        if (!vdi_usage_take(&r->usage, &cursor, &to) || !add_move(r, i, entry, to))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static enum guest_err plan_shrinking(struct vdi_resize *r, struct guest_err_detail *detail)
{
    struct vdi_header *h = &r->after;
    uint32_t nr;
    enum guest_err err;

    r->stages = vdi_resize_shrinking;
    r->top = r->usage.top;
    h->blocks_in_image = (uint32_t)div_round_up_u64(h->disk_size, VDI_BLOCK_BYTES);
    err = find_staying_blocks(r, &nr, detail);
    if (!err)
        err = fill_holes(r, nr, detail);
    h->blocks_allocated = nr;
    return err;
}

/* ---- */

static enum guest_err prepare(struct vdi_resize *r, const Abi__ResizeRequest *request,
                              struct guest_err_detail *detail)
{
    uint64_t old_size = r->vdi->header.disk_size;
    enum guest_err err;

    if (request->size % VDI_SECTOR_BYTES)
        return err_plain(detail, GUEST_ERR_PLAN_SIZE_UNALIGNED);
    if (request->size > VDI_DISK_SIZE_MAX)
        return vdi_error(detail, VDI_ERR_DISK_SIZE, request->size, VDI_DISK_SIZE_MAX);
    err = source_read_padded(r->vdi->source, 0, VDI_HEADER_BYTES, r->sector, detail);
    if (!err)
        err = vdi_usage_sound(r->vdi, 0, &r->usage, detail);
    if (err)
        return err;
    r->after = r->vdi->header;
    r->after.disk_size = request->size;
    r->old_visible = (uint32_t)div_round_up_u64(old_size, VDI_BLOCK_BYTES);
    r->preallocation = request->preallocation;
    r->stages = vdi_resize_nothing;
    if (request->size < old_size)
        err = plan_shrinking(r, detail);
    else if (request->size > old_size)
        err = plan_growth(r, detail);
    r->base.file_size = vdi_block_offset(r->vdi, r->top + r->added);
    return err;
}

enum guest_err vdi_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    struct vdi_resize *r = arena_array(1, sizeof(*r));
    enum guest_err err;

    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->base.verbs = &vdi_resize_verbs;
    r->vdi = vdi_of(node);
    r->blob = r->vdi->source->blob;
    err = prepare(r, request, detail);
    if (err) {
        r->base.verbs->free(&r->base);
        return err;
    }
    *out = &r->base;
    return GUEST_OK;
}
