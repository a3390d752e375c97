/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version 2 from now on. Entries that read as zeros, which version 2 does not have, are replaced in
 * the tables where they stand, those of snapshots included:
 *
 *   - one that has a cluster which nobody else refers to keeps it, filled with zeros;
 *   - any other goes, if no backing file would show in its place;
 *   - otherwise it gets a new cluster of zeros.
 *
 *   1 refcounts of new clusters; then a barrier
 *   2 zeros into those clusters; a barrier
 *   3 L2 tables, each where it is: an old and a new entry read the same; a barrier
 *   4 the header
 *   5 refcounts of what nobody refers to any more
 *
 * A table with r references counts r times in the refcounts of its data.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_amend.h"
#include "guest/lib/arena.h"

#define VERSION_AT           4u
#define RT_OFFSET_AT         48u
#define BLOCKS_AT_HAND_BYTES (16ull << 20)

/* One L2 table, whoever refers to it. */
struct zero_table {
    uint64_t offset;
    uint64_t references;
    uint64_t first, nr; /* new clusters for its entries, in their order */
    bool changes;
};

enum phase {
    PHASE_COUNT,
    PHASE_ZERO,
    PHASE_TABLES,
    PHASE_HEADER,
    PHASE_SETTLE,
    PHASE_FREE,
    PHASE_DONE
};

struct downgrade_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    bool backed;
    struct qcow2_alloc alloc;
    struct zero_table *tables; /* by offset */
    uint64_t nr_tables, max_tables;
    uint8_t *bytes; /* of one table */
    struct header_edit edit;

    enum phase phase;
    uint64_t index, entry; /* where it stands */
    uint64_t taken;        /* of the new clusters of the table at hand */
};

static unsigned cluster_bits(const struct downgrade_plan *p)
{
    return p->q->header.cluster_bits;
}

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* ---- may it be done ---- */

static enum guest_err check(const struct qcow2 *q, struct guest_err_detail *detail)
{
    uint64_t features = q->header.incompatible_features & ~QCOW2_INCOMPAT_COMPRESSION;
    if (q->header.refcount_order != 4)
        return err_plain(detail, GUEST_ERR_PLAN_AMEND_WIDTH);
    if (q->has_data_file)
        return err_plain(detail, GUEST_ERR_PLAN_AMEND_DATA_FILE);
    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        if (q->snapshots[i].disk_size != qcow2_virtual_size(q) ||
            q->snapshots[i].vm_state_size > UINT32_MAX)
            return err_plain(detail, GUEST_ERR_PLAN_AMEND_SNAPSHOTS);
    }
    if (features)
        return err_numbers(detail, GUEST_ERR_PLAN_AMEND_FEATURES, features, 0, 0, 0);
    return GUEST_OK;
}

/* ---- the tables ---- */

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct zero_table *)a)->offset;
    uint64_t y = ((const struct zero_table *)b)->offset;
    return x < y ? -1 : x > y;
}

