/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another width of refcounts. All new blocks and their table lie in one run of clusters that were
 * free: first the blocks, in the order of their indexes, then the table. See qcow2_amend.h.
 *
 * Counts come in runs that are alike: of an old block the runs are kept when they are few, so that
 * it is read once; a new block whose counts are all alike is one op.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_amend.h"
#include "guest/formats/qcow2_block_window.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define RT_OFFSET_AT 48u
#define ORDER_AT     96u

/*
 * What is known of an old block, so that it is read once: how many runs of alike counts it has. One
 * that has more than are kept is read again.
 */
#define KIND_UNKNOWN 0u
#define KIND_MIXED   255u
#define RUNS_MAX     6u         /* of a block */
#define ALL_RUNS_MAX (1u << 20) /* of all blocks: 16 MiB */

/* The old counts, a block at a time. */
struct old_counts {
    struct qcow2 *q;
    uint64_t *table; /* offsets of blocks */
    uint64_t entries;
    unsigned order, bits; /* bits: log2 of the clusters that a block counts */
    struct qcow2_block_window window;
    uint8_t *kinds;   /* by index: KIND_*, or how many runs */
    uint64_t *places; /* by index: where its runs begin; of a mixed block how many counts are 0 */
    uint32_t *tails;  /* by index: counts at the end of a mixed block that are 0 */
    struct qcow2_count_run *runs;
    uint64_t nr_runs, max_runs;
};

enum phase { PHASE_SIZE, PHASE_BLOCKS, PHASE_TABLE, PHASE_HEADER, PHASE_DISCARD, PHASE_DONE };

struct recount_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    struct old_counts old;
    uint64_t nr_clusters; /* that old blocks count */
    uint64_t *gone;       /* clusters of the old table and blocks, ascending */
    uint64_t nr_gone;
    bool shared;              /* somebody else refers to one of them too: none is discarded */
    struct qcow2_alloc alloc; /* for what must not be taken */

    unsigned order, bits;   /* new */
    uint8_t *need;          /* by index of a new block */
    uint64_t nr_need;       /* blocks that are needed */
    uint64_t nr_indexes;    /* one more than the last needed one */
    uint64_t first, nr_run; /* the run of clusters taken */
    uint64_t table_clusters;
    struct header_edit edit;

    enum phase phase;
    uint64_t index, placed; /* where it stands: index, and needed blocks before it */
};

static unsigned cluster_bits(const struct recount_plan *p)
{
    return p->q->header.cluster_bits;
}

