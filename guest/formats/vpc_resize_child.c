/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A differencing disk that grows. Where its parent goes on behind the old end, blocks of zeros
 * whose bits say that all of it is the disk's own hide that. The block that the old end lies in has
 * such bits for its rest, whether it was there before or not.
 */
#include "guest/formats/vpc_resize.h"

#include "guest/lib/checked.h"

#define SECTORS_OF_A_BYTE 8u

/* The block that the old end lies in; false when that is a block's end. */
static bool last_block(const struct vpc_resize *r, uint32_t *out)
{
    *out = (uint32_t)(r->old_size / r->vpc->dynamic.block_size);
    return r->old_size % r->vpc->dynamic.block_size != 0;
}

enum guest_err vpc_resize_find_hidden(struct vpc_resize *r, struct guest_err_detail *detail)
{
    uint64_t end = min_u64(r->parent_size, r->new_size);
    uint32_t entry = VPC_UNALLOCATED;
    enum guest_err err = GUEST_OK;

    if (end <= r->old_size)
        return GUEST_OK;
    if (last_block(r, &r->first_hidden))
        err = vpc_bat_entry(r->vpc, r->first_hidden, &entry, detail);
    r->first_hidden += entry != VPC_UNALLOCATED;
    end = div_round_up_u64(end, r->vpc->dynamic.block_size);
    r->nr_hidden = end > r->first_hidden ? (uint32_t)(end - r->first_hidden) : 0;
    return err;
}

uint32_t vpc_resize_hidden_entry(const struct vpc_resize *r, uint32_t index)
{
    if (index < r->first_hidden || index - r->first_hidden >= r->nr_hidden)
        return VPC_UNALLOCATED;
    return (uint32_t)((r->hidden_offset + (index - r->first_hidden) * vpc_resize_span(r)) /
                      VPC_SECTOR_BYTES);
}

/* Bits from a sector of the block on; the first sector's is the highest of a byte. */
static void put_bits(const struct vpc_resize *r, struct plan_sink *sink, uint64_t bitmap,
                     uint32_t sector, uint8_t before)
{
    static const uint8_t all[1] = {0xff};
    uint32_t blob = r->vpc->source->blob, at = sector / SECTORS_OF_A_BYTE;

    *plan_write(sink, blob, bitmap + at, 1, CELL_NOTE_L1_TABLE) =
        (uint8_t)(before | 0xff >> sector % SECTORS_OF_A_BYTE);
    if (at + 1 < r->vpc->bitmap_bytes)
        plan_pattern(sink, blob, bitmap + at + 1, r->vpc->bitmap_bytes - at - 1, all, sizeof(all),
                     CELL_NOTE_L1_TABLE);
}

/* The rest of a block that is there: zeros, then the bits. */
static enum guest_err put_last(struct vpc_resize *r, struct plan_sink *sink, uint32_t entry,
                               struct guest_err_detail *detail)
{
    uint32_t sector = (uint32_t)(r->old_size % r->vpc->dynamic.block_size / VPC_SECTOR_BYTES);
    uint64_t bitmap = (uint64_t)entry * VPC_SECTOR_BYTES;
    uint8_t before = 0;
    enum guest_err err = vpc_resize_clear_tail(r, sink, r->old_size, detail);

    if (!err)
        err = source_read_padded(r->vpc->source, bitmap + sector / SECTORS_OF_A_BYTE, 1, &before,
                                 detail);
    plan_barrier(sink);
    put_bits(r, sink, bitmap, sector, before);
    plan_barrier(sink);
    return err;
}

enum guest_err vpc_resize_put_hidden(struct vpc_resize *r, struct plan_sink *sink, bool *out_more,
                                     struct guest_err_detail *detail)
{
    uint32_t block_size = r->vpc->dynamic.block_size, index, entry = VPC_UNALLOCATED, sector = 0;
    bool has_last = last_block(r, &index);
    enum guest_err err = GUEST_OK;

    if (r->base.at == 0) {
        if (has_last)
            err = vpc_bat_entry(r->vpc, index, &entry, detail);
        if (!err && entry != VPC_UNALLOCATED)
            err = put_last(r, sink, entry, detail);
    } else {
        /* Data of a new block is zeros, since the file has just grown there. */
        uint64_t nr = r->base.at - 1;

        if (nr == 0 && has_last && r->first_hidden == index)
            sector = (uint32_t)(r->old_size % block_size / VPC_SECTOR_BYTES);
        put_bits(r, sink, r->hidden_offset + nr * vpc_resize_span(r), sector, 0);
    }
    *out_more = r->base.at < r->nr_hidden;
    r->base.at++;
    return err;
}
