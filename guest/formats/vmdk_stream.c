/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of streams.
 *
 * A stream that is made gets its end last: the tables that are left, the directory, the footer, and
 * the header that says where to look. Until then the file has no footer where one is looked for,
 * and is refused.
 *
 * A stream that exists and has a footer is opened first: its header becomes what the footer was, so
 * that the footer is not needed any more, and grains go where it lay. The directory stays where it
 * is until a copy of it, and a new footer, stand behind the new grains; then the header leads there
 * again. After any prefix of that the image can be read. One whose header names the directory (as
 * stock makes them) just gets longer.
 */
#include "guest/formats/vmdk_writer.h"
#include "guest/lib/checked.h"

#define DIRECTORY_CHUNK ((PLAN_CHUNK_BYTES - VMDK_SECTOR_BYTES) / 4)
#define HEADER_VERSION  4u
#define HEADER_FLAGS    8u
#define HEADER_GD       56u

/* ---- a new stream ---- */

/* Finishing: the tables that still have no place, one by one. */
static enum guest_err emit_next(struct vmdk_writer *w, struct guest_err_detail *detail)
{
    struct vmdk_target *t = &w->targets[0];

    for (; w->finishing && w->at < t->extent->gd_entries; w->at++)
        if (t->tables[w->at] && t->tables[w->at]->dirty)
            return vmdk_emit_table(w, (uint32_t)w->at++, detail);
    return GUEST_OK;
}

enum guest_err vmdk_yield_emission(struct vmdk_writer *w, struct plan_sink *sink,
                                   struct guest_err_detail *detail)
{
    uint32_t blob = w->targets[0].extent->source->blob;
    const struct vmdk_emission *next;
    uint8_t *out;

    if (!w->nr_emissions) {
        enum guest_err err = emit_next(w, detail);

        if (err)
            return err;
    }
    if (!w->nr_emissions) {
        w->at = 0;
        w->stage = w->finishing ? VMDK_STAGE_DIRECTORY : VMDK_STAGE_DONE;
        w->directory = w->targets[0].end;
        return GUEST_OK;
    }
    next = &w->emissions[--w->nr_emissions];
    out = plan_write(sink, blob, next->sector * VMDK_SECTOR_BYTES,
                     (1 + VMDK_MADE_GT_SECTORS) * VMDK_SECTOR_BYTES, CELL_NOTE_L2_TABLE);
    vmdk_make_marker(VMDK_MADE_GT_SECTORS, VMDK_MARKER_GT, out);
    vmdk_store_table(w->targets[0].tables[next->table], VMDK_MADE_GTES, out + VMDK_SECTOR_BYTES);
    return GUEST_OK;
}

/* ---- a stream that exists ---- */

static bool is_footer(const uint8_t *marker)
{
    return load_le32(marker + 8) == 0 && load_le32(marker + 12) == VMDK_MARKER_FOOTER;
}

/* Whether the directory lies before a sector, so that what is behind that is not needed. */
static bool directory_is_before(const struct vmdk_extent *e, uint64_t sector)
{
    uint64_t end;

    return add_u64(e->gd_offset, (uint64_t)e->gd_entries * 4, &end) &&
           end <= sector * VMDK_SECTOR_BYTES;
}

/* Where there is a parent, zeros need an entry of their own. */
static void allow_zeros(uint8_t *header)
{
    store_le32(header + HEADER_FLAGS, load_le32(header + HEADER_FLAGS) | VMDK_FLAG_ZERO_GRAIN);
    store_le32(header + HEADER_VERSION, (uint32_t)max_u64(load_le32(header + HEADER_VERSION), 2));
}

enum guest_err vmdk_stream_open(struct vmdk_writer *w, struct vmdk_extent *e,
                                struct guest_err_detail *detail)
{
    struct vmdk_target *t = &w->targets[0];
    uint8_t marker[VMDK_SECTOR_BYTES];
    uint64_t size, foot;
    enum guest_err err =
        source_read_padded(e->source, 0, sizeof(w->ends.header), w->ends.header, detail);

    if (!err && !align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &size))
        err = err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (err)
        return err;
    t->end = size / VMDK_SECTOR_BYTES;
    w->ends.has_footer = load_le64(w->ends.header + HEADER_GD) == VMDK_GD_AT_END;
    if (w->ends.has_footer) {
        foot = t->end - VMDK_FOOTER_SECTORS; /* it was there when the image was opened */
        err =
            source_read_padded(e->source, foot * VMDK_SECTOR_BYTES, sizeof(marker), marker, detail);
        if (!err)
            err = source_read_padded(e->source, (foot + 1) * VMDK_SECTOR_BYTES,
                                     sizeof(w->ends.footer), w->ends.footer, detail);
        if (!err && !is_footer(marker))
            err = vmdk_error(detail, VMDK_ERR_FOOTER, 0);
        if (!err && directory_is_before(e, foot))
            t->end = foot;
    }
    if (w->has_parent && !e->zero_grain) {
        e->zero_grain = true;
        allow_zeros(w->ends.header);
        allow_zeros(w->ends.footer);
    }
    return err;
}