static enum guest_err corrupt(const struct recount_plan *p, uint64_t offset,
                              struct guest_err_detail *detail)
{
    (void)p;
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* ---- old counts ---- */

/* Runs of a block, as many as are kept: false when it has more. */
static bool keep_runs(struct old_counts *o, uint64_t index, const uint8_t *block)
{
    struct qcow2_count_run run = {0, 0};
    uint64_t nr = 0;
    if (!arena_grow((void **)&o->runs, &o->max_runs, o->nr_runs + RUNS_MAX, sizeof(run)))
        return false;
    for (; run.end < 1ull << o->bits; nr++) {
        if (nr == RUNS_MAX || o->nr_runs + nr == ALL_RUNS_MAX)
            return false;
        run = qcow2_refblock_run(block, run.end, 1ull << o->bits, o->order);
        o->runs[o->nr_runs + nr] = run;
    }
    o->kinds[index] = (uint8_t)nr;
    o->places[index] = o->nr_runs;
    o->nr_runs += nr;
    return true;
}

static void classify(struct old_counts *o, uint64_t index, const uint8_t *block)
{
    struct qcow2_count_run run = {0, 0};
    uint64_t nr_free = 0;
    if (keep_runs(o, index, block))
        return;
    for (uint64_t at = 0; at < 1ull << o->bits; at = run.end) {
        run = qcow2_refblock_run(block, at, 1ull << o->bits, o->order);
        o->tails[index] = run.value ? 0 : (uint32_t)(run.end - at);
        nr_free += o->tails[index];
    }
    o->kinds[index] = KIND_MIXED;
    o->places[index] = nr_free;
}

/*
 * The run of old counts from a cluster on.
 *
 * out:     clusters up to out->end, which is at most the end of their block, have the count
 *          out->value
 */
static enum guest_err old_run(struct old_counts *o, uint64_t cluster, struct qcow2_count_run *out,
                              struct guest_err_detail *detail)
{
    uint64_t index = cluster >> o->bits, first = index << o->bits;
    *out = (struct qcow2_count_run){first + (1ull << o->bits), 0};
    if (index >= o->entries || !o->table[index])
        return GUEST_OK;
    const struct qcow2_count_run *run;
    const uint8_t *block = NULL;
    bool known = o->kinds[index] != KIND_UNKNOWN && o->kinds[index] != KIND_MIXED;
    enum guest_err err =
        known ? GUEST_OK : qcow2_block_window_get(&o->window, index, &block, detail);
    if (err)
        return err;
    if (o->kinds[index] == KIND_UNKNOWN)
        classify(o, index, block);
    if (o->kinds[index] == KIND_MIXED) {
        *out = qcow2_refblock_run(block, cluster - first, 1ull << o->bits, o->order);
    } else {
        for (run = &o->runs[o->places[index]]; run->end <= cluster - first;)
            run++;
        *out = *run;
    }
    out->end += first;
    return GUEST_OK;
}

/* ---- what goes ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The old table and blocks: each in the file, on a cluster of its own. */
static enum guest_err list_gone(struct recount_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    uint64_t first = h->refcount_table_offset >> cluster_bits(p);
    p->gone = arena_array(p->old.entries + h->refcount_table_clusters, sizeof(*p->gone));
    if (!p->gone)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < h->refcount_table_clusters; i++)
        p->gone[p->nr_gone++] = first + i;
    for (uint64_t i = 0; i < p->old.entries; i++) {
        uint64_t offset = p->old.table[i];
        if (!offset)
            continue;
        if (offset % p->q->cluster_size != 0 || offset >= p->q->source->size_bytes)
            return corrupt(p, h->refcount_table_offset + i * 8, detail);
        p->gone[p->nr_gone++] = offset >> cluster_bits(p);
        p->nr_clusters = (i + 1) << p->old.bits;
    }
    qsort(p->gone, p->nr_gone, sizeof(*p->gone), by_value);
    for (uint64_t i = 0; i < p->nr_gone; i++) {
        bool counted = p->gone[i] >> p->old.bits < p->old.entries &&
                       p->old.table[p->gone[i] >> p->old.bits] != 0;
        if (!counted || (i > 0 && p->gone[i] == p->gone[i - 1]))
            return corrupt(p, p->gone[i] << cluster_bits(p), detail);
    }
    return GUEST_OK;
}

/* The first of p->gone at or behind a cluster. */
static uint64_t find_gone(const struct recount_plan *p, uint64_t cluster)
{
    uint64_t low = 0, high = p->nr_gone;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (p->gone[mid] >= cluster)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* ---- which new blocks there must be ---- */

static enum guest_err note_need(struct recount_plan *p, uint64_t index,
                                struct guest_err_detail *detail)
{
    if (index >= QCOW2_REFTABLE_BYTES_MAX / 8)
        return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
    p->nr_need += !p->need[index];
    p->need[index] = 1;
    p->nr_indexes = max_u64(p->nr_indexes, index + 1);
    return GUEST_OK;
}

static enum guest_err check_count(const struct recount_plan *p, uint64_t cluster, uint64_t count,
                                  struct guest_err_detail *detail)
{
    if (count <= qcow2_refcount_max(p->order))
        return GUEST_OK;
    return err_numbers(detail, GUEST_ERR_PLAN_AMEND_DECREASE, 1u << p->order,
                       cluster << cluster_bits(p), count, 0);
}

/* What goes has a count, of course; of one block. */
static enum guest_err check_gone(struct recount_plan *p, uint64_t first, uint64_t nr,
                                 struct guest_err_detail *detail)
{
    struct qcow2_count_run run = {0, 0};
    enum guest_err err = GUEST_OK;
    for (uint64_t i = find_gone(p, first); i < p->nr_gone && p->gone[i] - first < nr; i++) {
        if (p->gone[i] >= run.end)
            err = old_run(&p->old, p->gone[i], &run, detail);
        if (!err && run.value == 0)
            err = corrupt(p, p->gone[i] << cluster_bits(p), detail);
        if (err)
            return err;
        p->shared = p->shared || run.value > 1;
    }
    return GUEST_OK;
}

static enum guest_err survey_block(struct recount_plan *p, uint64_t index,
                                   struct guest_err_detail *detail)
{
    uint64_t first = index << p->old.bits, nr = 1ull << p->old.bits;
    struct qcow2_count_run run = {first, 0};
    enum guest_err err = check_gone(p, first, nr, detail);
    for (uint64_t at = first; at < first + nr && !err; at = run.end) {
        err = old_run(&p->old, at, &run, detail);
        if (!err)
            err = check_count(p, at, run.value, detail);
        for (uint64_t i = at >> p->bits; !err && run.value && i << p->bits < run.end; i++)
            err = note_need(p, i, detail);
    }
    return err;
}

static enum guest_err survey(struct recount_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; i < p->old.entries && !err; i++) {
        if (p->old.table[i])
            err = survey_block(p, i, detail);
    }
    return err;
}

