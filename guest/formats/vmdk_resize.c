/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vmdk_resize.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

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

/* Whether the descriptor is inside the extent. */
static bool is_embedded(const struct vmdk_resize *r)
{
    return !r->extent->flat && r->extent->source == r->node->source;
}

/* How a descriptor file is replaced: in place if that is one sector. */
static enum guest_err choose_text_file(struct vmdk_resize *r, const Abi__ResizeRequest *request,
                                       struct guest_err_detail *detail)
{
    if (!r->text || (max_u64(r->text_len, r->text_old_len) <= VMDK_SECTOR_BYTES))
        return GUEST_OK;
    if (!request->text_blob)
        return refuse(detail);
    r->text_blob = request->text_blob;
    r->text_old_len = 0;
    r->plan.replaces_text = true;
    r->plan.unfinished = r->shrinks;
    return GUEST_OK;
}

/* The descriptor's text with the new size; an embedded one that cannot be changed stays. */
static enum guest_err prepare_text(struct vmdk_resize *r, const Abi__ResizeRequest *request,
                                   const struct vmdk_text_change *change,
                                   struct guest_err_detail *detail)
{
    struct span text;
    bool made;
    enum guest_err err;

    r->text_at = is_embedded(r) ? VMDK_DESCRIPTOR_OFFSET : 0;
    r->text_room = is_embedded(r) ? VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR_BYTES : 0;
    err = vmdk_read_text(r->node->source, r->text_at,
                         is_embedded(r) ? r->text_room : VMDK_DESCRIPTOR_MAX, &text, detail);
    if (err)
        return err;
    made = vmdk_resize_text(text, change, &r->text, &r->text_len);
    r->text_old_len = text.len;
    if (made && ((r->text_room && r->text_len > r->text_room) ||
                 span_equal(text, span_of(r->text, r->text_len)))) {
        free(r->text);
        r->text = NULL;
    }
    free((void *)text.data);
    if (!is_embedded(r) && !made)
        return refuse(detail);
    r->text_blob = r->node->source->blob;
    return is_embedded(r) ? GUEST_OK : choose_text_file(r, request, detail);
}

