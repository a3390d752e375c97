/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_writer.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_writer_tables.h"
#include "guest/lib/arena.h"

#define TABLE_BUDGET (64ull << 20)
#define BLOCK_BUDGET (32ull << 20)
#define LEASE_AHEAD  (256ull << 20) /* at most as much gets its refcount blocks at once */
#define LEASE_MAX    (1ull << 30)
#define ALL_BITS     0xffffffffull /* of the low or high half of an extended entry's bitmap */

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* ---- open ---- */

/* Whether a bitmap would have to record what is written. */
static bool records_changes(const struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->nr_bitmaps; i++) {
        if (q->bitmaps[i].flags & QCOW2_BITMAP_AUTO && !(q->bitmaps[i].flags & QCOW2_BITMAP_IN_USE))
            return true;
    }
    return false;
}

static enum guest_err check_image(const struct node *node, const struct qcow2 *q,
                                  const struct image_writer_options *options,
                                  struct guest_err_detail *detail)
{
    if (q->header.incompatible_features & QCOW2_INCOMPAT_DIRTY)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    if (q->header.crypt_method != QCOW2_CRYPT_NONE && !node->cipher)
        return err_plain(detail, GUEST_ERR_PLAN_ENCRYPTED);
    if (!options->bitmaps_told && records_changes(q))
        return err_plain(detail, GUEST_ERR_PLAN_BITMAPS);
    if (q->has_data_file && !node->data_file)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return GUEST_OK;
}

static bool has_tables(const struct qcow2 *q)
{
    for (uint64_t i = 0; i < q->l1_size; i++) {
        if (q->l1[i])
            return true;
    }
    return false;
}

/* A cluster that stores compressed data may be shared by as many as its refcount can count. */
static uint32_t max_sharers(const struct qcow2 *q)
{
    uint64_t max = qcow2_refcount_max(q->header.refcount_order);
    return max > UINT32_MAX ? 0 : (uint32_t)max;
}

static void find_shape(struct qcow2_writer *w)
{
    struct qcow2 *q = w->q;
    w->has_backing = q->header.backing_file_offset != 0 || w->keep_zeros;
    w->base.shape = (struct image_writer_shape){
        .unit = q->cluster_size,
        .lease = w->fresh && !q->has_data_file && !has_tables(q),
        .data_blob = q->has_data_file ? w->node->data_file->source->blob : w->blob,
        .max_sharers = max_sharers(q),
        /* Room that was taken in advance holds nothing that decrypts to zeros. */
        .zero_by_default = w->fresh && !w->has_backing && !(w->node->cipher && has_tables(q)),
        .linear = q->has_data_file,
        .zero_unit = q->cluster_size / q->subclusters,
    };
}

static enum guest_err prepare(struct qcow2_writer *w, const struct image_writer_options *options,
                              struct guest_err_detail *detail)
{
    w->q = qcow2_of(w->node);
    w->blob = w->q->source->blob;
    w->fresh = options->fresh;
    w->keep_zeros = options->keep_zeros;
    enum guest_err err = check_image(w->node, w->q, options, detail);
    if (!err)
        err = qcow2_alloc_init(&w->alloc, w->q, detail);
    if (err)
        return err;
    if (w->fresh)
        w->alloc.next = w->alloc.end;
    w->tables = arena_array(w->q->l1_size, sizeof(*w->tables));
    if (!w->tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    find_shape(w);
    w->alloc.only_forward = w->base.shape.lease;
    w->kept_autoclear =
        QCOW2_AUTOCLEAR_DATA_FILE_RAW | (w->q->ext.has_bitmaps ? QCOW2_AUTOCLEAR_BITMAPS : 0);
    w->fix_autoclear = (w->q->header.autoclear_features & ~w->kept_autoclear) != 0;
    w->table_budget = min_u64(TABLE_BUDGET, arena_left_bytes() / 3);
    w->block_budget = min_u64(BLOCK_BUDGET, arena_left_bytes() / 6);
    return GUEST_OK;
}

static void writer_free(struct image_writer *writer)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    for (uint64_t i = 0; w->tables && i < w->q->l1_size; i++) {
        if (w->tables[i])
            free(w->tables[i]->bytes);
        free(w->tables[i]);
    }
    free(w->tables);
    free(w->pending);
    free(w->zeros);
    free(w->queue);
    qcow2_alloc_clear(&w->alloc);
    free(w);
}