/* Whether no run of `nr` free clusters ends in a block, of which [at, c) precede it. */
static bool too_full(const struct old_counts *o, uint64_t c, uint64_t at, uint64_t nr)
{
    uint64_t index = c >> o->bits;
    return (c & ((1ull << o->bits) - 1)) == 0 && o->kinds[index] == KIND_MIXED &&
           c - at + o->places[index] < nr;
}

/* The first run of `nr` clusters that are free; behind the last block's clusters all are. */
static enum guest_err find_run(struct recount_plan *p, uint64_t nr, struct guest_err_detail *detail)
{
    uint64_t at = 0, block = 1ull << p->old.bits, c = 0;
    while (c < p->nr_clusters && c - at < nr) {
        struct qcow2_count_run run;
        if (too_full(&p->old, c, at, nr)) {
            c += block;
            at = c - p->old.tails[c / block - 1];
            continue;
        }
        enum guest_err err = old_run(&p->old, c, &run, detail);
        if (err)
            return err;
        c = run.end;
        at = run.value ? c : at;
    }
    p->first = at;
    p->nr_run = nr;
    return GUEST_OK;
}

/* What counts the run is part of it: that goes on until nothing is added. */
static enum guest_err place(struct recount_plan *p, struct guest_err_detail *detail)
{
    for (;;) {
        uint64_t nr_need = p->nr_need;
        p->table_clusters = div_round_up_u64(p->nr_indexes * 8, p->q->cluster_size);
        enum guest_err err = find_run(p, nr_need + p->table_clusters, detail);
        for (uint64_t c = p->first; c < p->first + p->nr_run && !err; c++)
            err = qcow2_alloc_is_metadata(&p->alloc, c) ? corrupt(p, c << cluster_bits(p), detail)
                                                        : note_need(p, c >> p->bits, detail);
        if (err)
            return err;
        if (p->nr_need == nr_need &&
            p->table_clusters >= div_round_up_u64(p->nr_indexes * 8, p->q->cluster_size))
            return GUEST_OK;
    }
}

/* ---- one new block ---- */

static void lower(const struct recount_plan *p, uint8_t *block, uint64_t index)
{
    uint64_t count = qcow2_refblock_load(block, index, p->order);
    qcow2_refblock_store(block, index, p->order, count - 1);
}

/* Whether all counts of a new block are alike, and *out_value, as none of them changes. */
static enum guest_err all_alike(struct recount_plan *p, uint64_t first, uint64_t nr, bool *out,
                                uint64_t *out_value, struct guest_err_detail *detail)
{
    uint64_t gone = find_gone(p, first);
    struct qcow2_count_run run = {first, 0};
    *out = false;
    if ((gone < p->nr_gone && p->gone[gone] - first < nr) ||
        (first < p->first + p->nr_run && first + nr > p->first))
        return GUEST_OK;
    for (uint64_t at = first; at < first + nr; at = run.end) {
        enum guest_err err = old_run(&p->old, at, &run, detail);
        if (err || (at > first && run.value != *out_value))
            return err;
        *out_value = run.value;
    }
    *out = true;
    return GUEST_OK;
}

