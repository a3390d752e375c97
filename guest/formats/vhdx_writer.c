/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VHDX.
 *
 * In an existing image the header comes first (who writes must say so), then the file grows, then
 * come (the copy's) data, then the BAT, sector by sector: an entry is changed whole or not at all,
 * so that nothing of it needs the log. In a differencing disk the bits of what was written come
 * before that, and before a block refers to its bits the BAT says where they are.
 */
#include "guest/formats/block_writer.h"
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTOR_ENTRIES (BLOCK_BAT_SECTOR_BYTES / VHDX_BAT_ENTRY_BYTES)

struct vhdx_writer {
    struct block_writer base;
    struct vhdx *vhdx;
    uint64_t grown;    /* what the file was made to be, bytes */
    bool said;         /* the header tells of the change */
    bool same_disk;    /* the disk that an overlay shows does not change */
    uint32_t *bitmaps; /* by chunk: where its sector bitmap is, MiB, or BLOCK_NOWHERE */
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
        vhdx_put_next_header(w->vhdx, w->same_disk, sink);
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
    const uint32_t *bitmaps = const_vhdx_writer(w)->bitmaps;
    uint8_t least = w->stage == BLOCK_STAGE_BIT_TABLES ? BLOCK_IN_FILE : BLOCK_LINKED;

    if (index % chunk == vhdx->chunk_ratio) {
        if (bitmaps && bitmaps[index / chunk] != BLOCK_NOWHERE) {
            *out = bitmaps[index / chunk] * VHDX_MIB | VHDX_BITMAP_PRESENT;
            return GUEST_OK;
        }
    } else if (block < w->nr_blocks && w->linked[block] >= least) {
        w->linked[block] = w->stage == BLOCK_STAGE_BAT ? BLOCK_IN_FILE : w->linked[block];
        *out = w->placed[block] * VHDX_MIB |
               (w->has_parent && !w->whole[block] ? VHDX_PARTIALLY_PRESENT : VHDX_FULLY_PRESENT);
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
    uint8_t bytes[BLOCK_BAT_SECTOR_BYTES] = {0};

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

/* ---- bits ---- */

static enum guest_err load_bits(struct block_writer *w, uint64_t block, uint8_t *bits,
                                struct guest_err_detail *detail)
{
    struct vhdx *vhdx = const_vhdx_writer(w)->vhdx;
    uint64_t offset;
    bool present;
    enum guest_err err = vhdx_find_bits(vhdx, block, &offset, &present, detail);

    if (err || !present)
        return err ? err : vhdx_error(detail, VHDX_ERR_IO);
    return vhdx_read(vhdx, offset, w->bits_bytes, bits, detail);
}

static enum guest_err need_bits(struct block_writer *w, uint64_t block,
                                struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = const_vhdx_writer(w)->vhdx;
    uint32_t *place = &const_vhdx_writer(w)->bitmaps[block / vhdx->chunk_ratio];

    if (*place != BLOCK_NOWHERE)
        return GUEST_OK;
    if (w->end / VHDX_MIB >= BLOCK_NOWHERE)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    *place = (uint32_t)(w->end / VHDX_MIB);
    w->end += VHDX_MIB;
    w->stale[vhdx_bitmap_index(vhdx, block) / SECTOR_ENTRIES] = 1;
    w->bit_tables_stale = true;
    return GUEST_OK;
}

static uint64_t bits_offset(const struct block_writer *w, uint64_t block)
{
    uint32_t ratio = const_vhdx_writer(w)->vhdx->chunk_ratio;

    return const_vhdx_writer(w)->bitmaps[block / ratio] * VHDX_MIB + block % ratio * w->bits_bytes;
}

static void changed(struct block_writer *w)
{
    const_vhdx_writer(w)->vhdx->window_valid = false;
}

static uint64_t file_size(const struct block_writer *w)
{
    return max_u64(w->end, const_vhdx_writer(w)->grown);
}

static void forget(struct block_writer *w)
{
    free(const_vhdx_writer(w)->bitmaps);
}

static const struct block_format vhdx_block_format = {
    .unprepared = unprepared,
    .prepare = prepare,
    .bat_sector = bat_sector,
    .put_bat_sector = put_bat_sector,
    .changed = changed,
    .load_bits = load_bits,
    .need_bits = need_bits,
    .bits_offset = bits_offset,
    .file_size = file_size,
    .forget = forget,
};

/* ---- opening ---- */

/* Takes over what the BAT says of a block. */
static enum guest_err take_entry(struct block_writer *w, uint64_t block, uint64_t entry,
                                 struct guest_err_detail *detail)
{
    unsigned state = entry & VHDX_STATE_MASK;

    switch (state) {
    case VHDX_FULLY_PRESENT:
    case VHDX_PARTIALLY_PRESENT:
        if (state == VHDX_PARTIALLY_PRESENT && !w->has_parent)
            return vhdx_error(detail, VHDX_ERR_IO);
        w->placed[block] = (uint32_t)((entry & VHDX_OFFSET_MASK) / VHDX_MIB);
        w->linked[block] = BLOCK_IN_FILE;
        break;
    case 4:
        return vhdx_error(detail, VHDX_ERR_IO);
    default:
        break;
    }
    /* A block of zeros is the disk's own as well; written to, it has zeros around. */
    if (w->has_parent)
        w->whole[block] = state != VHDX_NOT_PRESENT && state != VHDX_PARTIALLY_PRESENT;
    return GUEST_OK;
}

static enum guest_err load_bitmaps(struct vhdx_writer *w, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = w->vhdx;
    uint64_t chunks = div_round_up_u64(vhdx->data_blocks, vhdx->chunk_ratio);

    w->bitmaps = arena_array(chunks, sizeof(*w->bitmaps));
    if (!w->bitmaps)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < chunks; i++) {
        uint64_t offset;
        bool present;
        enum guest_err err = vhdx_find_bits(vhdx, i * vhdx->chunk_ratio, &offset, &present, detail);

        if (err)
            return err;
        w->bitmaps[i] = present ? (uint32_t)(offset / VHDX_MIB) : BLOCK_NOWHERE;
    }
    return GUEST_OK;
}

static enum guest_err load_bat(struct vhdx_writer *w, struct guest_err_detail *detail)
{
    struct block_writer *base = &w->base;
    enum guest_err err = base->has_parent ? load_bitmaps(w, detail) : GUEST_OK;

    for (uint64_t i = 0; !err && i < base->nr_blocks && !base->fresh; i++) {
        uint64_t entry;

        err = vhdx_bat_entry(w->vhdx, vhdx_payload_index(w->vhdx, i), &entry, detail);
        if (!err)
            err = take_entry(base, i, entry, detail);
    }
    return err;
}

static void describe(struct block_writer *w, const struct vhdx *vhdx)
{
    w->format = &vhdx_block_format;
    w->blob = vhdx->source->blob;
    w->has_parent = vhdx->params & VHDX_HAS_PARENT;
    w->bits_bytes = w->has_parent ? vhdx_bitmap_bytes(vhdx) : 0;
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

    w = arena_array(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->vhdx = vhdx;
    w->said = options->fresh;
    w->same_disk = options->same_disk;
    /* A fixed disk has its blocks already: new or not, they are looked up. */
    w->base.fresh = options->fresh && !(vhdx->params & VHDX_LEAVE_BLOCKS);
    describe(&w->base, vhdx);
    err = block_writer_init(&w->base, vhdx->logical_sector, detail);
    w->base.base.shape.zero_by_default = options->fresh && !w->base.has_parent;
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