static enum guest_err prepare_sparse(struct vmdk_resize *r, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = r->extent;
    enum guest_err err = source_read(e->source, 0, sizeof(r->header), r->header, detail);

    if (!err && load_le32(r->header) != VMDK4_MAGIC)
        err = refuse(detail);
    if (!err && is_embedded(r) &&
        (load_le64(r->header + 28) != 1 || load_le64(r->header + 36) < VMDK_DESCRIPTOR_SECTORS))
        err = refuse(detail);
    r->plan.file_size = e->source->size_bytes;
    if (!err && vmdk_resize_grows(r))
        err = place_directories(r, detail);
    if (!err && vmdk_resize_grows(r))
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

static void resize_free(struct plan *plan)
{
    free(((struct vmdk_resize *)plan)->text);
    free(plan);
}

static const struct plan_verbs resize_verbs = {.next = vmdk_resize_next, .free = resize_free};

/* Whether another extent may be in the same file, by name. */
static bool is_shared(const struct node *node, unsigned edge)
{
    for (unsigned i = 0; i < node->nr_refs; i++) {
        const Abi__FileRef *ref = node->refs[i];

        for (unsigned k = 0; k < node->nr_refs && ref->role == ABI__ROLE__ROLE_EXTENT; k++) {
            const Abi__FileRef *other = node->refs[k];

            if (ref->index == edge && other->role == ref->role && other->index != edge &&
                other->path.len == ref->path.len &&
                memcmp(other->path.data, ref->path.data, ref->path.len) == 0)
                return true;
        }
    }
    return false;
}

/* Where the disk grows to: the last extent as far as such extents go, then new ones. */
static enum guest_err find_growth(struct vmdk_resize *r, uint64_t more,
                                  const Abi__ResizeRequest *request,
                                  struct guest_err_detail *detail)
{
    static const char split[] = "twoGbMaxExtent";
    const struct vmdk *v = vmdk_of(r->node);
    uint64_t room = more;

    if (memcmp(v->create_type, split, sizeof(split) - 1) == 0)
        room = r->old_sectors < VMDK_SPLIT_SECTORS ? VMDK_SPLIT_SECTORS - r->old_sectors : 0;
    r->new_sectors = r->old_sectors + min_u64(more, room);
    r->extra_sectors = more - min_u64(more, room);
    if (div_round_up_u64(r->extra_sectors, VMDK_SPLIT_SECTORS) > request->n_file_name)
        return vmdk_error(detail, VMDK_ERR_EXTENTS_MANY, VMDK_EXTENTS_MAX);
    r->nr_new = (unsigned)div_round_up_u64(r->extra_sectors, VMDK_SPLIT_SECTORS);
    r->first_file_blob = request->first_file_blob;
    r->plan.new_files = r->nr_new;
    return GUEST_OK;
}

/* Finds the edge, and what becomes of it. */
static enum guest_err find_edge(struct vmdk_resize *r, uint64_t sectors,
                                const Abi__ResizeRequest *request, struct guest_err_detail *detail)
{
    const struct vmdk *v = vmdk_of(r->node);
    const struct vmdk_extent *last = v->nr_extents ? &v->extents[v->nr_extents - 1] : NULL;
    uint64_t old = last ? last->start + last->sectors : 0;

    if (!last)
        return refuse(detail);
    r->shrinks = sectors < old;
    r->extent = r->shrinks ? vmdk_extent_at(v, sectors ? sectors - 1 : 0) : last;
    r->old_sectors = r->extent->sectors;
    r->new_sectors = r->shrinks ? sectors - r->extent->start : r->old_sectors;
    if (r->extent->compressed || r->extent->sesparse || r->extent->type == VMDK_TYPE_VMFSSPARSE ||
        is_shared(r->node, (unsigned)(r->extent - v->extents)))
        return refuse(detail);
    return r->shrinks ? GUEST_OK : find_growth(r, sectors - old, request, detail);
}

static enum guest_err prepare(struct vmdk_resize *r, const Abi__ResizeRequest *request,
                              struct guest_err_detail *detail)
{
    const struct vmdk *v = vmdk_of(r->node);
    uint64_t sectors = div_round_up_u64(request->size, VMDK_SECTOR_BYTES);
    enum guest_err err = find_edge(r, sectors, request, detail);
    struct vmdk_text_change change;

    if (err)
        return err;
    change = (struct vmdk_text_change){
        .disk_sectors = sectors,
        .nr_extents = v->nr_extents,
        .edge = (unsigned)(r->extent - v->extents),
        .edge_sectors = r->new_sectors,
        .nr_new = r->nr_new,
        .new_sectors = r->extra_sectors,
        .flat = r->extent->flat,
        .names = request->file_name,
    };
    if (!r->extent->flat)
        err = prepare_sparse(r, detail);
    else if (r->new_sectors > (INT64_MAX - r->extent->flat_offset) / VMDK_SECTOR_BYTES)
        err = err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    return err ? err : prepare_text(r, request, &change, detail);
}

enum guest_err vmdk_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct vmdk_resize *r;
    enum guest_err err;

    if (request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        return vmdk_error(detail, VMDK_ERR_RESIZE_PREALLOC, 0);
    if (request->size > INT64_MAX - VMDK_SECTOR_BYTES)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    r = arena_array(1, sizeof(*r));
    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->plan.verbs = &resize_verbs;
    r->node = node;
    err = prepare(r, request, detail);
    if (err) {
        resize_free(&r->plan);
        return err;
    }
    r->step = r->shrinks ? VMDK_RESIZE_TEXT : VMDK_RESIZE_ROOM;
    *out = &r->plan;
    return GUEST_OK;
}
