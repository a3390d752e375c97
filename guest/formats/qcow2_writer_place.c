/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for runs in an image that has clusters already: each in the cluster it has, if that is its
 * own, or in a new one. Entries change at once; what they were is kept until the data is reported.
 */
#include "guest/formats/qcow2_writer_tables.h"

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"

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
    struct wentry value = wentry_of_data(w, old, offset, from, to);
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
    err = wentry_is_owned(w, old, &owned, detail);
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
    struct wentry value = {.entry = wentry_of_compressed(w, *out_offset, run->comp_len)};
    return wtable_set(w, cluster, table, index, value, detail);
}

static enum guest_err place_run(struct qcow2_writer *w, const struct cell_place *run,
                                struct cell_place *out, uint32_t max, uint32_t *nr,
                                struct guest_err_detail *detail)
{
    enum guest_err err = wrun_check(w, run, detail);
    uint64_t offset = 0, len = 0;
    bool continues = false;
    if (err)
        return err;
    if (run->kind == CELL_PLACE_ZERO)
        err = wrun_zero(w, run, detail);
    else if (run->kind == CELL_PLACE_COMPRESSED)
        err = place_compressed(w, run, &offset, detail);
    if (run->kind != CELL_PLACE_DATA) {
        if (!err && !append_place(out, max, nr, false, run, run->start, run->length, offset,
                                  w->base.shape.data_blob))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        return err;
    }
    for (uint64_t at = run->start; at < wrun_end(run) && !err; at += len) {
        err = place_some(w, at, wrun_end(run), &offset, &len, detail);
        if (!err &&
            !append_place(out, max, nr, continues, run, at, len, offset, w->base.shape.data_blob))
            err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        continues = true;
    }
    return err;
}

enum guest_err wrun_place(struct image_writer *writer, const struct cell_place *in, uint32_t nr,
                          struct cell_place *out, uint32_t max, uint32_t *out_nr,
                          struct guest_err_detail *detail)
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

/* ---- reports of what was placed ---- */

/* The old cluster of what was placed is referred to no more once the new entry is written. */
enum guest_err wpending_settle(struct qcow2_writer *w, const struct wpending *p,
                               struct guest_err_detail *detail)
{
    return p->in_place ? GUEST_OK : wentry_release(w, p->old, detail);
}

/* The data of [first, end) was written: its entries may be. */
enum guest_err wpending_report(struct qcow2_writer *w, uint64_t first, uint64_t end,
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
        enum guest_err err = wpending_settle(w, &p, detail);
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
