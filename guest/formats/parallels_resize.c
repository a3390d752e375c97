/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size of a Parallels image's disk; stock can do neither.
 *
 * Growing: entries that become visible are zeros first. When the BAT outgrows the room in front of
 * the data, the clusters that are in its way are copied to the end of the file, then their entries
 * follow, then the room is zeroed, and one write to the header switches over. Shrinking is that
 * write alone, and the file's new end. Bitmaps of the extension are for the old size: they go.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/parallels.h"
#include "guest/plan/op_list.h"

#define SECTORS_PER_CYLINDER 512u

struct resize {
    struct parallels *p;
    struct op_list *list;    /* in its order */
    struct op_list *entries; /* of clusters that were moved */
    uint64_t keep;           /* entries that the new disk needs */
    uint64_t data_start;     /* bytes, of the new image */
    uint64_t end;            /* of the file, bytes */
    uint64_t used_end;       /* of clusters that stay in use */
    struct guest_err_detail *detail;
};

static enum guest_err look(struct resize *r, uint64_t index, uint64_t offset)
{
    struct parallels *p = r->p;
    uint8_t bytes[PARALLELS_ENTRY_BYTES];
    uint64_t at = PARALLELS_HEADER_BYTES + index * PARALLELS_ENTRY_BYTES;
    enum guest_err err;

    if (!parallels_cluster_ok(p, offset))
        return err_numbers(r->detail, GUEST_ERR_PLAN_CORRUPT, at, 0, 0, 0);
    if (offset >= r->data_start) {
        r->used_end = max_u64(r->used_end, offset + p->cluster_size);
        return GUEST_OK;
    }
    if (r->end / p->entry_unit > UINT32_MAX)
        return err_plain(r->detail, GUEST_ERR_FILE_TOO_LARGE);
    store_le32(bytes, (uint32_t)(r->end / p->entry_unit));
    err = op_list_copy(r->list, offset, r->end, p->cluster_size, CELL_NOTE_DATA, r->detail);
    r->end += p->cluster_size;
    r->used_end = r->end;
    return err ? err
               : op_list_write(r->entries, at, bytes, sizeof(bytes), CELL_NOTE_L2_TABLE, r->detail);
}

static enum guest_err look_at_bat(struct resize *r)
{
    uint64_t nr = min_u64(r->p->header.nb_bat_entries, r->keep);
    struct span entries = {0};
    enum guest_err err = GUEST_OK;

    for (uint64_t i = 0; !err && i < nr; i += entries.len / PARALLELS_ENTRY_BYTES) {
        err = parallels_bat(r->p, i, &entries, r->detail);
        for (uint64_t k = 0; !err && k < entries.len / PARALLELS_ENTRY_BYTES && i + k < nr; k++) {
            uint64_t entry = load_le32(&entries.data[k * PARALLELS_ENTRY_BYTES]);

            if (entry)
                err = look(r, i + k, entry * r->p->entry_unit);
        }
    }
    return err;
}

static enum guest_err barrier(struct resize *r)
{
    return op_list_simple(r->list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, r->detail);
}

/* What is behind the disk's end in its last cluster will be seen. */
static enum guest_err clear_tail(struct resize *r)
{
    struct parallels *p = r->p;
    uint64_t size = p->header.nb_sectors * PARALLELS_SECTOR, in = size % p->cluster_size, entry;
    struct span entries;
    enum guest_err err;

    if (in == 0)
        return GUEST_OK;
    err = parallels_bat(p, size / p->cluster_size, &entries, r->detail);
    if (err)
        return err;
    entry = load_le32(entries.data);
    if (entry == 0)
        return GUEST_OK;
    return op_list_simple(r->list, CELL_OP_FILL, entry * p->entry_unit + in, p->cluster_size - in,
                          CELL_NOTE_DATA, r->detail);
}

static enum guest_err write_header(struct resize *r, uint64_t sectors)
{
    const struct parallels *p = r->p;
    uint8_t bytes[28];

