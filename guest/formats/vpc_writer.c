/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VHD.
 *
 * In a fixed disk everything is in its place. In a dynamic one new blocks take the place of the
 * footer: the footer moves behind them first, then come their bitmaps, then (the copy's) data, then
 * the BAT, so that at every moment the blocks that the BAT knows are whole and the footers are
 * where they are looked for. In a differencing disk the bits of what was written come before the
 * BAT.
 */
#include "guest/formats/vpc_writer.h"

#include "guest/formats/block_writer.h"
#include "guest/formats/vpc.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define BAT_SECTOR_ENTRIES (VPC_SECTOR_BYTES / VPC_BAT_ENTRY_BYTES)

struct vpc_writer {
    struct block_writer base;
    struct vpc *vpc;
    uint64_t file_end;   /* what lies before it may hold old bytes, 0: nothing does */
    bool footer_written; /* behind what is being prepared */
};

static const struct vpc_writer *const_vpc_writer(const struct block_writer *writer)
{
    return (const struct vpc_writer *)writer;
}

static bool unprepared(const struct block_writer *w)
{
    return w->prepared < w->nr_made;
}

/* The footer behind the last block; writing it there makes the file as long as it must be. */
static void yield_footer(struct vpc_writer *w, struct plan_sink *sink)
{
    memcpy(plan_write(sink, w->base.blob, w->base.end, VPC_FOOTER_BYTES, CELL_NOTE_HEADER),
           w->vpc->footer_bytes, VPC_FOOTER_BYTES);
    plan_barrier(sink);
    w->footer_written = true;
}

/*
 * The next new block: all of it counts as written, and what is not reads as zeros. With a parent
 * none of it does yet.
 */
static void yield_bitmap(struct vpc_writer *w, struct plan_sink *sink)
{
    const uint8_t unit = w->base.has_parent ? 0 : 0xff;
    uint64_t data = block_data_offset(&w->base, w->base.made[w->base.prepared]);

    if (data < w->file_end)
        plan_simple(sink, CELL_OP_ZERO, w->base.blob, data,
                    min_u64(w->file_end - data, w->base.block_bytes), CELL_NOTE_DATA);
    if (w->base.lead)
        plan_pattern(sink, w->base.blob, data - w->base.lead, w->base.lead, &unit, 1,
                     CELL_NOTE_BITMAP);
    w->base.prepared++;
}

static void prepare(struct block_writer *writer, struct plan_sink *sink)
{
    struct vpc_writer *w = (struct vpc_writer *)writer;

    if (!w->footer_written) {
        yield_footer(w, sink);
        return;
    }
    yield_bitmap(w, sink);
    if (unprepared(writer))
        return;
    plan_barrier(sink);
    if (w->file_end)
        w->file_end = max_u64(w->file_end, w->base.end + VPC_FOOTER_BYTES);
    w->footer_written = false;
}

static uint64_t bat_sector(const struct block_writer *w, uint64_t block)
{
    (void)w;
    return block / BAT_SECTOR_ENTRIES;
}

static enum guest_err put_bat_sector(struct block_writer *w, uint64_t sector,
                                     struct plan_sink *sink, struct guest_err_detail *detail)
{
    uint64_t first = sector * BAT_SECTOR_ENTRIES;
    uint64_t nr = min_u64(BAT_SECTOR_ENTRIES, w->nr_blocks - first);
    uint64_t table_offset = const_vpc_writer(w)->vpc->dynamic.table_offset;
    uint8_t *bytes = plan_write(sink, w->blob, table_offset + first * VPC_BAT_ENTRY_BYTES,
                                nr * VPC_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);

    (void)detail;
    for (uint64_t i = 0; i < nr; i++) {
        store_be32(bytes + i * VPC_BAT_ENTRY_BYTES,
                   w->linked[first + i] ? w->placed[first + i] : VPC_UNALLOCATED);
        w->linked[first + i] = w->linked[first + i] ? BLOCK_IN_FILE : BLOCK_UNLINKED;
    }
    return GUEST_OK;
}

static void changed(struct block_writer *w)
{
    struct vpc *vpc = const_vpc_writer(w)->vpc;

    vpc->window_valid = false;
    if (vpc->is_fixed)
        return;
    vpc->free_offset = w->end;
    vpc->file_end = max_u64(vpc->file_end, w->end + VPC_FOOTER_BYTES);
}

static uint64_t file_size(const struct block_writer *w)
{
    return max_u64(w->end + VPC_FOOTER_BYTES, const_vpc_writer(w)->file_end);
}

static uint64_t bits_offset(const struct block_writer *w, uint64_t block)
{
    return w->placed[block] * w->place_unit;
}

static enum guest_err load_bits(struct block_writer *w, uint64_t block, uint8_t *bits,
                                struct guest_err_detail *detail)
{
    return source_read_padded(const_vpc_writer(w)->vpc->source, bits_offset(w, block),
                              w->bits_bytes, bits, detail);
}

static const struct block_format vpc_block_format = {
    .unprepared = unprepared,
    .prepare = prepare,
    .bat_sector = bat_sector,
    .put_bat_sector = put_bat_sector,
    .changed = changed,
    .load_bits = load_bits,
    .bits_offset = bits_offset,
    .file_size = file_size,
};

/* ---- opening ---- */

static enum guest_err load_bat(struct vpc_writer *w, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && i < w->base.nr_blocks; i++) {
        err = vpc_bat_entry(w->vpc, i, &w->base.placed[i], detail);
        w->base.linked[i] = w->base.placed[i] != VPC_UNALLOCATED ? BLOCK_IN_FILE : BLOCK_UNLINKED;
    }
    return err;
}

