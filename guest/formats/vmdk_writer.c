/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VMDK: where runs go.
 *
 * One flat extent needs no asking: all is in its place. Otherwise runs are placed, cut where an
 * extent ends. Streams are written once, front to back; seSparse extents and those with tables that
 * are not there are not written to.
 */
#include "guest/formats/vmdk_writer.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define TABLES_DIRTY_MAX 1024u /* 4 MiB of tables: time for a plan */
#define TABLES_HELD_MAX  4096u
#define ZEROS_ENOUGH     4096u
#define TABLE_BYTES      (VMDK_MADE_GTES * 4u)

static struct vmdk_writer *writer_of(struct image_writer *writer)
{
    return (struct vmdk_writer *)writer;
}

/* ---- tables ---- */

static enum guest_err directory_entry(const struct vmdk_extent *e, uint64_t directory,
                                      uint64_t number, uint64_t *out,
                                      struct guest_err_detail *detail)
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
    enum guest_err err = directory_entry(e, e->gd_offset, number, &table->at[0], detail);

    if (!err && e->rgd_offset)
        err = directory_entry(e, e->rgd_offset, number, &table->at[1], detail);
    if (!err && !table->at[0])
        err = vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
    if (!err)
        err = source_read_padded(e->source, table->at[0], (uint64_t)e->gtes_per_gt * 4, table->file,
                                 detail);
    if (!err)
        memcpy(table->placed, table->file, TABLE_BYTES);
    return err;
}

static void free_table(struct vmdk_writer *w, struct vmdk_table **slot)
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
        free_table(w, &t->tables[number]);
    else
        *out = table;
    return err;
}

/* After a plan: tables that the file has as they are need not be held. */
static void drop_tables(struct vmdk_writer *w)
{
    for (unsigned i = 0; i < w->nr_targets && !w->stream; i++) {
        struct vmdk_target *t = &w->targets[i];

        if (!t->tables)
            continue;
        source_forget(t->extent->source); /* the file has changed */
        for (uint64_t k = 0; k < t->extent->gd_entries && w->nr_tables > TABLES_HELD_MAX; k++)
            if (t->tables[k] && !t->tables[k]->dirty &&
                memcmp(t->tables[k]->file, t->tables[k]->placed, TABLE_BYTES) == 0)
                free_table(w, &t->tables[k]);
    }
}

static void set_entry(struct vmdk_writer *w, struct vmdk_table *table, uint64_t i, uint32_t entry)
{
    w->nr_dirty += !table->dirty;
    table->dirty = true;
    table->file[i] = entry;
}

/* ---- room ---- */

static bool is_data(const struct vmdk_extent *e, uint32_t entry)
{
    return entry != 0 && !(e->zero_grain && entry == VMDK_GTE_ZEROED);
}

static enum guest_err take_room(struct vmdk_target *t, uint64_t sectors, uint32_t *out,
                                struct guest_err_detail *detail)
{
    if (t->end + sectors > UINT32_MAX)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    *out = (uint32_t)t->end;
    t->end += sectors;
    return GUEST_OK;
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
    err = take_room(t, 1 + VMDK_MADE_GT_SECTORS, &sector, detail);
    if (err)
        return err;
    w->emissions[w->nr_emissions++] = (struct vmdk_emission){.table = number, .sector = sector};
    t->tables[number]->at[0] = (uint64_t)(sector + 1) * VMDK_SECTOR_BYTES;
    w->nr_dirty -= t->tables[number]->dirty;
    t->tables[number]->dirty = false;
    return GUEST_OK;
}

/* A stream's grain, behind the table of the 32 MiB before it if it is the first of the next. */
static enum guest_err place_stream(struct vmdk_writer *w, uint32_t number, struct cell_place *out,
                                   struct vmdk_table *table, uint64_t i,
                                   struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    uint32_t sector;

    if (out->kind != CELL_PLACE_COMPRESSED)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->last_table != number && w->last_table != UINT32_MAX &&
        w->targets[0].tables[w->last_table]->dirty)
        err = vmdk_emit_table(w, w->last_table, detail);
    if (!err)
        err = take_room(&w->targets[0], div_round_up_u64(out->comp_len, VMDK_SECTOR_BYTES), &sector,
                        detail);
    if (err)
        return err;
    w->last_table = number;
    set_entry(w, table, i, sector);
    out->offset = (uint64_t)sector * VMDK_SECTOR_BYTES;
    return GUEST_OK;
}

