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

/* ---- reports ---- */

static enum guest_err report(struct qcow2_writer *w, const struct cell_place *run,
                             struct guest_err_detail *detail)
{
    bool placed = !w->base.shape.lease && !w->base.shape.linear;
    if (placed && run->kind == CELL_PLACE_ZERO)
        return GUEST_OK; /* done when it was placed */
    if (placed)
        return wpending_report(w, run->start >> wbits(w), ((wrun_end(run) - 1) >> wbits(w)) + 1,
                               detail);
    return run->kind == CELL_PLACE_ZERO ? wrun_zero(w, run, detail) : wrun_leased(w, run, detail);
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
            enum guest_err err = wpending_settle(w, &w->pending[i], detail);
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
        enum guest_err err = wrun_check(w, &runs[i], detail);
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
    .place = wrun_place,
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