static enum guest_err add_tables(struct downgrade_plan *p, const uint64_t *l1, uint64_t l1_size,
                                 struct guest_err_detail *detail)
{
    if (!arena_grow((void **)&p->tables, &p->max_tables, p->nr_tables + l1_size,
                    sizeof(*p->tables)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < l1_size; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        if (offset % p->q->cluster_size != 0)
            return corrupt(detail, offset);
        if (offset)
            p->tables[p->nr_tables++].offset = offset;
    }
    return GUEST_OK;
}

/* Each once, in the order in which they lie. */
static void sort_tables(struct downgrade_plan *p)
{
    uint64_t kept = 0;
    qsort(p->tables, p->nr_tables, sizeof(*p->tables), by_offset);
    for (uint64_t i = 0; i < p->nr_tables; i++) {
        if (kept == 0 || p->tables[kept - 1].offset != p->tables[i].offset)
            p->tables[kept++] = p->tables[i];
    }
    p->nr_tables = kept;
}

static enum guest_err list_tables(struct downgrade_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = add_tables(p, p->q->l1, p->q->l1_size, detail);
    for (uint32_t i = 0; i < p->q->nr_snapshots && !err; i++) {
        const struct qcow2_snapshot *s = &p->q->snapshots[i];
        uint64_t *l1 = NULL;
        err = qcow2_check_table(p->q, s->l1_table_offset, s->l1_size, sizeof(uint64_t),
                                QCOW2_L1_BYTES_MAX, QCOW2_ERR_SNAPSHOT_L1_LARGE,
                                QCOW2_ERR_SNAPSHOT_L1_OFFSET, detail);
        if (!err)
            err = qcow2_read_l1(p->q, s->l1_table_offset, s->l1_size, &l1, detail);
        if (!err)
            err = add_tables(p, l1, s->l1_size, detail);
        free(l1);
        /* Most tables are shared: what is there twice goes at once. */
        if (!err)
            sort_tables(p);
    }
    if (!err)
        sort_tables(p);
    return err;
}

/* ---- entries ---- */

enum fate { FATE_STAYS, FATE_GOES, FATE_KEEPS_CLUSTER, FATE_NEW_CLUSTER };

static enum guest_err entry_fate(struct downgrade_plan *p, const struct zero_table *t,
                                 uint64_t entry, enum fate *out, struct guest_err_detail *detail)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, count = 0;
    *out = FATE_STAYS;
    if (entry & QCOW2_OFLAG_COMPRESSED)
        return p->q->header.compression_type == QCOW2_COMPRESSION_ZLIB
                   ? GUEST_OK
                   : err_plain(detail, GUEST_ERR_PLAN_AMEND_COMPRESSED);
    if (!(entry & QCOW2_OFLAG_ZERO))
        return GUEST_OK;
    *out = p->backed ? FATE_NEW_CLUSTER : FATE_GOES;
    if (!offset)
        return GUEST_OK;
    if (offset % p->q->cluster_size != 0)
        return corrupt(detail, offset);
    enum guest_err err = qcow2_alloc_refcount(&p->alloc, offset >> cluster_bits(p), &count, detail);
    if (err)
        return err;
    if (count < t->references || qcow2_alloc_is_metadata(&p->alloc, offset >> cluster_bits(p)))
        return corrupt(detail, offset);
    if (count == t->references)
        *out = FATE_KEEPS_CLUSTER;
    return GUEST_OK;
}

static enum guest_err read_table(struct downgrade_plan *p, const struct zero_table *t,
                                 struct guest_err_detail *detail)
{
    return source_read_padded(p->q->source, t->offset, p->q->cluster_size, p->bytes, detail);
}

/* The cluster loses the references that came from the table. */
static enum guest_err give_back(struct downgrade_plan *p, const struct zero_table *t,
                                uint64_t entry, struct guest_err_detail *detail)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; offset && i < t->references && !err; i++)
        err = qcow2_alloc_give_back(&p->alloc, offset >> cluster_bits(p), 1, detail);
    return err;
}

static enum guest_err survey_table(struct downgrade_plan *p, struct zero_table *t,
                                   struct guest_err_detail *detail)
{
    enum guest_err err =
        qcow2_alloc_refcount(&p->alloc, t->offset >> cluster_bits(p), &t->references, detail);
    if (!err && t->references == 0)
        err = corrupt(detail, t->offset);
    if (!err)
        err = read_table(p, t, detail);
    for (uint64_t at = 0; at < p->q->cluster_size && !err; at += 8) {
        uint64_t entry = load_be64(&p->bytes[at]);
        enum fate fate;
        err = entry_fate(p, t, entry, &fate, detail);
        if (!err && (fate == FATE_GOES || fate == FATE_NEW_CLUSTER))
            err = give_back(p, t, entry, detail);
        t->changes = t->changes || fate != FATE_STAYS;
        t->nr += fate == FATE_NEW_CLUSTER;
    }
    return err;
}