/* One run inside one grain of a sparse extent; `into` is where, bytes in the extent. */
static enum guest_err place_in_grain(struct vmdk_writer *w, struct vmdk_target *t, uint64_t into,
                                     struct cell_place *out, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = t->extent;
    uint64_t cluster = vmdk_cluster_bytes(e), grain = into / cluster;
    uint64_t i = grain % e->gtes_per_gt;
    struct vmdk_table *table;
    enum guest_err err;

    out->offset = 0;
    if (out->kind == CELL_PLACE_ZERO)
        return GUEST_OK;
    err = vmdk_get_table(w, t, grain / e->gtes_per_gt, &table, detail);
    if (err)
        return err;
    if (w->stream)
        return place_stream(w, (uint32_t)(grain / e->gtes_per_gt), out, table, i, detail);
    if (!is_data(e, table->placed[i]))
        err = take_room(t, e->cluster_sectors, &table->placed[i], detail);
    out->offset = (uint64_t)table->placed[i] * VMDK_SECTOR_BYTES + into % cluster;
    return err;
}

/* Which target has this offset of the disk, and how far in. */
static struct vmdk_target *target_at(struct vmdk_writer *w, uint64_t start, uint64_t *out_into)
{
    const struct vmdk_extent *e = vmdk_extent_at(w->vmdk, start / VMDK_SECTOR_BYTES);

    if (!e)
        return NULL;
    *out_into = start - e->start * VMDK_SECTOR_BYTES;
    return &w->targets[e - w->vmdk->extents];
}

/* The first part of a run that has its room in one place. */
static enum guest_err place_part(struct vmdk_writer *w, struct cell_place *part,
                                 struct guest_err_detail *detail)
{
    uint64_t into, left;
    struct vmdk_target *t = target_at(w, part->start, &into);

    if (!t)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    left = t->extent->sectors * VMDK_SECTOR_BYTES - into;
    part->blob = t->extent->source->blob;
    part->length = min_u64(part->length, left);
    if (t->extent->flat) {
        part->offset = t->extent->flat_offset + into;
        return GUEST_OK;
    }
    part->length =
        min_u64(part->length, vmdk_cluster_bytes(t->extent) - into % vmdk_cluster_bytes(t->extent));
    return place_in_grain(w, t, into, part, detail);
}

static bool joins(const struct cell_place *a, const struct cell_place *b)
{
    return a->kind == b->kind && a->kind != CELL_PLACE_COMPRESSED && a->blob == b->blob &&
           a->start + a->length == b->start &&
           (a->kind == CELL_PLACE_ZERO || a->offset + a->length == b->offset);
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct vmdk_writer *w = writer_of(writer);
    uint32_t used = 0;

    drop_tables(w);
    for (uint32_t i = 0; i < nr; i++) {
        struct cell_place part = in[i];
        uint64_t end = in[i].start + in[i].length;
        bool first = true; /* of its run: runs are not joined with each other */

        while (part.start < end) {
            enum guest_err err;

            part.length = end - part.start;
            err = place_part(w, &part, detail);
            if (err)
                return err;
            if (!first && joins(&out[used - 1], &part))
                out[used - 1].length += part.length;
            else if (used == max)
                return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
            else
                out[used++] = part;
            part.start += part.length;
            first = false;
        }
    }
    *out_nr = used;
    return GUEST_OK;
}

/* ---- what was written ---- */

static enum guest_err note_zeros(struct vmdk_writer *w, uint32_t blob, uint64_t offset,
                                 uint64_t length, struct guest_err_detail *detail)
{
    if (w->nr_zeros == w->room_zeros) {
        uint32_t room = w->room_zeros ? 2 * w->room_zeros : ZEROS_ENOUGH;
        struct vmdk_zeros *more = realloc(w->zeros, room * sizeof(*more));

        if (!more)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        w->zeros = more;
        w->room_zeros = room;
    }
    w->zeros[w->nr_zeros++] = (struct vmdk_zeros){.blob = blob, .offset = offset, .length = length};
    return GUEST_OK;
}