/* What cannot be written to without making it worse. */
static enum guest_err refuse_odd(const struct node *node, struct guest_err_detail *detail)
{
    const struct vpc *vpc = vpc_of(node);

    if (vpc->is_fixed && vpc->has_table)
        return vpc_error(detail, VPC_ERR_WRITE_MIXED);
    if (vpc->is_fixed && node->virtual_size > vpc->source->size_bytes)
        return vpc_error(detail, VPC_ERR_WRITE_SHORT);
    return GUEST_OK;
}

static void describe(struct block_writer *w, struct vpc *vpc)
{
    _Static_assert(VPC_UNALLOCATED == BLOCK_NOWHERE, "BAT entries are what is placed");
    w->format = &vpc_block_format;
    w->blob = vpc->source->blob;
    w->linear = vpc->is_fixed;
    w->has_parent = vpc->is_differencing;
    w->bits_from_top = true;
    w->bits_bytes = vpc->bitmap_bytes;
    w->block_bytes = vpc->dynamic.block_size;
    w->lead = vpc->bitmap_bytes;
    w->block_span = w->lead + w->block_bytes;
    w->place_unit = VPC_SECTOR_BYTES;
    w->nr_blocks = vpc->is_fixed ? 0 : vpc->dynamic.max_table_entries;
    w->nr_bat_sectors = div_round_up_u64(w->nr_blocks, BAT_SECTOR_ENTRIES);
    w->end = vpc->free_offset;
}

enum guest_err vpc_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail)
{
    struct vpc *vpc = vpc_of(node);
    struct vpc_writer *w;
    enum guest_err err = refuse_odd(node, detail);

    if (err)
        return err;
    w = arena_array(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->vpc = vpc;
    w->file_end = options->fresh ? 0 : vpc->source->size_bytes;
    w->base.fresh = options->fresh;
    describe(&w->base, vpc);
    err = block_writer_init(&w->base, VPC_SECTOR_BYTES, detail);
    w->base.base.shape.zero_by_default = options->fresh && !vpc->is_differencing;
    if (!err)
        err = load_bat(w, detail);
    if (err) {
        block_writer_free(&w->base.base);
        return err;
    }
    *out = &w->base.base;
    return GUEST_OK;
}
