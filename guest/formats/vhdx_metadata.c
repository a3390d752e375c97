/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a VHDX: block size, disk size, sectors; and what they make of the BAT.
 */
#include "guest/formats/vhdx.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTORS_OF_A_BITMAP (1ull << 23) /* a bitmap block is 1 MiB */

static const char *const item_guids[VHDX_ITEMS] = {
    [VHDX_ITEM_PARAMS] = VHDX_GUID_PARAMS,     [VHDX_ITEM_DISK_SIZE] = VHDX_GUID_DISK_SIZE,
    [VHDX_ITEM_DISK_ID] = VHDX_GUID_DISK_ID,   [VHDX_ITEM_LOGICAL] = VHDX_GUID_LOGICAL,
    [VHDX_ITEM_PHYSICAL] = VHDX_GUID_PHYSICAL, [VHDX_ITEM_PARENT] = VHDX_GUID_PARENT,
};

static int find_item(struct span guid)
{
    for (int i = 0; i < VHDX_ITEMS; i++)
        if (span_equal(guid, span_of(item_guids[i], VHDX_GUID_BYTES)))
            return i;
    return -1;
}

static enum guest_err take_entry(struct vhdx *vhdx, uint32_t row, struct cursor *c,
                                 struct guest_err_detail *detail)
{
    int item = find_item(cur_bytes(c, VHDX_GUID_BYTES));
    uint32_t offset = cur_le32(c), length = cur_le32(c), flags = cur_le32(c);

    cur_skip(c, 4);
    if (item < 0)
        return flags & VHDX_META_REQUIRED ? vhdx_error(detail, VHDX_ERR_NOT_SUPPORTED) : GUEST_OK;
    if (vhdx->items[item].present)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    vhdx->items[item] = (struct vhdx_metadata_entry){
        .present = true, .row = row, .offset = offset, .length = length};
    return GUEST_OK;
}

static enum guest_err read_table(struct vhdx *vhdx, uint8_t *bytes, struct guest_err_detail *detail)
{
    struct cursor c = cur_of(span_of(bytes, VHDX_METADATA_TABLE_BYTES));
    enum guest_err err =
        vhdx_read(vhdx, vhdx->metadata_offset, VHDX_METADATA_TABLE_BYTES, bytes, detail);
    uint16_t count;

    if (err)
        return err;
    if (!span_equal_text(cur_bytes(&c, 8), "metadata"))
        return vhdx_error(detail, VHDX_ERR_INVALID);
    cur_skip(&c, 2);
    count = cur_le16(&c);
    cur_skip(&c, 20);
    if (count > VHDX_ENTRIES_MAX)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    for (uint32_t i = 0; !err && i < count; i++)
        err = take_entry(vhdx, i, &c, detail);
    for (int i = 0; !err && i < VHDX_ITEM_PARENT; i++)
        if (!vhdx->items[i].present)
            err = vhdx_error(detail, VHDX_ERR_NOT_SUPPORTED);
    return err;
}

static enum guest_err read_item(const struct vhdx *vhdx, enum vhdx_item item, uint64_t len,
                                uint8_t *buf, struct guest_err_detail *detail)
{
    uint64_t offset;

    if (!add_u64(vhdx->metadata_offset, vhdx->items[item].offset, &offset))
        return vhdx_error(detail, VHDX_ERR_IO);
    return vhdx_read(vhdx, offset, len, buf, detail);
}

static enum guest_err read_items(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    uint8_t params[8], size[8], logical[4];
    enum guest_err err = read_item(vhdx, VHDX_ITEM_PARAMS, sizeof(params), params, detail);

    if (!err)
        err = read_item(vhdx, VHDX_ITEM_DISK_SIZE, sizeof(size), size, detail);
    if (!err)
        err = read_item(vhdx, VHDX_ITEM_LOGICAL, sizeof(logical), logical, detail);
    if (err)
        return err;
    vhdx->block_size = load_le32(params);
    vhdx->params = load_le32(params + 4);
    vhdx->disk_size = load_le64(size);
    vhdx->logical_sector = load_le32(logical);
    return GUEST_OK;
}

static enum guest_err validate_items(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    if ((vhdx->params & VHDX_HAS_PARENT) && !vhdx->items[VHDX_ITEM_PARENT].present)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    if (!is_power_of_two_u64(vhdx->block_size) || vhdx->block_size < VHDX_BLOCK_MIN ||
        vhdx->block_size > VHDX_BLOCK_MAX)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    if (vhdx->logical_sector != 512 && vhdx->logical_sector != 4096)
        return vhdx_error(detail, VHDX_ERR_NOT_SUPPORTED);
    /* Stock truncates the number of blocks to 32 bits and goes on. */
    if (vhdx->disk_size > VHDX_SIZE_MAX)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    return GUEST_OK;
}

uint64_t vhdx_shape(uint64_t disk_size, uint32_t block_size, uint32_t logical_sector,
                    bool has_parent, uint64_t *out_chunk_ratio, uint64_t *out_data_blocks)
{
    uint64_t ratio = SECTORS_OF_A_BITMAP * logical_sector / block_size;
    uint64_t blocks = div_round_up_u64(disk_size, block_size);

    *out_chunk_ratio = ratio;
    *out_data_blocks = blocks;
    if (has_parent)
        return div_round_up_u64(blocks, ratio) * (ratio + 1);
    if (blocks == 0)
        return UINT32_MAX / ratio; /* as stock counts them */
    return blocks + (blocks - 1) / ratio;
}

static enum guest_err shape_bat(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    uint64_t ratio;

    vhdx->bat_entries = vhdx_shape(vhdx->disk_size, vhdx->block_size, vhdx->logical_sector,
                                   vhdx->params & VHDX_HAS_PARENT, &ratio, &vhdx->data_blocks);
    vhdx->chunk_ratio = (uint32_t)ratio;
    if (vhdx->bat_entries > vhdx->bat_length / VHDX_BAT_ENTRY_BYTES)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    return range_inside_u64(vhdx->bat_offset, vhdx->bat_entries * VHDX_BAT_ENTRY_BYTES,
                            VHDX_FILE_BYTES_MAX)
               ? GUEST_OK
               : vhdx_error(detail, VHDX_ERR_IO);
}

enum guest_err vhdx_read_metadata(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    uint8_t *bytes = arena_bytes(VHDX_METADATA_TABLE_BYTES);
    enum guest_err err;

    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = read_table(vhdx, bytes, detail);
    free(bytes);
    if (!err)
        err = read_items(vhdx, detail);
    if (!err)
        err = validate_items(vhdx, detail);
    return err ? err : shape_bat(vhdx, detail);
}
