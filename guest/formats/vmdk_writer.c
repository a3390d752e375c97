/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a VMDK: where runs go.
 *
 * One new flat extent needs no asking: all is in its place. Otherwise runs are placed, cut where
 * an extent ends; the first of them lets the image get another content id. A grain of a stream is
 * written once; so are seSparse extents never.
 */
#include "guest/formats/vmdk_writer.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define TABLES_DIRTY_MAX 1024u /* 4 MiB of tables: time for a plan */

static struct vmdk_writer *writer_of(struct image_writer *writer)
{
    return (struct vmdk_writer *)writer;
}

/* ---- room ---- */

static bool is_data(const struct vmdk_extent *e, uint32_t entry)
{
    return entry != 0 && !(e->zero_grain && entry == VMDK_GTE_ZEROED);
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
        err = vmdk_take_room(&w->targets[0], div_round_up_u64(out->comp_len, VMDK_SECTOR_BYTES),
                             &sector, detail);
    if (err)
        return err;
    w->last_table = number;
    vmdk_set_entry(w, table, i, sector);
    out->offset = (uint64_t)sector * VMDK_SECTOR_BYTES;
    return GUEST_OK;
}

/*
 * Why a run cannot go into its grain. What a child would be completed with must be what it was; and
 * what a stream has got stays as it is.
 */
static enum guest_err check_grain(const struct vmdk_writer *w, const struct vmdk_extent *e,
                                  const struct cell_place *run, uint32_t entry,
                                  struct guest_err_detail *detail)
{
    bool zeros = run->kind == CELL_PLACE_ZERO;

    if (w->append && is_data(e, entry))
        return vmdk_error(detail, VMDK_ERR_STREAM_ALLOCATED, 0);
    if (w->append && !zeros && run->kind != CELL_PLACE_COMPRESSED)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->node->rejects_backing && !is_data(e, entry) && !(zeros && e->zero_grain))
        return err_plain(detail, GUEST_ERR_INVALID);
    return GUEST_OK;
}

/* One run inside one grain of a sparse extent; `into` is where, bytes in the extent. */
static enum guest_err place_in_grain(struct vmdk_writer *w, struct vmdk_target *t, uint64_t into,
                                     struct cell_place *out, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = t->extent;
    uint64_t cluster = vmdk_cluster_bytes(e), grain = into / cluster;
    uint64_t i = grain % e->gtes_per_gt, room = e->cluster_sectors;
    struct vmdk_table *table;
    enum guest_err err;

    out->offset = 0;
    if (out->kind == CELL_PLACE_ZERO && w->fresh)
        return GUEST_OK;
    err = vmdk_get_table(w, t, grain / e->gtes_per_gt, &table, detail);
    if (err)
        return err;
    if (w->stream)
        return place_stream(w, (uint32_t)(grain / e->gtes_per_gt), out, table, i, detail);
    err = check_grain(w, e, out, table->placed[i], detail);
    if (err || out->kind == CELL_PLACE_ZERO)
        return err;
    if (w->append)
        room = div_round_up_u64(out->comp_len, VMDK_SECTOR_BYTES);
    if (!is_data(e, table->placed[i]))
        err = vmdk_take_room(t, room, &table->placed[i], detail);
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

    w->touched |= nr != 0;
    vmdk_drop_tables(w);
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
    if (e->zero_grain || w->stream || w->append) {
        table->placed[i] = VMDK_GTE_ZEROED;
        w->zero_entries = true;
        vmdk_set_entry(w, table, i, VMDK_GTE_ZEROED);
        return GUEST_OK;
    }
    if (!is_data(e, table->placed[i])) {
        err = vmdk_take_room(t, e->cluster_sectors, &table->placed[i], detail);
        length = cluster;
    }
    if (err)
        return err;
    vmdk_set_entry(w, table, i, table->placed[i]);
    return zero_list_add(&w->zeros, e->source->blob, (uint64_t)table->placed[i] * VMDK_SECTOR_BYTES,
                         length, detail);
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
                   ? zero_list_add(&w->zeros, t->extent->source->blob,
                                   t->extent->flat_offset + into, part->length, detail)
                   : GUEST_OK;
    cluster = vmdk_cluster_bytes(t->extent);
    part->length = min_u64(part->length, cluster - into % cluster);
    if (part->kind == CELL_PLACE_ZERO)
        return zero_grain(w, t, into, part->length, detail);
    if (w->stream)
        return GUEST_OK; /* its table has known it since it was placed */
    err = vmdk_get_table(w, t, into / cluster / t->extent->gtes_per_gt, &table, detail);
    if (!err)
        vmdk_set_entry(w, table, into / cluster % t->extent->gtes_per_gt,
                       table->placed[into / cluster % t->extent->gtes_per_gt]);
    return err;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct vmdk_writer *w = writer_of(writer);

    vmdk_drop_tables(w);
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

    return (!w->fresh && w->touched && !w->renewed) || w->nr_emissions ||
           w->zeros.nr >= ZERO_LIST_ENOUGH || (!w->stream && w->nr_dirty >= TABLES_DIRTY_MAX);
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
                vmdk_free_table(w, &t->tables[k]);
        free(t->tables);
    }
    free(w->targets);
    zero_list_clear(&w->zeros);
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
        w->stream = w->fresh;
        w->append = !w->fresh;
        t->end = VMDK_MADE_GRAIN_SECTORS;
        if (w->nr_targets != 1 || !e->markers || e->source != w->node->source)
            return vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
        return w->append ? vmdk_stream_open(w, e, detail) : GUEST_OK;
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
    shape->linear = fresh && w->nr_targets == 1 && first->flat;
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
    w->node = node;
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
    if (!err && (w->stream || w->append) != options->compressed)
        err = vmdk_error(detail, VMDK_ERR_WRITE_KIND, 0);
    if (!err && !w->fresh) {
        err = vmdk_find_cid(node, &w->cid, detail);
        vmdk_renew_cid(&w->cid, options->random);
    }
    if (err) {
        for (unsigned i = 0; w->targets && i < w->nr_targets; i++)
            w->targets[i].extent = &v->extents[i];
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
