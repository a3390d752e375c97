/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plans of the VMDK writer.
 *
 * Into a sparse extent: zeros, then tables, the redundant ones first, then the directories' entries
 * of new tables; data and zeros are durable before an entry refers to them. Before all that, and
 * before the first byte of data, the image gets its new content id.
 */
#include "guest/formats/vmdk_writer.h"
#include "guest/lib/checked.h"

void vmdk_store_table(const struct vmdk_table *table, uint64_t nr, uint8_t *out)
{
    for (uint64_t i = 0; i < nr; i++)
        store_le32(out + i * 4, table->file[i]);
}

static void yield_start(struct vmdk_writer *w, struct plan_sink *sink)
{
    w->stage = VMDK_STAGE_ZEROS;
    if (w->fresh)
        return;
    /* What was written so far is there before anything refers to it. */
    plan_barrier(sink);
    if (w->renewed || !w->touched)
        return;
    w->renewed = true;
    if (w->cid.nr_digits)
        memcpy(plan_write(sink, w->node->source->blob, w->cid.offset, w->cid.nr_digits,
                          CELL_NOTE_HEADER),
               w->cid.digits, w->cid.nr_digits);
    if (w->append)
        vmdk_stream_begin(w, sink);
    plan_barrier(sink);
}

static void yield_zeros(struct vmdk_writer *w, struct plan_sink *sink)
{
    if (w->at < w->zeros.nr) {
        zero_list_yield(&w->zeros, w->at++, sink);
        return;
    }
    if (w->zeros.nr && !w->fresh)
        plan_barrier(sink);
    w->zeros.nr = 0;
    w->at = 0;
    w->stage = w->stream ? VMDK_STAGE_EMIT : VMDK_STAGE_TABLES;
}

static enum guest_err yield_table(struct vmdk_writer *w, struct vmdk_target *t,
                                  struct vmdk_table *table, struct plan_sink *sink,
                                  struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = t->extent;
    uint64_t bytes = (uint64_t)e->gtes_per_gt * 4, marker = 0;
    enum guest_err err = GUEST_OK;

    if (!table->at[0]) {
        err = vmdk_place_table(t, table, detail);
        bytes = vmdk_table_sectors(e) * VMDK_SECTOR_BYTES;
        marker = e->markers ? VMDK_SECTOR_BYTES : 0;
    }
    for (unsigned k = 2; k-- > 0 && !err;) {
        uint8_t *out;

        if (!table->at[k])
            continue;
        out = plan_write(sink, e->source->blob, table->at[k] - marker, marker + bytes,
                         CELL_NOTE_L2_TABLE);
        memset(out, 0, marker + bytes);
        if (marker)
            vmdk_make_marker(vmdk_table_sectors(e), VMDK_MARKER_GT, out);
        vmdk_store_table(table, e->gtes_per_gt, out + marker);
    }
    table->dirty = false;
    w->nr_dirty--;
    return err;
}

static void yield_listing(const struct vmdk_extent *e, uint64_t number, struct vmdk_table *table,
                          struct plan_sink *sink)
{
    const uint64_t directories[] = {e->gd_offset, e->rgd_offset};

    for (unsigned k = 2; k-- > 0;)
        if (table->at[k])
            store_le32(plan_write(sink, e->source->blob, directories[k] + number * 4, 4,
                                  CELL_NOTE_L1_TABLE),
                       (uint32_t)(table->at[k] / VMDK_SECTOR_BYTES));
    table->unlisted = false;
}

/* The next table that has changed, or the next that is new; or the next stage. */
static enum guest_err yield_tables(struct vmdk_writer *w, struct plan_sink *sink,
                                   struct guest_err_detail *detail)
{
    bool listing = w->stage == VMDK_STAGE_LIST;

    while (w->target < w->nr_targets) {
        struct vmdk_target *t = &w->targets[w->target];

        for (; t->tables && w->at < t->extent->gd_entries; w->at++) {
            struct vmdk_table *table = t->tables[w->at];

            if (table && !listing && table->dirty)
                return yield_table(w, t, table, sink, detail);
            if (table && listing && table->unlisted) {
                yield_listing(t->extent, w->at, table, sink);
                return GUEST_OK;
            }
        }
        w->target++;
        w->at = 0;
    }
    if (!w->fresh)
        plan_barrier(sink);
    w->target = 0;
    w->stage = !listing ? VMDK_STAGE_LIST
               : w->append && w->finishing && w->renewed && w->ends.has_footer
                   ? VMDK_STAGE_DIRECTORY
                   : VMDK_STAGE_DONE;
    w->directory = w->targets[0].end;
    return GUEST_OK;
}

enum guest_err vmdk_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct vmdk_writer *w = (struct vmdk_writer *)plan;
    enum guest_err err = GUEST_OK;

    while (!err && w->stage != VMDK_STAGE_DONE) {
        if (!plan_room(sink, 6, PLAN_CHUNK_BYTES))
            return GUEST_OK;
        switch (w->stage) {
        case VMDK_STAGE_START:
            yield_start(w, sink);
            break;
        case VMDK_STAGE_ZEROS:
            yield_zeros(w, sink);
            break;
        case VMDK_STAGE_TABLES:
        case VMDK_STAGE_LIST:
            err = yield_tables(w, sink, detail);
            break;
        case VMDK_STAGE_EMIT:
            err = vmdk_yield_emission(w, sink, detail);
            break;
        case VMDK_STAGE_DIRECTORY:
            err = vmdk_yield_directory(w, sink, detail);
            break;
        case VMDK_STAGE_FOOTER:
            vmdk_yield_footer(w, sink);
            break;
        case VMDK_STAGE_DONE:
            break;
        }
    }
    *out_done = true;
    return err;
}
