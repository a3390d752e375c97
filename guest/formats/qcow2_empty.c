/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_empty.h"

#include <stdlib.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define CLEAR_OFFSET 88u /* header: autoclear_features */

struct empty_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    bool in_place;              /* the tables are where they will be */
    struct empty_layout behind; /* unless in_place: on the way */
    struct empty_layout small;

    unsigned phase;
    uint64_t index;
};

static unsigned ebits(const struct empty_plan *p)
{
    return p->q->header.cluster_bits;
}

/* ---- deciding ---- */

/* Whether nothing but the active tree has clusters, and one block can count the small layout. */
static bool becomes_small(const struct qcow2 *q)
{
    const struct qcow2_header *h = &q->header;
    uint64_t l1_clusters = div_round_up_u64((uint64_t)h->l1_size * 8, q->cluster_size);
    return h->version >= 3 && !h->nb_snapshots && !q->ext.has_bitmaps && !q->ext.bitmaps_stale &&
           !q->has_data_file && h->crypt_method == QCOW2_CRYPT_NONE &&
           3 + l1_clusters <= 1ull << q->refblock_entries_bits;
}

static bool is_in_place(const struct empty_plan *p, const struct qcow2_alloc *alloc)
{
    return p->q->header.l1_table_offset == 3ull << ebits(p) &&
           alloc->table_offset == 1ull << ebits(p) && alloc->table_clusters == 1 &&
           alloc->table[0] == 2ull << ebits(p);
}

/* A cluster that has two uses would be spoilt in one of them. */
static enum guest_err check_metadata(const struct empty_plan *p, const struct qcow2_alloc *alloc,
                                     struct guest_err_detail *detail)
{
    for (uint64_t i = 1; i < alloc->nr_metadata; i++) {
        if (alloc->metadata[i] == alloc->metadata[i - 1])
            return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, alloc->metadata[i] << ebits(p), 0, 0,
                               0);
    }
    return GUEST_OK;
}

static enum guest_err lay_out(struct empty_plan *p, const struct qcow2_alloc *alloc,
                              struct guest_err_detail *detail)
{
    uint64_t end =
        max_u64(alloc->end, div_round_up_u64(p->q->source->size_bytes, p->q->cluster_size));
    enum guest_err err = empty_layout_small(&p->small, p->q);
    p->in_place = is_in_place(p, alloc);
    if (!err && !p->in_place)
        err = empty_layout_behind(&p->behind, p->q, max_u64(end, qcow2_bump_end(&p->small.bump)));
    if (err == GUEST_ERR_FILE_TOO_LARGE)
        return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
    return err ? err_plain(detail, err) : GUEST_OK;
}

static enum guest_err prepare(struct empty_plan *p, struct guest_err_detail *detail)
{
    struct qcow2_alloc alloc;
    enum guest_err err = qcow2_alloc_init(&alloc, p->q, detail);
    if (!err)
        err = check_metadata(p, &alloc, detail);
    if (!err)
        err = lay_out(p, &alloc, detail);
    qcow2_alloc_clear(&alloc);
    return err;
}

/* ---- the plan ---- */

static bool yield_autoclear(struct empty_plan *p, struct plan_sink *sink)
{
    uint64_t known = QCOW2_AUTOCLEAR_KNOWN;
    uint64_t features = p->q->header.autoclear_features;
    if (!(features & ~known))
        return true;
    if (!plan_room(sink, 2, 8))
        return false;
    store_be64(plan_write(sink, p->blob, CLEAR_OFFSET, 8, CELL_NOTE_HEADER), features & known);
    plan_barrier(sink);
    return true;
}

static bool yield_old_l1(struct empty_plan *p, struct plan_sink *sink)
{
    uint64_t bytes = (uint64_t)p->q->header.l1_size * 8;
    if (!bytes)
        return true;
    if (!plan_room(sink, 2, 0))
        return false;
    plan_simple(sink, CELL_OP_ZERO, p->blob, p->q->header.l1_table_offset, bytes,
                CELL_NOTE_L1_TABLE);
    plan_barrier(sink);
    return true;
}

static bool yield_behind(struct empty_plan *p, struct plan_sink *sink)
{
    return p->in_place || empty_layout_yield(&p->behind, p->q, &p->index, sink);
}

/* The table first: a block that it names must count as in use. */
static bool yield_in_place(struct empty_plan *p, struct plan_sink *sink)
{
    uint64_t sector = QCOW2_SECTOR_BYTES, table = p->small.rt_cluster << ebits(p);
    if (!plan_room(sink, 6, p->q->cluster_size + sector))
        return false;
    uint8_t *at = plan_write(sink, p->blob, table, sector, CELL_NOTE_REFCOUNT_TABLE);
    memset(at, 0, sector);
    store_be64(at, p->small.bump.block[0] << ebits(p));
    if (p->q->cluster_size > sector)
        plan_simple(sink, CELL_OP_ZERO, p->blob, table + sector, p->q->cluster_size - sector,
                    CELL_NOTE_REFCOUNT_TABLE);
    plan_barrier(sink);
    qcow2_refblock_yield_runs(sink, p->blob, p->small.bump.block[0] << ebits(p), ebits(p),
                              p->q->header.refcount_order, 0, p->small.bump.used,
                              p->small.bump.nr_used);
    plan_barrier(sink);
    return true;
}

static bool yield_small(struct empty_plan *p, struct plan_sink *sink)
{
    return p->in_place ? yield_in_place(p, sink)
                       : empty_layout_yield(&p->small, p->q, &p->index, sink);
}

static bool yield_size(struct empty_plan *p, struct plan_sink *sink)
{
    if (!plan_room(sink, 1, 0))
        return false;
    plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

static bool (*const phases[])(struct empty_plan *, struct plan_sink *) = {
    yield_autoclear, yield_old_l1, yield_behind, yield_small, yield_size,
};
#define NR_PHASES (sizeof(phases) / sizeof(phases[0]))

static enum guest_err empty_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                 struct guest_err_detail *detail)
{
    struct empty_plan *p = (struct empty_plan *)plan;
    (void)detail;
    for (; p->phase < NR_PHASES; p->phase++, p->index = 0) {
        if (!phases[p->phase](p, sink))
            return GUEST_OK;
    }
    *out_done = true;
    return GUEST_OK;
}

static void empty_free(struct plan *plan)
{
    struct empty_plan *p = (struct empty_plan *)plan;
    empty_layout_clear(&p->behind);
    empty_layout_clear(&p->small);
    free(p);
}

static const struct plan_verbs verbs = {empty_next, empty_free};

static enum guest_err plan_small(struct qcow2 *q, struct plan **out,
                                 struct guest_err_detail *detail)
{
    struct empty_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &verbs;
    p->q = q;
    p->blob = q->source->blob;
    enum guest_err err = prepare(p, detail);
    if (err) {
        empty_free(&p->base);
        return err;
    }
    p->base.file_size = qcow2_bump_end(&p->small.bump) << ebits(p);
    *out = &p->base;
    return GUEST_OK;
}

enum guest_err qcow2_empty_plan(struct node *node, struct plan **out,
                                struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    if (q->header.incompatible_features & QCOW2_INCOMPAT_DIRTY)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    return becomes_small(q) ? plan_small(q, out, detail)
                            : qcow2_snapshot_plan_empty(node, out, detail);
}
