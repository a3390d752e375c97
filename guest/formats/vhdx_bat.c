/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BAT of a VHDX: looking entries up, and looking all of them over.
 *
 * Stock leaves out every (ChunkRatio + 1)th block that is there when it compares blocks with
 * regions; we leave out none.
 */
#include "guest/formats/vhdx.h"
#include "guest/lib/checked.h"

enum guest_err vhdx_bat_entry(struct vhdx *vhdx, uint64_t index, uint64_t *out,
                              struct guest_err_detail *detail)
{
    uint64_t first = index - index % VHDX_WINDOW_ENTRIES;

    if (!vhdx->window_valid || vhdx->window_first != first) {
        uint64_t entries = min_u64(VHDX_WINDOW_ENTRIES, vhdx->bat_entries - first);
        enum guest_err err;

        vhdx->window_valid = false;
        err = vhdx_read(vhdx, vhdx->bat_offset + first * VHDX_BAT_ENTRY_BYTES,
                        entries * VHDX_BAT_ENTRY_BYTES, vhdx->window, detail);
        if (err)
            return err;
        vhdx->window_first = first;
        vhdx->window_valid = true;
    }
    *out = vhdx->window[index - first];
    return GUEST_OK;
}

/* Bytes that an entry's block must have in the file: the last one may be cut at the disk's end. */
static uint64_t bytes_of(const struct vhdx *vhdx, uint64_t index)
{
    uint64_t rest = vhdx->disk_size % vhdx->block_size;

    return index == vhdx->bat_entries - 1 && rest ? rest : vhdx->block_size;
}

/* The findings about one entry; false when nobody wants more. */
static bool audit_entry(const struct vhdx *vhdx, uint64_t index, uint64_t entry,
                        vhdx_found_fn found, void *user)
{
    uint64_t offset = entry & VHDX_OFFSET_MASK, length = bytes_of(vhdx, index);
    struct guest_err_detail detail;
    enum guest_err err;

    if (offset > UINT64_MAX - vhdx->block_size) {
        err = err_numbers(&detail, (enum guest_err)VHDX_LINE_OVERFLOW, index, 0, 0, 0);
        if (!found(user, index, err, &detail))
            return false;
    }
    err = GUEST_OK;
    if (offset >= vhdx->file_end)
        err =
            err_numbers(&detail, (enum guest_err)VHDX_LINE_START, index, offset, vhdx->file_end, 0);
    else if (length > vhdx->file_end - offset)
        err = err_numbers(&detail, (enum guest_err)VHDX_LINE_END, index, offset + length - 1,
                          vhdx->file_end, 0);
    if (err && !found(user, index, err, &detail))
        return false;
    err = vhdx_check_free(vhdx, offset, vhdx->block_size, &detail);
    return !err || found(user, index, err, &detail);
}

static bool is_bitmap(const struct vhdx *vhdx, uint64_t index)
{
    return (vhdx->params & VHDX_HAS_PARENT) &&
           index % (vhdx->chunk_ratio + 1ull) == vhdx->chunk_ratio;
}

uint64_t vhdx_bat_in_file(const struct vhdx *vhdx)
{
    uint64_t size = vhdx->source->size_bytes;

    if (vhdx->bat_offset >= size)
        return 0;
    return min_u64(vhdx->bat_entries,
                   div_round_up_u64(size - vhdx->bat_offset, VHDX_BAT_ENTRY_BYTES));
}

enum guest_err vhdx_audit_bat(struct vhdx *vhdx, vhdx_found_fn found, void *user,
                              struct guest_err_detail *detail)
{
    uint64_t entries = vhdx_bat_in_file(vhdx);

    for (uint64_t i = 0; i < entries; i++) {
        uint64_t entry;
        enum guest_err err = vhdx_bat_entry(vhdx, i, &entry, detail);
        uint64_t state;

        if (err)
            return err;
        state = entry & VHDX_STATE_MASK;
        if (is_bitmap(vhdx, i))
            continue;
        if ((state == VHDX_FULLY_PRESENT ||
             (state == VHDX_PARTIALLY_PRESENT && (vhdx->params & VHDX_HAS_PARENT))) &&
            !audit_entry(vhdx, i, entry, found, user))
            break;
    }
    return GUEST_OK;
}
