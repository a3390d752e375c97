/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vmdk_resize.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define CHUNK_ENTRIES (PLAN_CHUNK_BYTES / 4)

static bool is_flat(const struct vmdk_resize *r)
{
    return r->extent->flat;
}

static bool grows(const struct vmdk_resize *r)
{
    return r->new_sectors > r->old_sectors;
}

/* ---- planning ---- */

static enum guest_err refuse(struct guest_err_detail *detail)
{
    return vmdk_error(detail, VMDK_ERR_RESIZE_KIND, 0);
}

static enum guest_err entry_at(const struct vmdk_extent *e, uint64_t offset, uint32_t *out,
                               struct guest_err_detail *detail)
{
    uint8_t bytes[4];
    enum guest_err err = source_read_padded(e->source, offset, sizeof(bytes), bytes, detail);

    *out = load_le32(bytes);
    return err;
}

/*
 * What may lie behind the old end in the last table and in the last grain: it must not come to
 * light when the disk grows over it.
 */
static enum guest_err find_stale(struct vmdk_resize *r, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    uint64_t grains = div_round_up_u64(r->old_sectors, e->cluster_sectors);
    uint64_t last = grains ? (grains - 1) / e->gtes_per_gt : 0;
    uint64_t used = grains - last * e->gtes_per_gt;
    const uint64_t directories[] = {e->gd_offset, e->rgd_offset};
    uint32_t table, entry;
    enum guest_err err = GUEST_OK;

    r->stale_grains = grains ? e->gtes_per_gt - used : 0;
    for (unsigned k = 0; k < 2 && grains && !err; k++) {
        if (!directories[k])
            continue;
        err = entry_at(e, directories[k] + last * 4, &table, detail);
        if (!err && table && r->stale_grains)
            r->stale_at[k] = (uint64_t)table * VMDK_SECTOR_BYTES + used * 4;
        if (err || k || !table || r->old_sectors % e->cluster_sectors == 0)
            continue;
        err = entry_at(e, (uint64_t)table * VMDK_SECTOR_BYTES + (used - 1) * 4, &entry, detail);
        if (!err && entry && !(e->zero_grain && entry == VMDK_GTE_ZEROED)) {
            uint64_t in = r->old_sectors % e->cluster_sectors;

            r->tail_at = ((uint64_t)entry + in) * VMDK_SECTOR_BYTES;
            r->tail_bytes = (e->cluster_sectors - in) * VMDK_SECTOR_BYTES;
        }
    }
    return err;
}

/* Room for directories that hold more tables, and for these, at the end of the file. */
static enum guest_err place_directories(struct vmdk_resize *r, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    uint64_t span = (uint64_t)e->cluster_sectors * e->gtes_per_gt;
    uint64_t table_sectors = div_round_up_u64((uint64_t)e->gtes_per_gt * 4, VMDK_SECTOR_BYTES);
    uint64_t at, each;

    r->tables = div_round_up_u64(r->new_sectors, span);
    if (r->tables <= e->gd_entries)
        return GUEST_OK;
    if (r->tables > VMDK_GD_ENTRIES_MAX ||
        !align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &at))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    at /= VMDK_SECTOR_BYTES;
    each = div_round_up_u64(r->tables * 4, VMDK_SECTOR_BYTES) +
           (r->tables - e->gd_entries) * table_sectors;
    if (e->rgd_offset) {
        r->rgd_sector = at;
        at += each;
    }
    r->gd_sector = at;
    at += each;
    r->plan.file_size = at * VMDK_SECTOR_BYTES;
    return at <= UINT32_MAX ? GUEST_OK : err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
}

/* The descriptor's text with the new size; an embedded one that cannot be changed stays. */
static enum guest_err prepare_text(struct vmdk_resize *r, struct guest_err_detail *detail)
{
    struct span text;
    bool made;
    enum guest_err err;

    r->text_at = is_flat(r) ? 0 : VMDK_DESCRIPTOR_OFFSET;
    r->text_room = is_flat(r) ? 0 : VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR_BYTES;
    err = vmdk_read_text(r->node->source, r->text_at,
                         is_flat(r) ? VMDK_DESCRIPTOR_MAX : r->text_room, &text, detail);
    if (err)
        return err;
    made = vmdk_resize_text(text, r->new_sectors, &r->text, &r->text_len);
    free((void *)text.data);
    if (made && r->text_room && r->text_len > r->text_room) {
        free(r->text);
        r->text = NULL;
    }
    return is_flat(r) && !r->text ? refuse(detail) : GUEST_OK;
}

