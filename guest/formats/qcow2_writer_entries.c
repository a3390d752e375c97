/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of L2 entries: data in room that was leased, and zeros.
 */
#include "guest/formats/qcow2_writer_tables.h"

#include "guest/abi/error_plan.h"
#include "guest/lib/arena.h"

#define ALL_BITS 0xffffffffull /* of the low or high half of an extended entry's bitmap */

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* ---- entries ---- */

/* The clusters that a compressed entry's bytes touch. */
static void compressed_clusters(const struct qcow2_writer *w, uint64_t entry, uint64_t *out_first,
                                uint64_t *out_nr)
{
    uint64_t offset, len;
    qcow2_compressed_range(w->q, entry, &offset, &len);
    *out_first = offset >> wbits(w);
    *out_nr = ((offset + len - 1) >> wbits(w)) - *out_first + 1;
}

/* Gives back what an entry referred to. With a data file the clusters are not counted. */
enum guest_err wentry_release(struct qcow2_writer *w, struct wentry old,
                              struct guest_err_detail *detail)
{
    uint64_t first, nr = 1;
    if (old.entry & QCOW2_OFLAG_COMPRESSED) {
        compressed_clusters(w, old.entry, &first, &nr);
    } else {
        first = (old.entry & QCOW2_OFFSET_MASK) >> wbits(w);
        if (first == 0 || w->q->has_data_file)
            return GUEST_OK;
    }
    return qcow2_alloc_give_back(&w->alloc, first, nr, detail);
}

/* A mask of the subclusters that [from, to) of a cluster touches, in the low half. */
static uint64_t subcluster_mask(const struct qcow2_writer *w, uint64_t from, uint64_t to)
{
    uint64_t unit = w->base.shape.zero_unit;
    uint64_t first = from / unit, end = div_round_up_u64(to, unit);
    return (end >= 64 ? UINT64_MAX : (1ull << end) - 1) & ~((1ull << first) - 1) & ALL_BITS;
}

/* An entry for data of [from, to) of a cluster at host offset `offset`, over what was there. */
struct wentry wentry_of_data(const struct qcow2_writer *w, struct wentry old, uint64_t offset,
                             uint64_t from, uint64_t to)
{
    struct wentry value = {.entry = QCOW2_OFLAG_COPIED | offset};
    if (w->q->extended_l2) {
        uint64_t mask = subcluster_mask(w, from, to);
        bool same = !(old.entry & QCOW2_OFLAG_COMPRESSED) &&
                    ((old.entry & QCOW2_OFFSET_MASK) == offset || old.entry == 0);
        value.bitmap = ((same ? old.bitmap : 0) | mask) & ~(mask << 32);
    }
    return value;
}