/* Taken when all is surveyed, so that nothing is taken and given back in one plan. */
static enum guest_err place_table(struct downgrade_plan *p, struct zero_table *t,
                                  struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    if (t->nr)
        err = qcow2_alloc_take_all(&p->alloc, t->nr, &t->first, detail);
    for (uint64_t i = 1; t->nr && i < t->references && !err; i++)
        err = qcow2_alloc_raise(&p->alloc, t->first, t->nr, detail);
    qcow2_alloc_shrink(&p->alloc, BLOCKS_AT_HAND_BYTES);
    return err;
}

/* ---- yielding ---- */

static enum guest_err yield_counts(struct downgrade_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !qcow2_alloc_yield(&p->alloc, sink);
    return GUEST_OK;
}

static bool yield_barrier(struct plan_sink *sink, bool *out_more)
{
    *out_more = !plan_room(sink, 1, 0);
    if (!*out_more)
        plan_barrier(sink);
    return !*out_more;
}

/* The clusters that entries of one table keep; new ones are one run. */
static enum guest_err yield_kept(struct downgrade_plan *p, const struct zero_table *t,
                                 struct plan_sink *sink, bool *out_more,
                                 struct guest_err_detail *detail)
{
    enum guest_err err = read_table(p, t, detail);
    for (; p->entry < p->q->cluster_size && !err; p->entry += 8) {
        uint64_t entry = load_be64(&p->bytes[p->entry]);
        enum fate fate;
        *out_more = !plan_room(sink, 1, 0);
        if (*out_more)
            return GUEST_OK;
        err = entry_fate(p, t, entry, &fate, detail);
        if (!err && fate == FATE_KEEPS_CLUSTER)
            plan_simple(sink, CELL_OP_ZERO, p->blob, entry & QCOW2_OFFSET_MASK, p->q->cluster_size,
                        CELL_NOTE_DATA);
    }
    return err;
}

static enum guest_err yield_zeros(struct downgrade_plan *p, struct plan_sink *sink, bool *out_more,
                                  struct guest_err_detail *detail)
{
    for (; p->index < p->nr_tables; p->index++, p->entry = 0) {
        const struct zero_table *t = &p->tables[p->index];
        if (!t->changes)
            continue;
        enum guest_err err = yield_kept(p, t, sink, out_more, detail);
        if (err || *out_more)
            return err;
        *out_more = !plan_room(sink, 1, 0);
        if (*out_more)
            return GUEST_OK;
        if (t->nr)
            plan_simple(sink, CELL_OP_ZERO, p->blob, t->first << cluster_bits(p),
                        t->nr << cluster_bits(p), CELL_NOTE_DATA);
    }
    yield_barrier(sink, out_more);
    return GUEST_OK;
}

static enum guest_err compose_table(struct downgrade_plan *p, const struct zero_table *t,
                                    struct guest_err_detail *detail)
{
    uint64_t next = t->first, copied = t->references == 1 ? QCOW2_OFLAG_COPIED : 0;
    enum guest_err err = read_table(p, t, detail);
    for (uint64_t at = 0; at < p->q->cluster_size && !err; at += 8) {
        uint64_t entry = load_be64(&p->bytes[at]);
        enum fate fate;
        err = entry_fate(p, t, entry, &fate, detail);
        if (err)
            break;
        if (fate == FATE_GOES)
            entry = 0;
        else if (fate == FATE_KEEPS_CLUSTER)
            entry = (entry & QCOW2_OFFSET_MASK) | copied;
        else if (fate == FATE_NEW_CLUSTER)
            entry = next++ << cluster_bits(p) | copied;
        store_be64(&p->bytes[at], entry);
    }
    return err;
}

static enum guest_err yield_tables(struct downgrade_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    for (; p->index < p->nr_tables; p->index++) {
        const struct zero_table *t = &p->tables[p->index];
        if (!t->changes)
            continue;
        *out_more = !plan_room(sink, 1, p->q->cluster_size);
        if (*out_more)
            return GUEST_OK;
        enum guest_err err = compose_table(p, t, detail);
        if (err)
            return err;
        qcow2_alloc_shrink(&p->alloc, BLOCKS_AT_HAND_BYTES);
        memcpy(plan_write(sink, p->blob, t->offset, p->q->cluster_size, CELL_NOTE_L2_TABLE),
               p->bytes, p->q->cluster_size);
    }
    yield_barrier(sink, out_more);
    return GUEST_OK;
}