/* A grain, or the end of the disk in one, reads as zeros from now on. */
static enum guest_err zero_grain(struct vmdk_writer *w, struct vmdk_target *t, uint64_t into,
                                 uint64_t length, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = t->extent;
    uint64_t cluster = vmdk_cluster_bytes(e), grain = into / cluster;
    uint64_t i = grain % e->gtes_per_gt;
    struct vmdk_table *table;
    enum guest_err err = vmdk_get_table(w, t, grain / e->gtes_per_gt, &table, detail);

    if (err)
        return err;
    if (!table->placed[i] && !w->has_parent)
        return GUEST_OK;
    if (e->zero_grain || w->stream) {
        table->placed[i] = VMDK_GTE_ZEROED;
        w->zero_entries = true;
        set_entry(w, table, i, VMDK_GTE_ZEROED);
        return GUEST_OK;
    }
    if (!is_data(e, table->placed[i])) {
        err = take_room(t, e->cluster_sectors, &table->placed[i], detail);
        length = cluster;
    }
    if (err)
        return err;
    set_entry(w, table, i, table->placed[i]);
    return note_zeros(w, e->source->blob, (uint64_t)table->placed[i] * VMDK_SECTOR_BYTES, length,
                      detail);
}

static enum guest_err commit_part(struct vmdk_writer *w, struct cell_place *part,
                                  struct guest_err_detail *detail)
{
    uint64_t into, cluster;
    struct vmdk_target *t = target_at(w, part->start, &into);
    struct vmdk_table *table;
    enum guest_err err;

    if (!t)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    part->length = min_u64(part->length, t->extent->sectors * VMDK_SECTOR_BYTES - into);
    if (t->extent->flat)
        return part->kind == CELL_PLACE_ZERO && !w->fresh
                   ? note_zeros(w, t->extent->source->blob, t->extent->flat_offset + into,
                                part->length, detail)
                   : GUEST_OK;
    cluster = vmdk_cluster_bytes(t->extent);
    part->length = min_u64(part->length, cluster - into % cluster);
    if (part->kind == CELL_PLACE_ZERO)
        return zero_grain(w, t, into, part->length, detail);
    if (w->stream)
        return GUEST_OK; /* its table has known it since it was placed */
    err = vmdk_get_table(w, t, into / cluster / t->extent->gtes_per_gt, &table, detail);
    if (!err)
        set_entry(w, table, into / cluster % t->extent->gtes_per_gt,
                  table->placed[into / cluster % t->extent->gtes_per_gt]);
    return err;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct vmdk_writer *w = writer_of(writer);

    drop_tables(w);
    for (uint32_t i = 0; i < nr; i++) {
        struct cell_place part = runs[i];
        uint64_t end = runs[i].start + runs[i].length;

        while (part.start < end) {
            enum guest_err err;

            part.length = end - part.start;
            err = commit_part(w, &part, detail);
            if (err)
                return err;
            part.start += part.length;
        }
    }
    return GUEST_OK;
}

/* ---- plans ---- */

static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct vmdk_writer *w = (const struct vmdk_writer *)writer;

    return w->nr_emissions || w->nr_zeros >= ZEROS_ENOUGH ||
           (!w->stream && w->nr_dirty >= TABLES_DIRTY_MAX);
}

static struct plan *start_plan(struct vmdk_writer *w, bool finishing)
{
    w->stage = VMDK_STAGE_START;
    w->finishing = finishing;
    w->target = 0;
    w->at = 0;
    return &w->base.plan;
}

static struct plan *writer_plan(struct image_writer *writer)
{
    return start_plan(writer_of(writer), false);
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    (void)unused_offset;
    return start_plan(writer_of(writer), true);
}

static void writer_free(struct image_writer *writer)
{
    struct vmdk_writer *w = writer_of(writer);

    for (unsigned i = 0; w->targets && i < w->nr_targets; i++) {
        struct vmdk_target *t = &w->targets[i];

        for (uint64_t k = 0; t->tables && k < t->extent->gd_entries; k++)
            if (t->tables[k])
                free_table(w, &t->tables[k]);
        free(t->tables);
    }
    free(w->targets);
    free(w->zeros);
    free(w->emissions);
    free(w);
}