static enum guest_err add_zero(struct qcow2_writer *w, uint32_t blob, uint64_t offset, uint64_t len,
                               struct guest_err_detail *detail)
{
    if (!arena_grow((void **)&w->zeros, &w->max_zeros, w->nr_zeros + 1, sizeof(*w->zeros)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->zeros[w->nr_zeros++] = (struct wzero){blob, offset, len};
    return GUEST_OK;
}

/* A host cluster may be written where it is: only this entry refers to it. */
enum guest_err wentry_is_owned(struct qcow2_writer *w, struct wentry old, bool *out,
                               struct guest_err_detail *detail)
{
    uint64_t offset = old.entry & QCOW2_OFFSET_MASK, cluster = offset >> wbits(w), count;
    *out = false;
    if (old.entry & QCOW2_OFLAG_COMPRESSED || offset == 0)
        return GUEST_OK;
    if (w->q->has_data_file) {
        *out = true;
        return GUEST_OK;
    }
    if (offset % w->q->cluster_size != 0)
        return corrupt(detail, offset);
    enum guest_err err = qcow2_alloc_refcount(&w->alloc, cluster, &count, detail);
    if (err)
        return err;
    if (count == 0 || cluster >= w->alloc.end || qcow2_alloc_is_metadata(&w->alloc, cluster))
        return corrupt(detail, offset);
    *out = count == 1 && (old.entry & QCOW2_OFLAG_COPIED);
    return GUEST_OK;
}

/* Version 2 has no zero flag: over a backing file a cluster of zeros is the only way. */
static enum guest_err zero_v2(struct qcow2_writer *w, uint64_t cluster, struct wtable *table,
                              uint32_t index, struct guest_err_detail *detail)
{
    struct wentry old = wtable_entry(w, table, index), value = {0};
    bool owned;
    uint64_t at;
    enum guest_err err = wentry_is_owned(w, old, &owned, detail);
    if (err || (!w->has_backing && old.entry == 0))
        return err;
    if (w->has_backing && owned)
        return add_zero(w, w->blob, old.entry & QCOW2_OFFSET_MASK, w->q->cluster_size, detail);
    err = wentry_release(w, old, detail);
    if (!err && w->has_backing) {
        err = qcow2_alloc_take_all(&w->alloc, 1, &at, detail);
        if (!err)
            err = add_zero(w, w->blob, at << wbits(w), w->q->cluster_size, detail);
        value.entry = QCOW2_OFLAG_COPIED | at << wbits(w);
    }
    return err ? err : wtable_set(w, cluster, table, index, value, detail);
}

/* [from, to) of one cluster reads as zeros from now on. */
static enum guest_err zero_cluster(struct qcow2_writer *w, uint64_t cluster, uint64_t from,
                                   uint64_t to, struct guest_err_detail *detail)
{
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    if (w->q->header.version < 3)
        return zero_v2(w, cluster, table, index, detail);
    struct wentry old = wtable_entry(w, table, index), value = {0};
    if (old.entry == 0 && old.bitmap == 0 && !w->has_backing)
        return GUEST_OK;
    uint64_t mask = subcluster_mask(w, from, to);
    bool all = !w->q->extended_l2 || mask == ALL_BITS;
    if (!all && old.entry & QCOW2_OFLAG_COMPRESSED)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (w->q->has_data_file || !all) {
        value.entry = old.entry; /* the cluster stays where it is */
        value.bitmap = old.bitmap;
    } else {
        err = wentry_release(w, old, detail);
        if (err)
            return err;
    }
    if (w->q->extended_l2)
        value.bitmap = (value.bitmap & ~mask) | mask << 32;
    else
        value.entry |= QCOW2_OFLAG_ZERO;
    return wtable_set(w, cluster, table, index, value, detail);
}

/* ---- runs ---- */

enum guest_err wrun_check(const struct qcow2_writer *w, const struct cell_place *run,
                          struct guest_err_detail *detail)
{
    uint64_t size = w->q->header.size, unit = w->base.shape.zero_unit;
    if (run->length == 0 || !range_inside_u64(run->start, run->length, size) ||
        run->start % unit != 0 || (wrun_end(run) % unit != 0 && wrun_end(run) != size))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (run->kind == CELL_PLACE_COMPRESSED &&
        (run->start % w->q->cluster_size != 0 || run->length > w->q->cluster_size ||
         run->comp_len == 0 || run->comp_len > w->q->cluster_size ||
         (run->length < w->q->cluster_size && wrun_end(run) != size)))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return run->kind < CELL_PLACE_DATA || run->kind > CELL_PLACE_COMPRESSED
               ? err_plain(detail, GUEST_ERR_BAD_REQUEST)
               : GUEST_OK;
}

uint64_t wentry_of_compressed(const struct qcow2_writer *w, uint64_t offset, uint32_t len)
{
    uint64_t sectors = (offset + len - 1) / QCOW2_SECTOR_BYTES - offset / QCOW2_SECTOR_BYTES;
    return QCOW2_OFLAG_COMPRESSED | sectors << w->q->compressed_x | offset;
}

enum guest_err wrun_zero(struct qcow2_writer *w, const struct cell_place *run,
                         struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    if (w->base.shape.zero_by_default)
        return GUEST_OK;
    if (w->q->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW)
        err = add_zero(w, w->base.shape.data_blob, run->start, run->length, detail);
    for (uint64_t at = run->start; at < wrun_end(run) && !err;) {
        uint64_t in = at & (w->q->cluster_size - 1);
        uint64_t len = min_u64(w->q->cluster_size - in, wrun_end(run) - at);
        /* The disk's end stands for the cluster's. */
        uint64_t to = at + len == w->q->header.size ? w->q->cluster_size : in + len;
        err = zero_cluster(w, at >> wbits(w), in, to, detail);
        at += len;
    }
    return err;
}

/* Data that lies in leased room, or in the data file at its own offset. */
static enum guest_err leased_cluster(struct qcow2_writer *w, uint64_t at, uint64_t len,
                                     uint64_t offset, struct guest_err_detail *detail)
{
    uint64_t in = at & (w->q->cluster_size - 1), cluster = at >> wbits(w);
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    struct wentry old = wtable_entry(w, table, index);
    struct wentry value = wentry_of_data(w, old, offset - in, in, in + len);
    if (old.entry == value.entry && old.bitmap == value.bitmap)
        return GUEST_OK;
    if ((old.entry & ~QCOW2_OFLAG_ZERO) != value.entry && !w->q->has_data_file) {
        err = qcow2_alloc_raise(&w->alloc, (offset - in) >> wbits(w), 1, detail);
        if (!err)
            err = wentry_release(w, old, detail);
    }
    return err ? err : wtable_set(w, cluster, table, index, value, detail);
}

static enum guest_err leased_compressed(struct qcow2_writer *w, const struct cell_place *run,
                                        struct guest_err_detail *detail)
{
    uint64_t cluster = run->start >> wbits(w), first, nr;
    struct wentry value = {.entry = wentry_of_compressed(w, run->offset, run->comp_len)};
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    first = run->offset >> wbits(w);
    nr = ((run->offset + run->comp_len - 1) >> wbits(w)) - first + 1;
    err = qcow2_alloc_raise(&w->alloc, first, nr, detail);
    if (!err)
        err = wentry_release(w, wtable_entry(w, table, index), detail);
    return err ? err : wtable_set(w, cluster, table, index, value, detail);
}

/* Where a run was said to be must be where it may be. */
static enum guest_err check_offset(const struct qcow2_writer *w, const struct cell_place *run,
                                   struct guest_err_detail *detail)
{
    uint64_t mask = w->q->cluster_size - 1, len = run->length;
    bool ok = run->offset <= QCOW2_OFFSET_MASK && run->blob == w->base.shape.data_blob;
    if (run->kind == CELL_PLACE_COMPRESSED)
        len = run->comp_len;
    else
        ok = ok && (run->offset & mask) == (run->start & mask);
    if (w->base.shape.linear)
        ok = ok && run->offset == run->start && run->kind != CELL_PLACE_COMPRESSED;
    else
        ok =
            ok && run->offset >= 1ull << wbits(w) && run->offset + len <= w->alloc.next << wbits(w);
    return ok ? GUEST_OK : err_plain(detail, GUEST_ERR_BAD_REQUEST);
}

enum guest_err wrun_leased(struct qcow2_writer *w, const struct cell_place *run,
                           struct guest_err_detail *detail)
{
    enum guest_err err = check_offset(w, run, detail);
    if (!err && run->kind == CELL_PLACE_COMPRESSED)
        return leased_compressed(w, run, detail);
    for (uint64_t at = run->start; at < wrun_end(run) && !err;) {
        uint64_t left = w->q->cluster_size - (at & (w->q->cluster_size - 1));
        uint64_t len = min_u64(left, wrun_end(run) - at);
        err = leased_cluster(w, at, len, run->offset + (at - run->start), detail);
        at += len;
    }
    return err;
}