static enum guest_err prepare_sparse(struct vmdk_resize *r, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    enum guest_err err = source_read(e->source, 0, sizeof(r->header), r->header, detail);

    if (!err && (load_le32(r->header) != VMDK4_MAGIC || load_le64(r->header + 28) != 1 ||
                 load_le64(r->header + 36) < VMDK_DESCRIPTOR_SECTORS))
        err = refuse(detail);
    r->plan.file_size = e->source->size_bytes;
    if (!err && grows(r))
        err = place_directories(r, detail);
    if (!err && grows(r))
        err = find_stale(r, detail);
    if (err)
        return err;
    store_le64(r->header + 12, r->new_sectors);
    if (r->rgd_sector)
        store_le64(r->header + 48, r->rgd_sector);
    if (r->gd_sector)
        store_le64(r->header + 56, r->gd_sector);
    return GUEST_OK;
}

/* ---- the plan ---- */

static uint64_t flat_end(const struct vmdk_resize *r, uint64_t sectors)
{
    return r->extent->flat_offset + sectors * VMDK_SECTOR_BYTES;
}

static void yield_room(struct vmdk_resize *r, struct plan_sink *sink)
{
    uint32_t blob = r->extent->source->blob;

    if (is_flat(r) && grows(r)) {
        /* What lies behind the old end must not come to light. */
        if (r->extent->source->size_bytes > flat_end(r, r->old_sectors))
            plan_simple(sink, CELL_OP_TRUNCATE, blob, flat_end(r, r->old_sectors), 0,
                        CELL_NOTE_FILE_SIZE);
        plan_simple(sink, CELL_OP_TRUNCATE, blob, flat_end(r, r->new_sectors), 0,
                    CELL_NOTE_FILE_SIZE);
        plan_barrier(sink);
    }
    if (!is_flat(r) && r->gd_sector)
        plan_simple(sink, CELL_OP_TRUNCATE, blob, r->plan.file_size, 0, CELL_NOTE_FILE_SIZE);
    r->step = is_flat(r) ? VMDK_RESIZE_TEXT : VMDK_RESIZE_RGD;
}

/* Old entries as they are, new ones for the tables behind the directory. */
static enum guest_err yield_directory(struct vmdk_resize *r, struct plan_sink *sink, uint64_t old,
                                      uint64_t sector, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    uint64_t table_sectors = div_round_up_u64((uint64_t)e->gtes_per_gt * 4, VMDK_SECTOR_BYTES);
    uint64_t first = sector + div_round_up_u64(r->tables * 4, VMDK_SECTOR_BYTES);
    uint64_t nr = min_u64(r->tables - r->entry, CHUNK_ENTRIES);
    uint64_t kept = r->entry < e->gd_entries ? min_u64(nr, e->gd_entries - r->entry) : 0;
    uint8_t *out;
    enum guest_err err = GUEST_OK;

    if (sector == 0) {
        r->step++;
        return GUEST_OK;
    }
    out = plan_write(sink, e->source->blob, sector * VMDK_SECTOR_BYTES + r->entry * 4, nr * 4,
                     CELL_NOTE_L1_TABLE);
    if (kept)
        err = source_read_padded(e->source, old + r->entry * 4, kept * 4, out, detail);
    for (uint64_t i = kept; i < nr && !err; i++)
        store_le32(out + i * 4, (uint32_t)(first + (r->entry + i - e->gd_entries) * table_sectors));
    r->entry += nr;
    if (r->entry == r->tables) {
        r->entry = 0;
        r->step++;
    }
    return err;
}

static void yield_clean(struct vmdk_resize *r, struct plan_sink *sink)
{
    static const uint8_t zero = 0;
    uint32_t blob = r->extent->source->blob;

    for (unsigned k = 0; k < 2; k++)
        if (r->stale_at[k])
            plan_pattern(sink, blob, r->stale_at[k], r->stale_grains * 4, &zero, 1,
                         CELL_NOTE_L2_TABLE);
    if (r->tail_bytes)
        plan_simple(sink, CELL_OP_ZERO, blob, r->tail_at, r->tail_bytes, CELL_NOTE_DATA);
    plan_barrier(sink);
    r->step = VMDK_RESIZE_HEADER;
}