    store_le32(&bytes[0], (uint32_t)(sectors / SECTORS_PER_CYLINDER));
    store_le32(&bytes[4], p->header.tracks);
    store_le32(&bytes[8], (uint32_t)r->keep);
    store_le64(&bytes[12], sectors);
    store_le32(&bytes[20], 0); /* in_use */
    store_le32(&bytes[24], (uint32_t)(r->data_start / PARALLELS_SECTOR));
    return op_list_write(r->list, PARALLELS_AT_CYLINDERS, bytes, sizeof(bytes), CELL_NOTE_HEADER,
                         r->detail);
}

static enum guest_err grow(struct resize *r)
{
    uint64_t old = r->p->header.nb_bat_entries;
    enum guest_err err = clear_tail(r);

    if (!err)
        err = look_at_bat(r);
    if (!err && !op_list_empty(r->entries)) {
        err = barrier(r);
        if (!err)
            err = op_list_append(r->list, r->entries, r->detail);
    }
    if (!err)
        err = barrier(r);
    if (!err && r->keep > old)
        err = op_list_simple(
            r->list, CELL_OP_FILL, PARALLELS_HEADER_BYTES + old * PARALLELS_ENTRY_BYTES,
            (r->keep - old) * PARALLELS_ENTRY_BYTES, CELL_NOTE_L2_TABLE, r->detail);
    if (!err && r->data_start > r->p->file_bytes)
        err = op_list_simple(r->list, CELL_OP_TRUNCATE, max_u64(r->data_start, r->end), 0,
                             CELL_NOTE_FILE_SIZE, r->detail);
    return err ? err : barrier(r);
}

static enum guest_err validate(const struct parallels *p, const Abi__ResizeRequest *request,
                               struct guest_err_detail *detail)
{
    if (p->header.in_use == PARALLELS_IN_USE || !p->data_off_ok)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    if (request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        return parallels_error(detail, PARALLELS_ERR_RESIZE_PREALLOC, 0);
    if (request->size > INT64_MAX || request->size % PARALLELS_SECTOR != 0 ||
        div_round_up_u64(request->size, p->cluster_size) > PARALLELS_BAT_MAX ||
        (!p->counts_clusters && request->size / PARALLELS_SECTOR > UINT32_MAX))
        return parallels_error(detail, PARALLELS_ERR_RESIZE_SIZE, 0);
    return GUEST_OK;
}

static enum guest_err plan_ops(struct resize *r, uint64_t size)
{
    uint64_t old = r->p->header.nb_sectors * PARALLELS_SECTOR;
    enum guest_err err = parallels_drop_extension(r->p, r->list, r->detail);

    if (!err)
        err = size > old ? grow(r) : look_at_bat(r);
    if (!err)
        err = write_header(r, size / PARALLELS_SECTOR);
    if (!err && size < old && r->used_end < r->p->file_bytes) {
        err = barrier(r);
        if (!err)
            err = op_list_simple(r->list, CELL_OP_TRUNCATE, r->used_end, 0, CELL_NOTE_FILE_SIZE,
                                 r->detail);
    }
    return err;
}

enum guest_err parallels_resize(struct node *node, const Abi__ResizeRequest *request,
                                struct plan **out, struct guest_err_detail *detail)
{
    struct parallels *p = parallels_of(node);
    struct resize r = {.p = p, .detail = detail};
    enum guest_err err = validate(p, request, detail);

    if (err)
        return err;
    r.keep = div_round_up_u64(request->size, p->cluster_size);
    r.data_start = max_u64(p->data_start, parallels_data_min(p, r.keep));
    r.used_end = r.data_start;
    r.end = max_u64(p->file_bytes, r.data_start);
    r.end =
        r.data_start + div_round_up_u64(r.end - r.data_start, p->cluster_size) * p->cluster_size;
    r.list = op_list_new(p->source->blob);
    r.entries = op_list_new(p->source->blob);
    err =
        r.list && r.entries ? plan_ops(&r, request->size) : err_plain(detail, GUEST_ERR_NO_MEMORY);
    op_list_free(r.entries);
    if (err) {
        op_list_free(r.list);
        return err;
    }
    *out = op_list_plan(r.list);
    return GUEST_OK;
}