/* The counts of a new block, of `nr` clusters from `first` on. */
static enum guest_err make_block(struct recount_plan *p, uint64_t first, uint64_t nr,
                                 uint8_t *block, struct guest_err_detail *detail)
{
    struct qcow2_count_run run = {first, 0};
    for (uint64_t at = first; at < first + nr; at = run.end) {
        enum guest_err err = old_run(&p->old, at, &run, detail);
        if (err)
            return err;
        qcow2_refblock_fill(block, at - first, min_u64(run.end - first, nr), p->order, run.value);
    }
    for (uint64_t i = find_gone(p, first); i < p->nr_gone && p->gone[i] - first < nr; i++)
        lower(p, block, p->gone[i] - first);
    uint64_t from = max_u64(first, p->first), end = min_u64(p->first + p->nr_run, first + nr);
    if (from < end)
        qcow2_refblock_fill(block, from - first, end - first, p->order, 1);
    return GUEST_OK;
}

/* ---- yielding ---- */

static enum guest_err yield_size(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                 struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !plan_room(sink, 1, 0);
    if (!*out_more && p->base.file_size > p->q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    return GUEST_OK;
}

static enum guest_err yield_block(struct recount_plan *p, struct plan_sink *sink,
                                  struct guest_err_detail *detail)
{
    uint64_t offset = (p->first + p->placed) << cluster_bits(p), bytes = p->q->cluster_size;
    uint64_t first = p->index << p->bits, value = 0;
    uint8_t unit[8];
    bool alike;
    enum guest_err err = all_alike(p, first, 1ull << p->bits, &alike, &value, detail);
    if (err)
        return err;
    if (!alike)
        return make_block(p, first, 1ull << p->bits,
                          plan_write(sink, p->blob, offset, bytes, CELL_NOTE_REFCOUNT_BLOCK),
                          detail);
    unsigned unit_len = qcow2_refblock_unit(p->order, value, unit);
    plan_pattern(sink, p->blob, offset, bytes, unit, unit_len, CELL_NOTE_REFCOUNT_BLOCK);
    return GUEST_OK;
}

static enum guest_err yield_blocks(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    for (; p->index < p->nr_indexes; p->index++) {
        if (!p->need[p->index])
            continue;
        *out_more = !plan_room(sink, 1, p->q->cluster_size);
        if (*out_more)
            return GUEST_OK;
        enum guest_err err = yield_block(p, sink, detail);
        if (err)
            return err;
        p->placed++;
    }
    return GUEST_OK;
}

/* Entries up to the end of the table's clusters. */
static enum guest_err yield_table(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                  struct guest_err_detail *detail)
{
    uint64_t start = (p->first + p->nr_need) << cluster_bits(p);
    uint64_t end = p->table_clusters * (p->q->cluster_size / 8);
    (void)detail;
    while (p->index < end) {
        uint64_t nr = min_u64(end - p->index, PLAN_CHUNK_BYTES / 8);
        *out_more = !plan_room(sink, 2, nr * 8);
        if (*out_more)
            return GUEST_OK;
        uint8_t *at =
            plan_write(sink, p->blob, start + p->index * 8, nr * 8, CELL_NOTE_REFCOUNT_TABLE);
        for (uint64_t i = 0; i < nr; i++, p->index++) {
            bool there = p->index < p->nr_indexes && p->need[p->index];
            store_be64(&at[i * 8], there ? (p->first + p->placed) << cluster_bits(p) : 0);
            p->placed += there;
        }
    }
    plan_barrier(sink);
    return GUEST_OK;
}

static enum guest_err yield_header(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !header_edit_yield(&p->edit, sink, p->blob);
    return GUEST_OK;
}

/* A cluster that had one reference has none now. */
static enum guest_err yield_discards(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                     struct guest_err_detail *detail)
{
    (void)detail;
    while (p->index < p->nr_gone && !p->shared) {
        uint64_t from = p->index, to = from + 1;
        *out_more = !plan_room(sink, 1, 0);
        if (*out_more)
            return GUEST_OK;
        while (to < p->nr_gone && p->gone[to] == p->gone[to - 1] + 1)
            to++;
        plan_simple(sink, CELL_OP_DISCARD, p->blob, p->gone[from] << cluster_bits(p),
                    (to - from) << cluster_bits(p), CELL_NOTE_DATA);
        p->index = to;
    }
    return GUEST_OK;
}

static enum guest_err recount_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                   struct guest_err_detail *detail)
{
    static enum guest_err (*const phases[])(struct recount_plan *, struct plan_sink *, bool *,
                                            struct guest_err_detail *) = {
        [PHASE_SIZE] = yield_size,        [PHASE_BLOCKS] = yield_blocks,
        [PHASE_TABLE] = yield_table,      [PHASE_HEADER] = yield_header,
        [PHASE_DISCARD] = yield_discards,
    };
    struct recount_plan *p = (struct recount_plan *)plan;
    for (; p->phase < PHASE_DONE; p->phase++, p->index = 0, p->placed = 0) {
        bool more = false;
        enum guest_err err = phases[p->phase](p, sink, &more, detail);
        if (err || more)
            return err;
    }
    *out_done = true;
    return GUEST_OK;
}