static void yield_header(struct vmdk_resize *r, struct plan_sink *sink)
{
    memcpy(plan_write(sink, r->extent->source->blob, 0, VMDK_SECTOR_BYTES, CELL_NOTE_HEADER),
           r->header, VMDK_SECTOR_BYTES);
    plan_barrier(sink);
    r->step = VMDK_RESIZE_TEXT;
}

static void yield_text(struct vmdk_resize *r, struct plan_sink *sink)
{
    uint64_t len = max_u64(r->text_len, r->text_room);
    uint8_t *out;

    r->step = VMDK_RESIZE_CUT;
    if (!r->text)
        return;
    out = plan_write(sink, r->node->source->blob, r->text_at, len, CELL_NOTE_HEADER);
    memcpy(out, r->text, r->text_len);
    memset(out + r->text_len, 0, len - r->text_len);
    if (!r->text_room)
        plan_simple(sink, CELL_OP_TRUNCATE, r->node->source->blob, r->text_len, 0,
                    CELL_NOTE_FILE_SIZE);
    plan_barrier(sink);
}

static void yield_cut(struct vmdk_resize *r, struct plan_sink *sink)
{
    if (is_flat(r) && !grows(r))
        plan_simple(sink, CELL_OP_TRUNCATE, r->extent->source->blob, flat_end(r, r->new_sectors), 0,
                    CELL_NOTE_FILE_SIZE);
    r->step = VMDK_RESIZE_DONE;
}

static enum guest_err resize_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct vmdk_resize *r = (struct vmdk_resize *)plan;
    enum guest_err err = GUEST_OK;

    while (!err && r->step != VMDK_RESIZE_DONE) {
        if (!plan_room(sink, 5, PLAN_CHUNK_BYTES))
            return GUEST_OK;
        switch (r->step) {
        case VMDK_RESIZE_ROOM:
            yield_room(r, sink);
            break;
        case VMDK_RESIZE_RGD:
            err = yield_directory(r, sink, r->extent->rgd_offset, r->rgd_sector, detail);
            break;
        case VMDK_RESIZE_GD:
            err = yield_directory(r, sink, r->extent->gd_offset, r->gd_sector, detail);
            break;
        case VMDK_RESIZE_CLEAN:
            yield_clean(r, sink);
            break;
        case VMDK_RESIZE_HEADER:
            yield_header(r, sink);
            break;
        case VMDK_RESIZE_TEXT:
            yield_text(r, sink);
            break;
        case VMDK_RESIZE_CUT:
            yield_cut(r, sink);
            break;
        case VMDK_RESIZE_DONE:
            break;
        }
    }
    *out_done = true;
    return err;
}

static void resize_free(struct plan *plan)
{
    free(((struct vmdk_resize *)plan)->text);
    free(plan);
}

static const struct plan_verbs resize_verbs = {.next = resize_next, .free = resize_free};

enum guest_err vmdk_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    const struct vmdk_extent *e = v->nr_extents == 1 ? &v->extents[0] : NULL;
    struct vmdk_resize *r;
    enum guest_err err = GUEST_OK;

    if (!e || e->compressed || e->sesparse || (!e->flat && e->source != node->source))
        return refuse(detail);
    if (request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        return vmdk_error(detail, VMDK_ERR_RESIZE_PREALLOC, 0);
    if (request->size > INT64_MAX - VMDK_SECTOR_BYTES)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    r = arena_array(1, sizeof(*r));
    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->plan.verbs = &resize_verbs;
    r->node = node;
    r->extent = e;
    r->old_sectors = e->sectors;
    r->new_sectors = div_round_up_u64(request->size, VMDK_SECTOR_BYTES);
    if (!is_flat(r))
        err = prepare_sparse(r, detail);
    else if (flat_end(r, r->new_sectors) > INT64_MAX)
        err = err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    else
        r->plan.file_size = flat_end(r, r->new_sectors);
    if (!err)
        err = prepare_text(r, detail);
    if (err) {
        resize_free(&r->plan);
        return err;
    }
    *out = &r->plan;
    return GUEST_OK;
}