static void plan_free(struct plan *plan)
{
    (void)plan; /* the writer's */
}

/* ---- opening ---- */

static const struct image_writer_verbs verbs = {
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};
static const struct plan_verbs plans = {.next = vmdk_writer_next, .free = plan_free};

/* A stream can be begun as long as it has no grain. */
static enum guest_err check_stream(const struct vmdk_writer *w, struct vmdk_extent *e,
                                   struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < e->gd_entries; i++) {
        uint64_t entry;
        enum guest_err err = directory_entry(e, e->gd_offset, i, &entry, detail);

        if (err)
            return err;
        if (entry)
            return vmdk_error(detail, VMDK_ERR_WRITE_STREAM, 0);
    }
    return w->nr_targets == 1 && e->source == w->targets[0].extent->source && e->markers &&
                   e->cluster_sectors == VMDK_MADE_GRAIN_SECTORS && e->gtes_per_gt == VMDK_MADE_GTES
               ? GUEST_OK
               : vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
}

static enum guest_err open_target(struct vmdk_writer *w, struct vmdk_extent *e,
                                  struct vmdk_target *t, struct guest_err_detail *detail)
{
    t->extent = e;
    if (e->flat)
        return GUEST_OK;
    if (e->sesparse || e->gtes_per_gt > VMDK_MADE_GTES ||
        !is_power_of_two_u64(e->cluster_sectors) || e->start % e->cluster_sectors ||
        vmdk_cluster_bytes(e) > w->base.shape.unit)
        return vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
    t->tables = arena_array(e->gd_entries, sizeof(*t->tables));
    if (!t->tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (e->compressed) {
        w->stream = true;
        t->end = VMDK_MADE_GRAIN_SECTORS;
        return check_stream(w, e, detail);
    }
    if (!align_up_u64(e->source->size_bytes, vmdk_cluster_bytes(e), &t->end))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    t->end /= VMDK_SECTOR_BYTES;
    return GUEST_OK;
}

/* Runs are whole grains of the extent that has the largest. */
static void fill_shape(struct vmdk_writer *w, bool fresh)
{
    struct image_writer_shape *shape = &w->base.shape;
    const struct vmdk_extent *first = &w->vmdk->extents[0];

    shape->unit = VMDK_SECTOR_BYTES;
    for (unsigned i = 0; i < w->nr_targets; i++)
        if (!w->vmdk->extents[i].flat)
            shape->unit = max_u64(shape->unit, vmdk_cluster_bytes(&w->vmdk->extents[i]));
    shape->zero_unit = shape->unit;
    shape->data_blob = first->source->blob;
    shape->zero_by_default = fresh && !w->has_parent;
    shape->linear = w->nr_targets == 1 && first->flat;
    shape->linear_offset = first->flat_offset;
}

static bool names_parent(const struct node *node)
{
    for (unsigned i = 0; i < node->nr_refs; i++)
        if (node->refs[i]->role == ABI__ROLE__ROLE_BACKING)
            return true;
    return false;
}

enum guest_err vmdk_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    struct vmdk_writer *w = arena_array(1, sizeof(*w));
    enum guest_err err = GUEST_OK;

    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->base.verbs = &verbs;
    w->base.plan.verbs = &plans;
    w->vmdk = v;
    w->fresh = options->fresh;
    w->has_parent = names_parent(node);
    w->last_table = UINT32_MAX;
    w->nr_targets = v->nr_extents;
    w->targets = arena_array(v->nr_extents, sizeof(*w->targets));
    if (!w->targets)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err && !v->nr_extents)
        err = vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
    if (!err)
        fill_shape(w, options->fresh);
    for (unsigned i = 0; i < v->nr_extents && !err; i++)
        err = open_target(w, &v->extents[i], &w->targets[i], detail);
    if (!err && w->stream != options->compressed)
        err = vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
    if (err) {
        for (unsigned i = 0; w->targets && i < w->nr_targets; i++)
            w->targets[i].extent = &v->extents[i];
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
