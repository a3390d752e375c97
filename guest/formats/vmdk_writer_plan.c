/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plans of the VMDK writer.
 *
 * Into a sparse extent: zeros, then tables, the redundant ones first; data and zeros are durable
 * before an entry refers to them. A stream's end comes last: the tables that are left, the
 * directory, the footer, and the header that says where to look. Until then the file has no footer
 * where one is looked for, and is refused.
 */
#include "guest/formats/vmdk_writer.h"
#include "guest/lib/checked.h"

#define DIRECTORY_CHUNK (PLAN_CHUNK_BYTES / 4)

static void store_table(const struct vmdk_table *table, uint64_t nr, uint8_t *out)
{
    for (uint64_t i = 0; i < nr; i++)
        store_le32(out + i * 4, table->file[i]);
}

static void yield_start(struct vmdk_writer *w, struct plan_sink *sink)
{
    /* What was written so far is there before anything refers to it. */
    if (!w->fresh)
        plan_barrier(sink);
    w->stage = VMDK_STAGE_ZEROS;
}

static void yield_zeros(struct vmdk_writer *w, struct plan_sink *sink)
{
    if (w->at < w->nr_zeros) {
        const struct vmdk_zeros *z = &w->zeros[w->at++];

        plan_simple(sink, CELL_OP_ZERO, z->blob, z->offset, z->length, CELL_NOTE_DATA);
        return;
    }
    if (w->nr_zeros && !w->fresh)
        plan_barrier(sink);
    w->nr_zeros = 0;
    w->at = 0;
    w->stage = w->stream ? VMDK_STAGE_EMIT : VMDK_STAGE_TABLES;
}

static void yield_table(struct vmdk_writer *w, const struct vmdk_extent *e,
                        struct vmdk_table *table, struct plan_sink *sink)
{
    uint64_t bytes = (uint64_t)e->gtes_per_gt * 4;

    for (unsigned k = 2; k-- > 0;)
        if (table->at[k])
            store_table(table, e->gtes_per_gt,
                        plan_write(sink, e->source->blob, table->at[k], bytes, CELL_NOTE_L2_TABLE));
    table->dirty = false;
    w->nr_dirty--;
}

/* The next table that has changed, or the next stage. */
static void yield_tables(struct vmdk_writer *w, struct plan_sink *sink)
{
    while (w->target < w->nr_targets) {
        struct vmdk_target *t = &w->targets[w->target];

        for (; t->tables && w->at < t->extent->gd_entries; w->at++) {
            if (t->tables[w->at] && t->tables[w->at]->dirty) {
                yield_table(w, t->extent, t->tables[w->at], sink);
                return;
            }
        }
        w->target++;
        w->at = 0;
    }
    if (!w->fresh)
        plan_barrier(sink);
    w->stage = VMDK_STAGE_DONE;
}

/* ---- streams ---- */

/* Finishing: the tables that still have no place, one by one. */
static enum guest_err emit_next(struct vmdk_writer *w, struct guest_err_detail *detail)
{
    struct vmdk_target *t = &w->targets[0];

    for (; w->finishing && w->at < t->extent->gd_entries; w->at++)
        if (t->tables[w->at] && t->tables[w->at]->dirty)
            return vmdk_emit_table(w, (uint32_t)w->at++, detail);
    return GUEST_OK;
}

static enum guest_err yield_emission(struct vmdk_writer *w, struct plan_sink *sink,
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
    store_table(w->targets[0].tables[next->table], VMDK_MADE_GTES, out + VMDK_SECTOR_BYTES);
    return GUEST_OK;
}

static uint64_t directory_sectors(const struct vmdk_writer *w)
{
    return div_round_up_u64((uint64_t)w->targets[0].extent->gd_entries * 4, VMDK_SECTOR_BYTES);
}

static void yield_directory(struct vmdk_writer *w, struct plan_sink *sink)
{
    const struct vmdk_target *t = &w->targets[0];
    uint32_t blob = t->extent->source->blob;
    uint64_t padded = directory_sectors(w) * (VMDK_SECTOR_BYTES / 4);
    uint64_t nr = min_u64(padded - w->at, DIRECTORY_CHUNK);
    uint8_t *out;

    if (w->at == 0)
        vmdk_make_marker(directory_sectors(w), VMDK_MARKER_GD,
                         plan_write(sink, blob, w->directory * VMDK_SECTOR_BYTES, VMDK_SECTOR_BYTES,
                                    CELL_NOTE_L1_TABLE));
    if (nr) {
        out = plan_write(sink, blob, (w->directory + 1) * VMDK_SECTOR_BYTES + w->at * 4, nr * 4,
                         CELL_NOTE_L1_TABLE);
        for (uint64_t i = 0; i < nr; i++, w->at++) {
            const struct vmdk_table *table =
                w->at < t->extent->gd_entries ? t->tables[w->at] : NULL;

            store_le32(out + i * 4, table ? (uint32_t)(table->at[0] / VMDK_SECTOR_BYTES) : 0);
        }
    }
    if (w->at >= padded)
        w->stage = VMDK_STAGE_FOOTER;
}

static void yield_footer(struct vmdk_writer *w, struct plan_sink *sink)
{
    const struct vmdk_extent *e = w->targets[0].extent;
    uint64_t sector = w->directory + 1 + directory_sectors(w);
    struct vmdk_layout layout;
    uint8_t *out;

    (void)vmdk_lay_out(e->sectors, e->zero_grain || w->zero_entries, true, &layout);
    plan_simple(sink, CELL_OP_TRUNCATE, e->source->blob,
                (sector + VMDK_FOOTER_SECTORS) * VMDK_SECTOR_BYTES, 0, CELL_NOTE_FILE_SIZE);
    vmdk_make_header(&layout, VMDK_GD_AT_END,
                     plan_write(sink, e->source->blob, 0, VMDK_SECTOR_BYTES, CELL_NOTE_HEADER));
    out = plan_write(sink, e->source->blob, sector * VMDK_SECTOR_BYTES,
                     VMDK_FOOTER_SECTORS * VMDK_SECTOR_BYTES, CELL_NOTE_HEADER);
    vmdk_make_marker(1, VMDK_MARKER_FOOTER, out);
    vmdk_make_header(&layout, w->directory + 1, out + VMDK_SECTOR_BYTES);
    vmdk_make_marker(0, VMDK_MARKER_EOS, out + 2 * VMDK_SECTOR_BYTES);
    w->stage = VMDK_STAGE_DONE;
}

enum guest_err vmdk_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct vmdk_writer *w = (struct vmdk_writer *)plan;
    enum guest_err err = GUEST_OK;

    while (!err && w->stage != VMDK_STAGE_DONE) {
        if (!plan_room(sink, 4, PLAN_CHUNK_BYTES))
            return GUEST_OK;
        switch (w->stage) {
        case VMDK_STAGE_START:
            yield_start(w, sink);
            break;
        case VMDK_STAGE_ZEROS:
            yield_zeros(w, sink);
            break;
        case VMDK_STAGE_TABLES:
            yield_tables(w, sink);
            break;
        case VMDK_STAGE_EMIT:
            err = yield_emission(w, sink, detail);
            break;
        case VMDK_STAGE_DIRECTORY:
            yield_directory(w, sink);
            break;
        case VMDK_STAGE_FOOTER:
            yield_footer(w, sink);
            break;
        case VMDK_STAGE_DONE:
            break;
        }
    }
    *out_done = true;
    return err;
}