static enum guest_err writer_lease(struct image_writer *writer, uint64_t bytes,
                                   uint64_t *out_offset, uint64_t *out_bytes,
                                   struct guest_err_detail *detail)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    uint64_t rounded, at;
    if (!w->base.shape.lease || !align_up_u64(max_u64(bytes, 1), w->base.shape.unit, &rounded) ||
        rounded > LEASE_MAX)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    w->alloc.next = max_u64(w->alloc.next, w->alloc.end);
    /* As much again as there is: few interruptions of the data, and few blocks that count nothing.
     */
    uint64_t ahead = min_u64(LEASE_AHEAD >> wbits(w), w->alloc.next);
    enum guest_err err = qcow2_alloc_reserve(&w->alloc, rounded >> wbits(w), ahead, &at, detail);
    if (err)
        return err;
    *out_offset = at << wbits(w);
    *out_bytes = rounded;
    return GUEST_OK;
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
static enum guest_err release(struct qcow2_writer *w, struct wentry old,
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
static struct wentry data_entry(const struct qcow2_writer *w, struct wentry old, uint64_t offset,
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
static enum guest_err check_owned(struct qcow2_writer *w, struct wentry old, bool *out,
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
    enum guest_err err = check_owned(w, old, &owned, detail);
    if (err || (!w->has_backing && old.entry == 0))
        return err;
    if (w->has_backing && owned)
        return add_zero(w, w->blob, old.entry & QCOW2_OFFSET_MASK, w->q->cluster_size, detail);
    err = release(w, old, detail);
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
        err = release(w, old, detail);
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

static uint64_t run_end(const struct cell_place *run)
{
    return run->start + run->length;
}

static enum guest_err check_run(const struct qcow2_writer *w, const struct cell_place *run,
                                struct guest_err_detail *detail)
{
    uint64_t size = w->q->header.size, unit = w->base.shape.zero_unit;
    if (run->length == 0 || !range_inside_u64(run->start, run->length, size) ||
        run->start % unit != 0 || (run_end(run) % unit != 0 && run_end(run) != size))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (run->kind == CELL_PLACE_COMPRESSED &&
        (run->start % w->q->cluster_size != 0 || run->length > w->q->cluster_size ||
         run->comp_len == 0 || run->comp_len > w->q->cluster_size ||
         (run->length < w->q->cluster_size && run_end(run) != size)))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return run->kind < CELL_PLACE_DATA || run->kind > CELL_PLACE_COMPRESSED
               ? err_plain(detail, GUEST_ERR_BAD_REQUEST)
               : GUEST_OK;
}

static uint64_t compressed_entry(const struct qcow2_writer *w, uint64_t offset, uint32_t len)
{
    uint64_t sectors = (offset + len - 1) / QCOW2_SECTOR_BYTES - offset / QCOW2_SECTOR_BYTES;
    return QCOW2_OFLAG_COMPRESSED | sectors << w->q->compressed_x | offset;
}

static enum guest_err zero_run(struct qcow2_writer *w, const struct cell_place *run,
                               struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    if (w->base.shape.zero_by_default)
        return GUEST_OK;
    if (w->q->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW)
        err = add_zero(w, w->base.shape.data_blob, run->start, run->length, detail);
    for (uint64_t at = run->start; at < run_end(run) && !err;) {
        uint64_t in = at & (w->q->cluster_size - 1);
        uint64_t len = min_u64(w->q->cluster_size - in, run_end(run) - at);
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
    struct wentry value = data_entry(w, old, offset - in, in, in + len);
    if (old.entry == value.entry && old.bitmap == value.bitmap)
        return GUEST_OK;
    if ((old.entry & ~QCOW2_OFLAG_ZERO) != value.entry && !w->q->has_data_file) {
        err = qcow2_alloc_raise(&w->alloc, (offset - in) >> wbits(w), 1, detail);
        if (!err)
            err = release(w, old, detail);
    }
    return err ? err : wtable_set(w, cluster, table, index, value, detail);
}

static enum guest_err leased_compressed(struct qcow2_writer *w, const struct cell_place *run,
                                        struct guest_err_detail *detail)
{
    uint64_t cluster = run->start >> wbits(w), first, nr;
    struct wentry value = {.entry = compressed_entry(w, run->offset, run->comp_len)};
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    first = run->offset >> wbits(w);
    nr = ((run->offset + run->comp_len - 1) >> wbits(w)) - first + 1;
    err = qcow2_alloc_raise(&w->alloc, first, nr, detail);
    if (!err)
        err = release(w, wtable_entry(w, table, index), detail);
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

static enum guest_err leased_run(struct qcow2_writer *w, const struct cell_place *run,
                                 struct guest_err_detail *detail)
{
    enum guest_err err = check_offset(w, run, detail);
    if (!err && run->kind == CELL_PLACE_COMPRESSED)
        return leased_compressed(w, run, detail);
    for (uint64_t at = run->start; at < run_end(run) && !err;) {
        uint64_t left = w->q->cluster_size - (at & (w->q->cluster_size - 1));
        uint64_t len = min_u64(left, run_end(run) - at);
        err = leased_cluster(w, at, len, run->offset + (at - run->start), detail);
        at += len;
    }
    return err;
}

/* ---- placing ---- */

static enum guest_err add_pending(struct qcow2_writer *w, uint64_t cluster, struct wentry old,
                                  bool in_place, struct guest_err_detail *detail)
{
    struct wpending *last = w->nr_pending ? &w->pending[w->nr_pending - 1] : NULL;
    if (last && last->cluster + last->nr == cluster && old.entry == 0 && old.bitmap == 0 &&
        last->old.entry == 0 && last->old.bitmap == 0) {
        last->nr++;
        return GUEST_OK;
    }
    if (!arena_grow((void **)&w->pending, &w->max_pending, w->nr_pending + 1, sizeof(*w->pending)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->pending[w->nr_pending++] =
        (struct wpending){.cluster = cluster, .nr = 1, .old = old, .in_place = in_place};
    return GUEST_OK;
}

/* Whether the virtual cluster has a place whose data was not reported yet. */
static bool is_pending(const struct qcow2_writer *w, uint64_t cluster)
{
    for (uint64_t i = 0; i < w->nr_pending; i++) {
        if (cluster >= w->pending[i].cluster && cluster - w->pending[i].cluster < w->pending[i].nr)
            return true;
    }
    return false;
}

/* One placed piece, or a longer last one when it continues that. */
static bool append_place(struct cell_place *out, uint32_t max, uint32_t *nr, bool continues,
                         const struct cell_place *run, uint64_t at, uint64_t len, uint64_t offset,
                         uint32_t blob)
{
    struct cell_place *last = *nr ? &out[*nr - 1] : NULL;
    if (continues && last && last->start + last->length == at &&
        last->offset + last->length == offset) {
        last->length += len;
        return true;
    }
    if (*nr == max)
        return false;
    out[(*nr)++] = (struct cell_place){.start = at,
                                       .length = len,
                                       .offset = offset,
                                       .blob = blob,
                                       .comp_len = run->comp_len,
                                       .kind = run->kind};
    return true;
}

/* How many clusters from `cluster` on, at most `most`, have nothing at all: they can be adjacent.
 */
static enum guest_err count_empty(struct qcow2_writer *w, uint64_t cluster, uint64_t most,
                                  uint64_t *out, struct guest_err_detail *detail)
{
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    uint64_t nr = 0;
    most = min_u64(most, w->q->l2_entries - index);
    while (nr < most && wtable_entry(w, table, index + (uint32_t)nr).entry == 0)
        nr++;
    *out = max_u64(nr, 1);
    return GUEST_OK;
}

/* Sets the entry of a placed cluster, remembering what it was until its data is reported. */
static enum guest_err set_placed(struct qcow2_writer *w, uint64_t cluster, uint64_t offset,
                                 uint64_t from, uint64_t to, struct guest_err_detail *detail)
{
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    struct wentry old = wtable_entry(w, table, index);
    struct wentry value = data_entry(w, old, offset, from, to);
    bool in_place =
        !(old.entry & QCOW2_OFLAG_COMPRESSED) && (old.entry & QCOW2_OFFSET_MASK) == offset;
    if (old.entry == value.entry && old.bitmap == value.bitmap)
        return GUEST_OK;
    if (is_pending(w, cluster))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    err = add_pending(w, cluster, old, in_place, detail);
    return err ? err : wtable_set(w, cluster, table, index, value, detail);
}

/*
 * Places data from `at` on: as many clusters as get adjacent room.
 *
 * in:      most: clusters; the last one may be cut short by `end`
 */
static enum guest_err place_some(struct qcow2_writer *w, uint64_t at, uint64_t end,
                                 uint64_t *out_offset, uint64_t *out_len,
                                 struct guest_err_detail *detail)
{
    uint64_t size = w->q->cluster_size, cluster = at >> wbits(w), in = at & (size - 1);
    uint64_t most = ((end - 1) >> wbits(w)) - cluster + 1, host, nr = 1;
    struct wtable *table;
    uint32_t index;
    bool owned;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (err)
        return err;
    struct wentry old = wtable_entry(w, table, index);
    err = check_owned(w, old, &owned, detail);
    if (err)
        return err;
    if (owned) {
        host = (old.entry & QCOW2_OFFSET_MASK) >> wbits(w);
    } else {
        bool whole = in == 0 && (end - at >= size || end == w->q->header.size);
        if (!whole && old.entry != 0)
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        err = count_empty(w, cluster, most, &nr, detail);
        if (!err)
            err = qcow2_alloc_take(&w->alloc, nr, &host, &nr, detail);
        if (err)
            return err;
    }
    for (uint64_t i = 0; i < nr && !err; i++) {
        uint64_t from = i == 0 ? in : 0;
        uint64_t to = min_u64(size, end - ((cluster + i) << wbits(w)));
        err = set_placed(w, cluster + i, (host + i) << wbits(w), from, to, detail);
    }
    *out_offset = (host << wbits(w)) + in;
    *out_len = min_u64((nr << wbits(w)) - in, end - at);
    return err;
}

/* Room for compressed bytes: behind the last ones, or in a new cluster. */
static enum guest_err take_bytes(struct qcow2_writer *w, uint32_t len, uint64_t *out_offset,
                                 struct guest_err_detail *detail)
{
    uint64_t size = w->q->cluster_size, at, max = qcow2_refcount_max(w->alloc.order);
    uint64_t left = w->comp_pos ? size - (w->comp_pos & (size - 1)) : 0;
    bool shares = left && left < size && w->comp_sharers < max;
    enum guest_err err;

    if (shares && len <= left) {
        *out_offset = w->comp_pos;
        err = qcow2_alloc_raise(&w->alloc, w->comp_pos >> wbits(w), 1, detail);
        w->comp_sharers++;
    } else {
        err = qcow2_alloc_take_all(&w->alloc, 1, &at, detail);
        if (err)
            return err;
        bool adjacent = shares && at == (w->comp_pos >> wbits(w)) + 1;
        *out_offset = adjacent ? w->comp_pos : at << wbits(w);
        if (adjacent)
            err = qcow2_alloc_raise(&w->alloc, w->comp_pos >> wbits(w), 1, detail);
        w->comp_sharers = 1;
    }
    w->comp_pos = *out_offset + len;
    return err;
}

static enum guest_err place_compressed(struct qcow2_writer *w, const struct cell_place *run,
                                       uint64_t *out_offset, struct guest_err_detail *detail)
{
    uint64_t cluster = run->start >> wbits(w);
    struct wtable *table;
    uint32_t index;
    enum guest_err err = wtable_get(w, cluster, &table, &index, detail);
    if (!err && is_pending(w, cluster))
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!err)
        err = take_bytes(w, run->comp_len, out_offset, detail);
    if (!err)
        err = add_pending(w, cluster, wtable_entry(w, table, index), false, detail);
    if (err)
        return err;
    struct wentry value = {.entry = compressed_entry(w, *out_offset, run->comp_len)};
    return wtable_set(w, cluster, table, index, value, detail);
}

static enum guest_err place_run(struct qcow2_writer *w, const struct cell_place *run,
                                struct cell_place *out, uint32_t max, uint32_t *nr,
                                struct guest_err_detail *detail)
{
    enum guest_err err = check_run(w, run, detail);
    uint64_t offset = 0, len = 0;
    bool continues = false;
    if (err)
        return err;
    if (run->kind == CELL_PLACE_ZERO)
        err = zero_run(w, run, detail);
    else if (run->kind == CELL_PLACE_COMPRESSED)
        err = place_compressed(w, run, &offset, detail);
    if (run->kind != CELL_PLACE_DATA) {
        if (!err && !append_place(out, max, nr, false, run, run->start, run->length, offset,
                                  w->base.shape.data_blob))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        return err;
    }
    for (uint64_t at = run->start; at < run_end(run) && !err; at += len) {
        err = place_some(w, at, run_end(run), &offset, &len, detail);
        if (!err &&
            !append_place(out, max, nr, continues, run, at, len, offset, w->base.shape.data_blob))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        continues = true;
    }
    return err;
}

static enum guest_err writer_place(struct image_writer *writer, const struct cell_place *in,
                                   uint32_t nr, struct cell_place *out, uint32_t max,
                                   uint32_t *out_nr, struct guest_err_detail *detail)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    enum guest_err err = GUEST_OK;
    *out_nr = 0;
    if (w->base.shape.lease || w->base.shape.linear)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    for (uint32_t i = 0; i < nr && !err; i++)
        err = place_run(w, &in[i], out, max, out_nr, detail);
    return err;
}

/* ---- reports ---- */

/* The old cluster of what was placed is referred to no more once the new entry is written. */
static enum guest_err settle_pending(struct qcow2_writer *w, const struct wpending *p,
                                     struct guest_err_detail *detail)
{
    return p->in_place ? GUEST_OK : release(w, p->old, detail);
}

/* The data of [first, end) was written: its entries may be. */
static enum guest_err report_placed(struct qcow2_writer *w, uint64_t first, uint64_t end,
                                    struct guest_err_detail *detail)
{
    uint64_t nr = w->nr_pending;
    for (uint64_t i = 0; i < nr;) {
        struct wpending p = w->pending[i];
        uint64_t from = max_u64(first, p.cluster), to = min_u64(end, p.cluster + p.nr);
        if (from >= to) {
            i++;
            continue;
        }
        enum guest_err err = settle_pending(w, &p, detail);
        if (err)
            return err;
        /* What is left of the run, before and behind. Only runs of empty entries have more than
         * one cluster. */
        w->pending[i] = w->pending[--nr];
        w->nr_pending = nr;
        struct wpending parts[2] = {{p.cluster, from - p.cluster, p.old, p.in_place},
                                    {to, p.cluster + p.nr - to, p.old, p.in_place}};
        for (unsigned k = 0; k < 2; k++) {
            if (parts[k].nr == 0)
                continue;
            if (!arena_grow((void **)&w->pending, &w->max_pending, w->nr_pending + 1,
                            sizeof(*w->pending)))
                return err_plain(detail, GUEST_ERR_NO_MEMORY);
            w->pending[w->nr_pending++] = parts[k];
        }
        if (w->nr_pending > nr) {
            /* Parts do not touch [first, end): leave them behind the ones still to look at. */
            nr = w->nr_pending;
        }
    }
    return GUEST_OK;
}

static enum guest_err report(struct qcow2_writer *w, const struct cell_place *run,
                             struct guest_err_detail *detail)
{
    bool placed = !w->base.shape.lease && !w->base.shape.linear;
    if (placed && run->kind == CELL_PLACE_ZERO)
        return GUEST_OK; /* done when it was placed */
    if (placed)
        return report_placed(w, run->start >> wbits(w), ((run_end(run) - 1) >> wbits(w)) + 1,
                             detail);
    return run->kind == CELL_PLACE_ZERO ? zero_run(w, run, detail) : leased_run(w, run, detail);
}

static bool over_budget(const struct qcow2_writer *w)
{
    return wtable_bytes(w) > w->table_budget ||
           qcow2_alloc_loaded_bytes(&w->alloc) > w->block_budget;
}

enum guest_err wqueue_run(struct qcow2_writer *w, struct guest_err_detail *detail)
{
    /* One at least, so that a budget that is always exceeded does not stop everything. */
    while (w->at_queue < w->nr_queue) {
        enum guest_err err = report(w, &w->queue[w->at_queue], detail);
        if (err)
            return err;
        w->at_queue++;
        if (over_budget(w))
            break;
    }
    if (w->at_queue == w->nr_queue) {
        w->at_queue = w->nr_queue = 0;
        for (uint64_t i = 0; w->finishing && i < w->nr_pending; i++) {
            enum guest_err err = settle_pending(w, &w->pending[i], detail);
            if (err)
                return err;
        }
        if (w->finishing)
            w->nr_pending = 0;
    }
    return GUEST_OK;
}

static enum guest_err writer_commit(struct image_writer *writer, const struct cell_place *runs,
                                    uint32_t nr, struct guest_err_detail *detail)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    for (uint32_t i = 0; i < nr; i++) {
        enum guest_err err = check_run(w, &runs[i], detail);
        if (err)
            return err;
    }
    if (!arena_grow((void **)&w->queue, &w->max_queue, w->nr_queue + nr, sizeof(*w->queue)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(&w->queue[w->nr_queue], runs, nr * sizeof(*runs));
    w->nr_queue += nr;
    return wqueue_run(w, detail);
}

static bool writer_wants_plan(const struct image_writer *writer)
{
    const struct qcow2_writer *w = (const struct qcow2_writer *)writer;
    return over_budget(w) || w->at_queue < w->nr_queue;
}

static struct plan *writer_plan(struct image_writer *writer)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    w->base.plan.file_size = w->alloc.end << wbits(w);
    return &w->base.plan;
}

static struct plan *writer_finish(struct image_writer *writer, uint64_t unused_offset)
{
    struct qcow2_writer *w = qcow2_writer_of(writer);
    uint64_t unused = unused_offset >> wbits(w);
    w->finishing = true;
    if (w->base.shape.lease)
        w->alloc.next = unused && unused < w->alloc.next ? unused : w->alloc.end;
    return writer_plan(writer);
}

/* ---- the writer ---- */

static const struct image_writer_verbs writer_verbs = {
    .lease = writer_lease,
    .place = writer_place,
    .commit = writer_commit,
    .wants_plan = writer_wants_plan,
    .plan = writer_plan,
    .finish = writer_finish,
    .free = writer_free,
};

enum guest_err qcow2_writer_open(struct node *node, const struct image_writer_options *options,
                                 struct image_writer **out, struct guest_err_detail *detail)
{
    struct qcow2_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    w->base.plan.verbs = &wplan_verbs;
    w->base.verbs = &writer_verbs;
    w->node = node;
    enum guest_err err = prepare(w, options, detail);
    if (err) {
        writer_free(&w->base);
        return err;
    }
    *out = &w->base;
    return GUEST_OK;
}
