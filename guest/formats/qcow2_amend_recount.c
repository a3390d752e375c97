/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another width of refcounts. All new blocks and their table lie in one run of clusters that were
 * free: first the blocks, in the order of their indexes, then the table. See qcow2_amend.h.
 *
 * A block whose counts are all the same, as in large images most are, is one op and no loop.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_amend.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define RT_OFFSET_AT 48u
#define ORDER_AT     96u

#define WINDOW_BYTES  (1u << 20)
#define WINDOW_BLOCKS 16u

/* What is known of an old block, so that it is read once. */
enum block_kind { BLOCK_UNKNOWN, BLOCK_UNIFORM, BLOCK_MIXED };

/* The old counts, a block at a time. */
struct old_counts {
    struct qcow2 *q;
    uint64_t *table; /* offsets of blocks */
    uint64_t entries;
    unsigned order, bits; /* bits: log2 of the clusters that a block counts */
    uint8_t *window;      /* blocks [from, to) of the table, as many as were read at once */
    uint64_t from, to;    /* empty when equal */
    uint64_t window_max;  /* blocks */
    uint8_t *block;       /* in the window: the one at hand */
    uint8_t *kinds;       /* by index, enum block_kind */
    uint64_t *values; /* by index: all counts of a uniform block; of a mixed one how many are 0 */
    uint32_t *tails;  /* by index: counts at the end of a mixed block that are 0 */
    bool uniform;     /* the block that was looked at last: all its counts are `value` */
    uint64_t value;
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
    uint8_t *block; /* one cluster */
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

/* Large images have millions of counts: the frequent widths without a loop over bytes. */
static inline uint64_t load_count(const uint8_t *block, uint64_t i, unsigned order)
{
    if (order == 4)
        return load_be16(&block[i * 2]);
    return order == 6 ? load_be64(&block[i * 8]) : qcow2_refblock_load(block, i, order);
}

static inline void store_count(uint8_t *block, uint64_t i, unsigned order, uint64_t count)
{
    if (order == 4)
        store_be16(&block[i * 2], (uint16_t)count);
    else if (order == 6)
        store_be64(&block[i * 8], count);
    else
        qcow2_refblock_store(block, i, order, count);
}

/* ---- old counts ---- */

/* Whether all counts of the block at hand are alike. */
static void classify(struct old_counts *o, uint64_t index)
{
    uint64_t bytes = o->q->cluster_size, unit = o->order < 3 ? 1 : 1u << (o->order - 3);
    o->value = qcow2_refblock_load(o->block, 0, o->order);
    o->uniform = memcmp(o->block, &o->block[unit], bytes - unit) == 0;
    for (uint64_t i = 1; o->uniform && o->order < 3 && i < 8u >> o->order; i++)
        o->uniform = qcow2_refblock_load(o->block, i, o->order) == o->value;
    o->kinds[index] = o->uniform ? BLOCK_UNIFORM : BLOCK_MIXED;
    o->values[index] = o->uniform ? o->value : 0;
    for (uint64_t i = 0; !o->uniform && i < 1ull << o->bits; i++) {
        bool is_free = load_count(o->block, i, o->order) == 0;
        o->values[index] += is_free;
        o->tails[index] = is_free ? o->tails[index] + 1 : 0;
    }
}

/*
 * Reads blocks from `index` on in one call, straight to where they are looked at: they are not read
 * again soon. Their offsets were checked (list_gone); the file may end inside the last one.
 */
static enum guest_err read_window(struct old_counts *o, uint64_t index,
                                  struct guest_err_detail *detail)
{
    struct source_piece pieces[WINDOW_BLOCKS];
    uint64_t size = o->q->source->size_bytes, bytes = o->q->cluster_size;
    uint64_t to = min_u64(index + o->window_max, o->entries);
    unsigned nr = 0;
    o->from = o->to = 0;
    memset(o->window, 0, (to - index) * bytes);
    for (uint64_t i = index; i < to; i++) {
        if (o->table[i] && o->kinds[i] != BLOCK_UNIFORM)
            pieces[nr++] = (struct source_piece){.offset = o->table[i],
                                                 .len = min_u64(bytes, size - o->table[i]),
                                                 .dst = &o->window[(i - index) * bytes]};
    }
    enum guest_err err = o->q->source->read(o->q->source, pieces, nr, detail);
    if (err)
        return err;
    o->from = index;
    o->to = to;
    return GUEST_OK;
}

/* Makes a block the one at hand: one of the table. */
static enum guest_err load_block(struct old_counts *o, uint64_t index,
                                 struct guest_err_detail *detail)
{
    if (index < o->from || index >= o->to) {
        enum guest_err err = read_window(o, index, detail);
        if (err)
            return err;
    }
    o->block = &o->window[(index - o->from) * o->q->cluster_size];
    if (o->kinds[index] == BLOCK_UNKNOWN)
        classify(o, index);
    o->uniform = o->kinds[index] == BLOCK_UNIFORM;
    o->value = o->values[index];
    return GUEST_OK;
}

/* Fills o->uniform and o->value; the block is at hand only when it is not uniform. */
static enum guest_err look_block(struct old_counts *o, uint64_t index,
                                 struct guest_err_detail *detail)
{
    if (index < o->entries && o->table[index] && o->kinds[index] != BLOCK_UNIFORM)
        return load_block(o, index, detail);
    o->uniform = true;
    o->value = index < o->entries && o->table[index] ? o->values[index] : 0;
    return GUEST_OK;
}

static enum guest_err old_count(struct old_counts *o, uint64_t cluster, uint64_t *out,
                                struct guest_err_detail *detail)
{
    enum guest_err err = look_block(o, cluster >> o->bits, detail);
    if (!err)
        *out = o->uniform
                   ? o->value
                   : qcow2_refblock_load(o->block, cluster & ((1ull << o->bits) - 1), o->order);
    return err;
}

/* Whether clusters [from, from + nr) all have the same old count. */
static enum guest_err same_counts(struct old_counts *o, uint64_t from, uint64_t nr, bool *out,
                                  uint64_t *out_value, struct guest_err_detail *detail)
{
    *out = false;
    for (uint64_t c = from; c < from + nr; c += 1ull << o->bits) {
        enum guest_err err = look_block(o, c >> o->bits, detail);
        if (err)
            return err;
        if (!o->uniform || (c != from && o->value != *out_value))
            return GUEST_OK;
        *out_value = o->value;
    }
    *out = true;
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

/* What goes has a count, of course; of the block at hand. */
static enum guest_err check_gone(struct recount_plan *p, uint64_t first, uint64_t nr,
                                 struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    for (uint64_t i = find_gone(p, first); i < p->nr_gone && !err; i++) {
        uint64_t count;
        if (p->gone[i] - first >= nr)
            break;
        err = old_count(&p->old, p->gone[i], &count, detail);
        if (!err && count == 0)
            err = corrupt(p, p->gone[i] << cluster_bits(p), detail);
        p->shared = p->shared || (!err && count > 1);
    }
    return err;
}

static enum guest_err survey_block(struct recount_plan *p, uint64_t index,
                                   struct guest_err_detail *detail)
{
    uint64_t first = index << p->old.bits, nr = 1ull << p->old.bits;
    uint64_t step = min_u64(nr, 1ull << p->bits);
    enum guest_err err = look_block(&p->old, index, detail);
    if (!err)
        err = check_gone(p, first, nr, detail);
    if (!err && p->old.uniform) {
        err = check_count(p, first, p->old.value, detail);
        for (uint64_t c = first; c < first + nr && p->old.value && !err; c += step)
            err = note_need(p, c >> p->bits, detail);
        return err;
    }
    for (uint64_t i = 0; i < nr && !err; i++) {
        uint64_t count = load_count(p->old.block, i, p->old.order);
        if (count > qcow2_refcount_max(p->order))
            err = check_count(p, first + i, count, detail);
        else if (count &&
                 ((first + i) >> p->bits >= p->nr_indexes || !p->need[(first + i) >> p->bits]))
            err = note_need(p, (first + i) >> p->bits, detail);
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

/* The first run of `nr` clusters that are free; behind the last block's clusters all are. */
static enum guest_err find_run(struct recount_plan *p, uint64_t nr, struct guest_err_detail *detail)
{
    uint64_t at = 0, block = 1ull << p->old.bits, c = 0;
    enum guest_err err = GUEST_OK;
    while (c < p->nr_clusters && c - at < nr) {
        uint64_t index = c >> p->old.bits;
        if (c % block == 0 && p->old.kinds[index] == BLOCK_MIXED &&
            c - at + p->old.values[index] < nr) {
            c += block;
            at = c - p->old.tails[index];
            continue;
        }
        err = look_block(&p->old, index, detail);
        if (err)
            return err;
        if (p->old.uniform) {
            c = (c / block + 1) * block;
            at = p->old.value ? c : at;
            continue;
        }
        uint64_t end = (c / block + 1) * block;
        for (; c < end && c - at < nr; c++) {
            if (load_count(p->old.block, c % block, p->old.order))
                at = c + 1;
        }
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

/* All counts alike, in p->block. */
static void fill_block(struct recount_plan *p, uint64_t value)
{
    uint64_t bytes = p->q->cluster_size, done = p->order < 3 ? 1 : 1u << (p->order - 3);
    for (uint64_t k = 0; k < max_u64(1, 8u >> p->order); k++)
        qcow2_refblock_store(p->block, k, p->order, value);
    while (done < bytes) {
        uint64_t len = min_u64(done, bytes - done);
        memcpy(&p->block[done], p->block, len);
        done += len;
    }
}

/* The old counts as they are, an old block after the other. */
static enum guest_err copy_counts(struct recount_plan *p, uint64_t first, uint64_t nr,
                                  struct guest_err_detail *detail)
{
    uint64_t mask = (1ull << p->old.bits) - 1;
    for (uint64_t c = first; c < first + nr;) {
        uint64_t end = min_u64((c | mask) + 1, first + nr);
        enum guest_err err = look_block(&p->old, c >> p->old.bits, detail);
        if (err)
            return err;
        for (; c < end; c++)
            store_count(p->block, c - first, p->order,
                        p->old.uniform ? p->old.value
                                       : load_count(p->old.block, c & mask, p->old.order));
    }
    return GUEST_OK;
}

static void lower(struct recount_plan *p, uint64_t index)
{
    uint64_t count = qcow2_refblock_load(p->block, index, p->order);
    qcow2_refblock_store(p->block, index, p->order, count - 1);
}

/*
 * The counts of a new block in p->block, or *out_same when they are all *out_value.
 */
static enum guest_err make_block(struct recount_plan *p, uint64_t index, bool *out_same,
                                 uint64_t *out_value, struct guest_err_detail *detail)
{
    uint64_t first = index << p->bits, nr = 1ull << p->bits, gone = find_gone(p, first);
    bool changes = (gone < p->nr_gone && p->gone[gone] - first < nr) ||
                   (first < p->first + p->nr_run && first + nr > p->first);
    bool same;
    enum guest_err err = same_counts(&p->old, first, nr, &same, out_value, detail);
    *out_same = !err && same && !changes;
    if (err || *out_same)
        return err;
    if (same)
        fill_block(p, *out_value);
    else
        err = copy_counts(p, first, nr, detail);
    for (; gone < p->nr_gone && p->gone[gone] - first < nr; gone++)
        lower(p, p->gone[gone] - first);
    uint64_t end = min_u64(p->first + p->nr_run, first + nr);
    for (uint64_t c = max_u64(first, p->first); c < end; c++)
        qcow2_refblock_store(p->block, c - first, p->order, 1);
    return err;
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

static void yield_same(const struct recount_plan *p, struct plan_sink *sink, uint64_t offset,
                       uint64_t value)
{
    uint8_t unit[8] = {0};
    for (uint64_t k = 0; k < max_u64(1, 8u >> p->order); k++)
        qcow2_refblock_store(unit, k, p->order, value);
    plan_pattern(sink, p->blob, offset, p->q->cluster_size, unit,
                 p->order < 3 ? 1 : 1u << (p->order - 3), CELL_NOTE_REFCOUNT_BLOCK);
}

static enum guest_err yield_blocks(struct recount_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    for (; p->index < p->nr_indexes; p->index++) {
        uint64_t offset = (p->first + p->placed) << cluster_bits(p), value = 0;
        bool same;
        if (!p->need[p->index])
            continue;
        *out_more = !plan_room(sink, 1, p->q->cluster_size);
        if (*out_more)
            return GUEST_OK;
        enum guest_err err = make_block(p, p->index, &same, &value, detail);
        if (err)
            return err;
        if (same)
            yield_same(p, sink, offset, value);
        else
            memcpy(plan_write(sink, p->blob, offset, p->q->cluster_size, CELL_NOTE_REFCOUNT_BLOCK),
                   p->block, p->q->cluster_size);
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
    free(p->old.window);
    free(p->old.kinds);
    free(p->old.values);
    free(p->old.tails);
    free(p->gone);
    free(p->need);
    free(p->block);
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
    p->old.window_max = max_u64(1, min_u64(WINDOW_BLOCKS, WINDOW_BYTES >> cluster_bits(p)));
    p->old.window = arena_array(p->old.window_max, p->q->cluster_size);
    p->old.kinds = arena_array(p->old.entries, 1);
    p->old.values = arena_array(p->old.entries, sizeof(*p->old.values));
    p->old.tails = arena_array(p->old.entries, sizeof(*p->old.tails));
    p->block = arena_array(1, p->q->cluster_size);
    p->need = arena_array(QCOW2_REFTABLE_BYTES_MAX / 8, 1);
    if (!err && (!p->old.window || !p->old.kinds || !p->old.values || !p->old.tails || !p->block ||
                 !p->need))
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
