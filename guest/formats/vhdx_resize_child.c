/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last block of a differencing disk that grows. Behind the old end it has to hold zeros, where
 * a parent that goes on there would show: the sectors are marked as the disk's own.
 */
#include "guest/formats/vhdx_resize.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Room for the bitmap of the block's chunk, which has none. */
static void place_bitmap(struct vhdx_resize *r)
{
    struct vhdx_last_block *last = &r->last;
    uint64_t in_chunk = last->index % r->vhdx->chunk_ratio;

    last->new_bitmap = true;
    last->bitmap_entry = r->next | VHDX_BITMAP_PRESENT;
    last->bits_offset = r->next + in_chunk * vhdx_bitmap_bytes(r->vhdx);
    r->next += VHDX_MIB;
}

enum guest_err vhdx_resize_last_block(struct vhdx_resize *r, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = r->vhdx;
    struct vhdx_last_block *last = &r->last;
    bool present;
    enum guest_err err;

    if (r->old_size % vhdx->block_size == 0)
        return GUEST_OK;
    last->index = r->old_size / vhdx->block_size;
    err = vhdx_bat_entry(vhdx, vhdx_payload_index(vhdx, last->index), &last->entry, detail);
    if (err)
        return err;
    switch (last->entry & VHDX_STATE_MASK) {
    case VHDX_PARTIALLY_PRESENT:
        break;
    case VHDX_NOT_PRESENT:
        if (r->parent_size <= r->old_size)
            return GUEST_OK;
        last->entry = r->next | VHDX_PARTIALLY_PRESENT;
        r->next += vhdx->block_size;
        break;
    default:
        return GUEST_OK;
    }
    last->has_bits = true;
    err = vhdx_find_bits(vhdx, last->index, &last->bits_offset, &present, detail);
    if (!err && !present)
        place_bitmap(r);
    return err;
}

/* Sets the bits from `first` to the end of the block, lowest bit of a byte first. */
static void set_bits(uint8_t *bits, uint64_t first, uint64_t end)
{
    for (; first < end && first % 8 != 0; first++)
        bits[first / 8] |= (uint8_t)(1u << first % 8);
    if (first < end)
        memset(bits + first / 8, 0xff, (end - first) / 8);
}

/* The zeros, the bits behind them, and then the BAT where the bits are; the block's entry follows.
 */
enum guest_err vhdx_resize_put_last(struct vhdx_resize *r, struct plan_sink *sink,
                                    struct guest_err_detail *detail)
{
    const struct vhdx_last_block *last = &r->last;
    const struct vhdx *vhdx = r->vhdx;
    uint32_t blob = vhdx->source->blob, len = vhdx_bitmap_bytes(vhdx);
    uint64_t used = r->old_size % vhdx->block_size;
    enum guest_err err = GUEST_OK;
    uint8_t *bits;

    plan_simple(sink, CELL_OP_ZERO, blob, (last->entry & VHDX_OFFSET_MASK) + used,
                vhdx->block_size - used, CELL_NOTE_DATA);
    plan_barrier(sink);
    bits = plan_write(sink, blob, last->bits_offset, len, CELL_NOTE_L1_TABLE);
    memset(bits, 0, len);
    if (!last->new_bitmap)
        err = vhdx_read(vhdx, last->bits_offset, len, bits, detail);
    set_bits(bits, used / vhdx->logical_sector, len * 8ull);
    plan_barrier(sink);
    if (last->new_bitmap) {
        uint64_t index = vhdx_bitmap_index(vhdx, last->index);

        store_le64(plan_write(sink, blob, r->bat_offset + index * VHDX_BAT_ENTRY_BYTES,
                              VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE),
                   last->bitmap_entry);
        plan_barrier(sink);
    }
    return err;
}
