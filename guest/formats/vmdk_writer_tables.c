/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grain tables that a VMDK writer holds, and the room that it hands out.
 */
#include "guest/formats/vmdk_writer.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define TABLES_HELD_MAX 4096u
#define TABLE_BYTES     (VMDK_MADE_GTES * 4u)

enum guest_err vmdk_directory_entry(const struct vmdk_extent *e, uint64_t directory,
                                    uint64_t number, uint64_t *out, struct guest_err_detail *detail)
{
    uint8_t bytes[4];
    enum guest_err err =
        source_read_padded(e->source, directory + number * 4, sizeof(bytes), bytes, detail);

    *out = (uint64_t)load_le32(bytes) * VMDK_SECTOR_BYTES;
    return err;
}

static enum guest_err load_table(const struct vmdk_extent *e, uint64_t number,
                                 struct vmdk_table *table, struct guest_err_detail *detail)
{
    enum guest_err err = vmdk_directory_entry(e, e->gd_offset, number, &table->at[0], detail);

    if (!err && e->rgd_offset)
        err = vmdk_directory_entry(e, e->rgd_offset, number, &table->at[1], detail);
    if (!err && table->at[0])
        err = source_read_padded(e->source, table->at[0], (uint64_t)e->gtes_per_gt * 4, table->file,
                                 detail);
    if (!err)
        memcpy(table->placed, table->file, TABLE_BYTES);
    return err;
}

void vmdk_free_table(struct vmdk_writer *w, struct vmdk_table **slot)
{
    free((*slot)->file);
    free(*slot);
    *slot = NULL;
    w->nr_tables--;
}

enum guest_err vmdk_get_table(struct vmdk_writer *w, struct vmdk_target *t, uint64_t number,
                              struct vmdk_table **out, struct guest_err_detail *detail)
{
    struct vmdk_table *table;
    enum guest_err err = GUEST_OK;

    if (number >= t->extent->gd_entries)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    *out = t->tables[number];
    if (*out)
        return GUEST_OK;
    table = arena_array(1, sizeof(*table));
    if (!table)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    /* In a stream what has its room will have its data, or there is no stream. */
    table->file = arena_array(w->stream ? 1 : 2, TABLE_BYTES);
    table->placed = table->file ? table->file + (w->stream ? 0 : VMDK_MADE_GTES) : NULL;
    t->tables[number] = table;
    w->nr_tables++;
    if (!table->file)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err && !w->stream)
        err = load_table(t->extent, number, table, detail);
    if (err)
        vmdk_free_table(w, &t->tables[number]);
    else
        *out = table;
    return err;
}

/* Whether the table can be read again: it is as it was, and lies where the file was when opened. */
static bool is_droppable(const struct vmdk_extent *e, const struct vmdk_table *table)
{
    return !table->dirty && table->at[0] && table->at[0] < e->source->size_bytes &&
           table->at[1] < e->source->size_bytes &&
           memcmp(table->file, table->placed, TABLE_BYTES) == 0;
}

/* After a plan: tables that the file has as they are need not be held. */
void vmdk_drop_tables(struct vmdk_writer *w)
{
    for (unsigned i = 0; i < w->nr_targets && !w->stream; i++) {
        struct vmdk_target *t = &w->targets[i];

        if (!t->tables)
            continue;
        source_forget(t->extent->source); /* the file has changed */
        for (uint64_t k = 0; k < t->extent->gd_entries && w->nr_tables > TABLES_HELD_MAX; k++)
            if (t->tables[k] && is_droppable(t->extent, t->tables[k]))
                vmdk_free_table(w, &t->tables[k]);
    }
}

void vmdk_set_entry(struct vmdk_writer *w, struct vmdk_table *table, uint64_t i, uint32_t entry)
{
    w->nr_dirty += !table->dirty;
    table->dirty = true;
    table->file[i] = entry;
}

/* ---- room ---- */

enum guest_err vmdk_take_room(struct vmdk_target *t, uint64_t sectors, uint32_t *out,
                              struct guest_err_detail *detail)
{
    if (t->end + sectors > UINT32_MAX)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    *out = (uint32_t)t->end;
    t->end += sectors;
    return GUEST_OK;
}

/* Room for a table of an extent that exists, and for the redundant one. */
enum guest_err vmdk_place_table(struct vmdk_target *t, struct vmdk_table *table,
                                struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = t->extent;
    uint64_t marker = e->markers, sectors = marker + vmdk_table_sectors(e);
    uint32_t at = 0;
    enum guest_err err = vmdk_take_room(t, sectors, &at, detail);

    table->at[0] = (at + marker) * VMDK_SECTOR_BYTES;
    if (!err && e->rgd_offset) {
        err = vmdk_take_room(t, sectors, &at, detail);
        table->at[1] = (at + marker) * VMDK_SECTOR_BYTES;
    }
    if (!err && !e->compressed)
        (void)align_up_u64(t->end, e->cluster_sectors, &t->end);
    table->unlisted = true;
    return err;
}

enum guest_err vmdk_emit_table(struct vmdk_writer *w, uint32_t number,
                               struct guest_err_detail *detail)
{
    struct vmdk_target *t = &w->targets[0];
    uint32_t sector;
    enum guest_err err;

    if (w->nr_emissions == w->room_emissions) {
        uint32_t room = w->room_emissions ? 2 * w->room_emissions : 64;
        struct vmdk_emission *more = realloc(w->emissions, room * sizeof(*more));

        if (!more)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        w->emissions = more;
        w->room_emissions = room;
    }
    err = vmdk_take_room(t, 1 + VMDK_MADE_GT_SECTORS, &sector, detail);
    if (err)
        return err;
    w->emissions[w->nr_emissions++] = (struct vmdk_emission){.table = number, .sector = sector};
    t->tables[number]->at[0] = (uint64_t)(sector + 1) * VMDK_SECTOR_BYTES;
    w->nr_dirty -= t->tables[number]->dirty;
    t->tables[number]->dirty = false;
    return GUEST_OK;
}
