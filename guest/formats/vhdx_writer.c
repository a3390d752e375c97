/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VHDX.
 *
 * In an existing image the header comes first (who writes must say so), then the file grows, then
 * come (the copy's) data, then the BAT, sector by sector: an entry is changed whole or not at all,
 * so that nothing of it needs the log.
 */
#include "guest/formats/block_writer.h"
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTOR_ENTRIES (BLOCK_BAT_SECTOR_BYTES / VHDX_BAT_ENTRY_BYTES)

struct vhdx_writer {
    struct block_writer base;
    struct vhdx *vhdx;
    uint64_t grown; /* what the file was made to be, bytes */
    bool said;      /* the header tells of the change */
};

static const struct vhdx_writer *const_vhdx_writer(const struct block_writer *writer)
{
    return (const struct vhdx_writer *)writer;
}

static bool unprepared(const struct block_writer *w)
{
    return !const_vhdx_writer(w)->said || const_vhdx_writer(w)->grown < w->end;
}

static void prepare(struct block_writer *writer, struct plan_sink *sink)
{
    struct vhdx_writer *w = (struct vhdx_writer *)writer;

    if (!w->said) {
        vhdx_put_next_header(w->vhdx, sink);
        w->said = true;
        return;
    }
    plan_simple(sink, CELL_OP_TRUNCATE, writer->blob, writer->end, 0, CELL_NOTE_FILE_SIZE);
    plan_barrier(sink);
    w->grown = writer->end;
}

static uint64_t bat_sector(const struct block_writer *w, uint64_t block)
{
    return vhdx_payload_index(const_vhdx_writer(w)->vhdx, block) / SECTOR_ENTRIES;
}

/* The entry as it was, for those that nothing is to be said about yet. */
static enum guest_err entry_of(const struct block_writer *w, uint64_t index, uint64_t *out,
                               struct guest_err_detail *detail)
{
    struct vhdx *vhdx = const_vhdx_writer(w)->vhdx;
    uint64_t chunk = vhdx->chunk_ratio + 1ull, block = index - index / chunk;

    if (index % chunk != vhdx->chunk_ratio && block < w->nr_blocks && w->linked[block]) {
        *out = w->placed[block] * VHDX_MIB | VHDX_FULLY_PRESENT;
        return GUEST_OK;
    }
    return vhdx_bat_entry(vhdx, index, out, detail);
}

static enum guest_err put_bat_sector(struct block_writer *w, uint64_t sector,
                                     struct plan_sink *sink, struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = const_vhdx_writer(w)->vhdx;
    uint64_t first = sector * SECTOR_ENTRIES;
    uint64_t nr = min_u64(SECTOR_ENTRIES, vhdx->bat_entries - first);
    uint8_t bytes[BLOCK_BAT_SECTOR_BYTES];

    for (uint64_t i = 0; i < nr; i++) {
        uint64_t entry;
        enum guest_err err = entry_of(w, first + i, &entry, detail);

        if (err)
            return err;
        store_le64(bytes + i * VHDX_BAT_ENTRY_BYTES, entry);
    }
    memcpy(plan_write(sink, w->blob, vhdx->bat_offset + first * VHDX_BAT_ENTRY_BYTES,
                      nr * VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE),
           bytes, nr * VHDX_BAT_ENTRY_BYTES);
    return GUEST_OK;
}

static void changed(struct block_writer *w)
{
    const_vhdx_writer(w)->vhdx->window_valid = false;
}

static uint64_t file_size(const struct block_writer *w)
{
    return max_u64(w->end, const_vhdx_writer(w)->grown);
}

static const struct block_format vhdx_block_format = {
    .unprepared = unprepared,
    .prepare = prepare,
    .bat_sector = bat_sector,
    .put_bat_sector = put_bat_sector,
    .changed = changed,
    .file_size = file_size,
};

/* ---- opening ---- */

static enum guest_err load_bat(struct vhdx_writer *w, struct guest_err_detail *detail)
{
    struct block_writer *base = &w->base;

    for (uint64_t i = 0; i < base->nr_blocks && !base->fresh; i++) {
        uint64_t entry;
        enum guest_err err =
            vhdx_bat_entry(w->vhdx, vhdx_payload_index(w->vhdx, i), &entry, detail);

        if (err)
            return err;
        if ((entry & VHDX_STATE_MASK) == VHDX_FULLY_PRESENT) {
            base->placed[i] = (uint32_t)((entry & VHDX_OFFSET_MASK) / VHDX_MIB);
            base->linked[i] = 1;
        } else if ((entry & VHDX_STATE_MASK) == VHDX_PARTIALLY_PRESENT ||
                   (entry & VHDX_STATE_MASK) == 4) {
            return vhdx_error(detail, VHDX_ERR_IO);
        }
    }
    return GUEST_OK;
}

static void describe(struct block_writer *w, const struct vhdx *vhdx)
{
    w->format = &vhdx_block_format;
    w->blob = vhdx->source->blob;
    w->block_bytes = vhdx->block_size;
    w->block_span = vhdx->block_size;
    w->place_unit = VHDX_MIB;
    w->nr_blocks = vhdx->data_blocks;
    w->nr_bat_sectors = div_round_up_u64(vhdx->bat_entries, SECTOR_ENTRIES);
}

enum guest_err vhdx_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    struct vhdx_writer *w;
    enum guest_err err;

    if (vhdx->params & VHDX_HAS_PARENT)
        return vhdx_error(detail, VHDX_ERR_WRITE_DIFFERENCING);
    w = arena_array(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->vhdx = vhdx;
    w->said = options->fresh;
    /* A fixed disk has its blocks already: new or not, they are looked up. */
    w->base.fresh = options->fresh && !(vhdx->params & VHDX_LEAVE_BLOCKS);
    describe(&w->base, vhdx);
    err = block_writer_init(&w->base, vhdx->logical_sector, detail);
    w->base.base.shape.zero_by_default = options->fresh;
    if (!err && !align_up_u64(vhdx->source->size_bytes, VHDX_MIB, &w->base.end))
        err = err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    w->grown = w->base.end; /* the next block starts there; until then the file may stay as it is */
    if (!err)
        err = load_bat(w, detail);
    if (err) {
        block_writer_free(&w->base.base);
        return err;
    }
    *out = &w->base.base;
    return GUEST_OK;
}