/* The refcount table may have moved. */
static enum guest_err yield_header(struct downgrade_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    uint8_t place[12];
    (void)detail;
    store_be64(place, p->alloc.table_offset);
    store_be32(&place[8], (uint32_t)p->alloc.table_clusters);
    header_edit_patch(&p->edit, RT_OFFSET_AT, place, sizeof(place));
    *out_more = !header_edit_yield(&p->edit, sink, p->blob);
    return GUEST_OK;
}

static enum guest_err settle(struct downgrade_plan *p, struct plan_sink *sink, bool *out_more,
                             struct guest_err_detail *detail)
{
    (void)sink;
    (void)out_more;
    return qcow2_alloc_settle(&p->alloc, detail);
}

static enum guest_err downgrade_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                     struct guest_err_detail *detail)
{
    static enum guest_err (*const phases[])(struct downgrade_plan *, struct plan_sink *, bool *,
                                            struct guest_err_detail *) = {
        [PHASE_COUNT] = yield_counts,  [PHASE_ZERO] = yield_zeros, [PHASE_TABLES] = yield_tables,
        [PHASE_HEADER] = yield_header, [PHASE_SETTLE] = settle,    [PHASE_FREE] = yield_counts,
    };
    struct downgrade_plan *p = (struct downgrade_plan *)plan;
    for (; p->phase < PHASE_DONE; p->phase++, p->index = 0, p->entry = 0) {
        bool more = false;
        enum guest_err err = phases[p->phase](p, sink, &more, detail);
        if (err || more)
            return err;
    }
    *out_done = true;
    return GUEST_OK;
}

static void downgrade_free(struct plan *plan)
{
    struct downgrade_plan *p = (struct downgrade_plan *)plan;
    header_edit_clear(&p->edit);
    qcow2_alloc_clear(&p->alloc);
    free(p->tables);
    free(p->bytes);
    free(p);
}

static const struct plan_verbs downgrade_verbs = {downgrade_next, downgrade_free};

/* ---- starting ---- */

/* What is left of bitmaps stays, as in stock: whoever opens the image is warned of it. */
static enum guest_err edit_header(struct downgrade_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = header_edit_init(&p->edit, p->q, detail);
    if (err)
        return err;
    header_edit_drop(&p->edit, QCOW2_EXT_FEATURE_NAMES);
    store_be32(&p->edit.fields[VERSION_AT], 2);
    return header_edit_compose(&p->edit, detail);
}

static enum guest_err prepare(struct downgrade_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = check(p->q, detail);
    p->bytes = arena_array(1, p->q->cluster_size);
    if (!err && !p->bytes)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = qcow2_alloc_init(&p->alloc, p->q, detail);
    if (!err)
        err = list_tables(p, detail);
    for (uint64_t i = 0; i < p->nr_tables && !err; i++) {
        err = survey_table(p, &p->tables[i], detail);
        qcow2_alloc_shrink(&p->alloc, BLOCKS_AT_HAND_BYTES);
    }
    for (uint64_t i = 0; i < p->nr_tables && !err; i++)
        err = place_table(p, &p->tables[i], detail);
    return err ? err : edit_header(p, detail);
}

enum guest_err qcow2_downgrade_plan(struct node *node, struct plan **out,
                                    struct guest_err_detail *detail)
{
    struct downgrade_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &downgrade_verbs;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->backed = p->q->header.backing_file_offset != 0;
    enum guest_err err = prepare(p, detail);
    if (err) {
        downgrade_free(&p->base);
        return err;
    }
    /* The header is written as a whole cluster, of which the file may have less. */
    p->base.file_size = max_u64(p->q->source->size_bytes,
                                max_u64(p->alloc.end << cluster_bits(p), p->q->cluster_size));
    *out = &p->base;
    return GUEST_OK;
}