void vmdk_stream_begin(struct vmdk_writer *w, struct plan_sink *sink)
{
    memcpy(plan_write(sink, w->targets[0].extent->source->blob, 0, VMDK_SECTOR_BYTES,
                      CELL_NOTE_HEADER),
           w->ends.has_footer ? w->ends.footer : w->ends.header, VMDK_SECTOR_BYTES);
}

/* ---- the end of both ---- */

static uint64_t directory_sectors(const struct vmdk_writer *w)
{
    return div_round_up_u64((uint64_t)w->targets[0].extent->gd_entries * 4, VMDK_SECTOR_BYTES);
}

/* Entries of the directory: those in memory, and of a stream that existed the others as they are.
 */
static enum guest_err fill_entries(const struct vmdk_writer *w, uint64_t first, uint64_t nr,
                                   uint8_t *out, struct guest_err_detail *detail)
{
    const struct vmdk_target *t = &w->targets[0];
    const struct vmdk_extent *e = t->extent;
    uint64_t there = first < e->gd_entries ? min_u64(nr, e->gd_entries - first) : 0;
    enum guest_err err = GUEST_OK;

    memset(out, 0, nr * 4);
    if (w->append && there)
        err = source_read_padded(e->source, e->gd_offset + first * 4, there * 4, out, detail);
    for (uint64_t i = 0; i < there && !err; i++)
        if (t->tables[first + i])
            store_le32(out + i * 4, (uint32_t)(t->tables[first + i]->at[0] / VMDK_SECTOR_BYTES));
    return err;
}

enum guest_err vmdk_yield_directory(struct vmdk_writer *w, struct plan_sink *sink,
                                    struct guest_err_detail *detail)
{
    uint32_t blob = w->targets[0].extent->source->blob;
    uint64_t padded = directory_sectors(w) * (VMDK_SECTOR_BYTES / 4);
    uint64_t nr = min_u64(padded - w->at, DIRECTORY_CHUNK);
    enum guest_err err = GUEST_OK;

    if (w->at == 0) {
        source_forget(w->targets[0].extent->source);
        vmdk_make_marker(directory_sectors(w), VMDK_MARKER_GD,
                         plan_write(sink, blob, w->directory * VMDK_SECTOR_BYTES, VMDK_SECTOR_BYTES,
                                    CELL_NOTE_L1_TABLE));
    }
    if (nr)
        err =
            fill_entries(w, w->at, nr,
                         plan_write(sink, blob, (w->directory + 1) * VMDK_SECTOR_BYTES + w->at * 4,
                                    nr * 4, CELL_NOTE_L1_TABLE),
                         detail);
    w->at += nr;
    if (w->at >= padded)
        w->stage = VMDK_STAGE_FOOTER;
    return err;
}

/* The header and the footer of the stream as it is now. */
static void make_ends(const struct vmdk_writer *w, uint8_t *header, uint8_t *footer)
{
    const struct vmdk_extent *e = w->targets[0].extent;
    struct vmdk_layout layout;

    if (w->append) {
        memcpy(header, w->ends.header, VMDK_SECTOR_BYTES);
        memcpy(footer, w->ends.footer, VMDK_SECTOR_BYTES);
        store_le64(footer + HEADER_GD, w->directory + 1);
        return;
    }
    (void)vmdk_lay_out(e->sectors, e->zero_grain || w->zero_entries, true, &layout);
    vmdk_make_header(&layout, VMDK_GD_AT_END, header);
    vmdk_make_header(&layout, w->directory + 1, footer);
}

void vmdk_yield_footer(struct vmdk_writer *w, struct plan_sink *sink)
{
    uint32_t blob = w->targets[0].extent->source->blob;
    uint64_t sector = w->directory + 1 + directory_sectors(w);
    uint8_t header[VMDK_SECTOR_BYTES];
    uint8_t *out;

    plan_simple(sink, CELL_OP_TRUNCATE, blob, (sector + VMDK_FOOTER_SECTORS) * VMDK_SECTOR_BYTES, 0,
                CELL_NOTE_FILE_SIZE);
    out = plan_write(sink, blob, sector * VMDK_SECTOR_BYTES,
                     VMDK_FOOTER_SECTORS * VMDK_SECTOR_BYTES, CELL_NOTE_HEADER);
    make_ends(w, header, out + VMDK_SECTOR_BYTES);
    vmdk_make_marker(1, VMDK_MARKER_FOOTER, out);
    vmdk_make_marker(0, VMDK_MARKER_EOS, out + 2 * VMDK_SECTOR_BYTES);
    if (w->append)
        plan_barrier(sink);
    memcpy(plan_write(sink, blob, 0, VMDK_SECTOR_BYTES, CELL_NOTE_HEADER), header,
           VMDK_SECTOR_BYTES);
    if (w->append)
        plan_barrier(sink);
    w->stage = VMDK_STAGE_DONE;
}