static void recount_free(struct plan *plan)
{
    struct recount_plan *p = (struct recount_plan *)plan;
    header_edit_clear(&p->edit);
    qcow2_alloc_clear(&p->alloc);
    free(p->old.table);
    qcow2_block_window_clear(&p->old.window);
    free(p->old.kinds);
    free(p->old.places);
    free(p->old.tails);
    free(p->old.runs);
    free(p->gone);
    free(p->need);
    free(p);
}

static const struct plan_verbs recount_verbs = {recount_next, recount_free};

/* ---- starting ---- */

static enum guest_err edit_header(struct recount_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = header_edit_init(&p->edit, p->q, detail);
    if (err)
        return err;
    if (p->q->ext.bitmaps_stale)
        header_edit_drop(&p->edit, QCOW2_EXT_BITMAPS);
    store_be64(&p->edit.fields[RT_OFFSET_AT], (p->first + p->nr_need) << cluster_bits(p));
    store_be32(&p->edit.fields[RT_OFFSET_AT + 8], (uint32_t)p->table_clusters);
    store_be32(&p->edit.fields[ORDER_AT], p->order);
    return header_edit_compose(&p->edit, detail);
}

static enum guest_err prepare(struct recount_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = qcow2_read_reftable(p->q, &p->old.table, &p->old.entries, detail);
    qcow2_block_window_init(&p->old.window, p->q, p->old.table, p->old.entries);
    p->old.kinds = arena_array(p->old.entries, 1);
    p->old.places = arena_array(p->old.entries, sizeof(*p->old.places));
    p->old.tails = arena_array(p->old.entries, sizeof(*p->old.tails));
    p->need = arena_array(QCOW2_REFTABLE_BYTES_MAX / 8, 1);
    if (!err && (!p->old.kinds || !p->old.places || !p->old.tails || !p->need))
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = qcow2_alloc_init(&p->alloc, p->q, detail);
    if (!err)
        err = list_gone(p, detail);
    if (!err)
        err = survey(p, detail);
    if (!err)
        err = place(p, detail);
    return err ? err : edit_header(p, detail);
}

enum guest_err qcow2_recount_plan(struct node *node, unsigned order, struct plan **out,
                                  struct guest_err_detail *detail)
{
    struct recount_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &recount_verbs;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->order = order;
    p->bits = cluster_bits(p) + 3 - order;
    p->old = (struct old_counts){.q = p->q,
                                 .order = p->q->header.refcount_order,
                                 .bits = cluster_bits(p) + 3 - p->q->header.refcount_order};
    enum guest_err err = prepare(p, detail);
    if (err) {
        recount_free(&p->base);
        return err;
    }
    p->base.file_size =
        max_u64(p->q->source->size_bytes, (p->first + p->nr_run) << cluster_bits(p));
    *out = &p->base;
    return GUEST_OK;
}
