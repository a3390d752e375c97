/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's L2 tables, and the plan that writes what has changed.
 */
#include "guest/formats/qcow2_writer_tables.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/lib/arena.h"

/* ---- tables ---- */

uint64_t wtable_bytes(const struct qcow2_writer *w)
{
    return w->nr_tables * w->q->cluster_size;
}

static bool is_dirty(const struct wtable *t)
{
    return t->dirty_from != t->dirty_to;
}

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

/* Reads the table that an L1 entry names. An empty one costs no memory that is not written to. */
static enum guest_err read_table(struct qcow2_writer *w, uint64_t l1_index, struct wtable *t,
                                 struct guest_err_detail *detail)
{
    uint64_t offset = w->q->l1[l1_index] & QCOW2_OFFSET_MASK, size = w->q->cluster_size;
    t->bytes = offset == 0 ? arena_array(1, size) : arena_bytes(size);
    if (!t->bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (offset == 0) {
        t->is_new = t->zeroed = true;
        return GUEST_OK;
    }
    if (offset % w->q->cluster_size != 0 || offset >= w->q->source->size_bytes)
        return corrupt(detail, w->q->header.l1_table_offset + l1_index * 8);
    return source_read_padded(w->q->source, offset, w->q->cluster_size, t->bytes, detail);
}

enum guest_err wtable_get(struct qcow2_writer *w, uint64_t cluster, struct wtable **out,
                          uint32_t *out_index, struct guest_err_detail *detail)
{
    uint64_t l1_index = cluster / w->q->l2_entries;
    if (l1_index >= w->q->l1_size)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    struct wtable *t = w->tables[l1_index];
    if (!t) {
        t = calloc(1, sizeof(*t));
        if (!t)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        enum guest_err err = read_table(w, l1_index, t, detail);
        if (err) {
            free(t->bytes);
            free(t);
            return err;
        }
        w->tables[l1_index] = t;
        w->nr_tables++;
    }
    *out = t;
    *out_index = (uint32_t)(cluster % w->q->l2_entries);
    return GUEST_OK;
}

static struct wentry load_entry(const struct qcow2_writer *w, const uint8_t *bytes, uint32_t index)
{
    const uint8_t *at = &bytes[(uint64_t)index * w->q->l2_entry_bytes];
    return (struct wentry){.entry = load_be64(at),
                           .bitmap = w->q->extended_l2 ? load_be64(at + 8) : 0};
}

static void store_entry(const struct qcow2_writer *w, uint8_t *bytes, uint32_t index,
                        struct wentry value)
{
    uint8_t *at = &bytes[(uint64_t)index * w->q->l2_entry_bytes];
    store_be64(at, value.entry);
    if (w->q->extended_l2)
        store_be64(at + 8, value.bitmap);
}

struct wentry wtable_entry(const struct qcow2_writer *w, const struct wtable *table, uint32_t index)
{
    return load_entry(w, table->bytes, index);
}

/* Whether the table's cluster may be written: nothing else refers to it. */
static enum guest_err own_table(struct qcow2_writer *w, uint64_t l1_index, struct wtable *t,
                                struct guest_err_detail *detail)
{
    uint64_t entry = w->q->l1[l1_index], count = 0;
    if (t->is_new || is_dirty(t))
        return GUEST_OK;
    enum guest_err err =
        qcow2_alloc_refcount(&w->alloc, (entry & QCOW2_OFFSET_MASK) >> wbits(w), &count, detail);
    if (err)
        return err;
    if (count == 0)
        return corrupt(detail, entry & QCOW2_OFFSET_MASK);
    t->is_new = count > 1 || !(entry & QCOW2_OFLAG_COPIED);
    return GUEST_OK;
}

enum guest_err wtable_set(struct qcow2_writer *w, uint64_t cluster, struct wtable *table,
                          uint32_t index, struct wentry value, struct guest_err_detail *detail)
{
    enum guest_err err = own_table(w, cluster / w->q->l2_entries, table, detail);
    if (err)
        return err;
    store_entry(w, table->bytes, index, value);
    if (table->dirty_from == table->dirty_to) {
        table->dirty_from = index;
        table->dirty_to = index + 1;
    }
    table->dirty_from = (uint32_t)min_u64(table->dirty_from, index);
    table->dirty_to = (uint32_t)max_u64(table->dirty_to, index + 1);
    return GUEST_OK;
}

/* ---- the plan ---- */

enum phase {
    PHASE_RUNS,    /* reported runs go into tables */
    PHASE_PREPARE, /* new tables get their clusters */
    PHASE_DATA,
    PHASE_REFCOUNTS,
    PHASE_TABLES,
    PHASE_L1,
    PHASE_FREED,
    PHASE_SIZE,
    PHASE_DONE,
};

static void note_l1(struct qcow2_writer *w, uint64_t index)
{
    if (w->l1_dirty_from == w->l1_dirty_to) {
        w->l1_dirty_from = index;
        w->l1_dirty_to = index + 1;
    }
    w->l1_dirty_from = min_u64(w->l1_dirty_from, index);
    w->l1_dirty_to = max_u64(w->l1_dirty_to, index + 1);
}

/* Gives each new table its cluster; its L1 entry follows in memory, on disk in PHASE_L1. */
static enum guest_err prepare_tables(struct qcow2_writer *w, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < w->q->l1_size; i++) {
        struct wtable *t = w->tables[i];
        uint64_t at, old = w->q->l1[i] & QCOW2_OFFSET_MASK;
        /* A table that was only looked at stays as it is not: no cluster for it. */
        if (!t || !t->is_new || t->dirty_from == t->dirty_to)
            continue;
        enum guest_err err = qcow2_alloc_take_all(&w->alloc, 1, &at, detail);
        if (!err && old)
            err = qcow2_alloc_give_back(&w->alloc, old >> wbits(w), 1, detail);
        if (err)
            return err;
        w->q->l1[i] = QCOW2_OFLAG_COPIED | at << wbits(w);
        note_l1(w, i);
    }
    return GUEST_OK;
}

static bool yield_autoclear(struct qcow2_writer *w, struct plan_sink *sink)
{
    if (!w->fix_autoclear)
        return true;
    if (!plan_room(sink, 2, 8))
        return false;
    w->q->header.autoclear_features &= w->kept_autoclear;
    store_be64(plan_write(sink, w->blob, 88, 8, CELL_NOTE_HEADER), w->q->header.autoclear_features);
    plan_barrier(sink);
    w->fix_autoclear = false;
    return true;
}

/*
 * The file reaches to the end of what is in use, so that whatever is written can be read back;
 * then everything that tables will refer to becomes durable.
 */
static bool yield_data(struct qcow2_writer *w, struct plan_sink *sink)
{
    uint64_t end = w->alloc.end << wbits(w);
    if (!yield_autoclear(w, sink) || !plan_room(sink, 2, 0))
        return false;
    for (; w->index < w->nr_zeros; w->index++) {
        struct wzero *z = &w->zeros[w->index];
        if (!plan_room(sink, 3, 0))
            return false;
        plan_simple(sink, CELL_OP_ZERO, z->blob, z->offset, z->len, CELL_NOTE_DATA);
    }
    w->nr_zeros = 0;
    if (end > w->q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, w->blob, end, 0, CELL_NOTE_FILE_SIZE);
    plan_barrier(sink);
    return true;
}

/* Puts back what entries had whose data was not reported yet. */
static void hide_pending(const struct qcow2_writer *w, uint64_t l1_index, uint32_t from,
                         uint32_t to, uint8_t *copy)
{
    uint64_t first = l1_index * w->q->l2_entries + from;
    uint64_t end = l1_index * w->q->l2_entries + to;
    for (uint64_t i = 0; i < w->nr_pending; i++) {
        const struct wpending *p = &w->pending[i];
        for (uint64_t c = max_u64(first, p->cluster); c < min_u64(end, p->cluster + p->nr); c++)
            store_entry(w, copy, (uint32_t)(c - first), p->old);
    }
}

static bool yield_table(struct qcow2_writer *w, struct plan_sink *sink, uint64_t l1_index)
{
    struct wtable *t = w->tables[l1_index];
    uint64_t offset = w->q->l1[l1_index] & QCOW2_OFFSET_MASK;
    uint32_t entry = w->q->l2_entry_bytes, per_sector = QCOW2_SECTOR_BYTES / entry;
    uint32_t from = t->dirty_from / per_sector * per_sector;
    uint32_t to =
        (uint32_t)min_u64(div_round_up_u64(t->dirty_to, per_sector) * per_sector, w->q->l2_entries);
    if (t->is_new && !t->zeroed) {
        from = 0;
        to = w->q->l2_entries;
    }
    uint64_t len = (uint64_t)(to - from) * entry;
    if (!plan_room(sink, 2, len))
        return false;
    if (t->is_new && t->zeroed && len < w->q->cluster_size)
        plan_simple(sink, CELL_OP_ZERO, w->blob, offset, w->q->cluster_size, CELL_NOTE_L2_TABLE);
    uint8_t *copy =
        plan_write(sink, w->blob, offset + (uint64_t)from * entry, len, CELL_NOTE_L2_TABLE);
    memcpy(copy, &t->bytes[(uint64_t)from * entry], len);
    hide_pending(w, l1_index, from, to, copy);
    return true;
}

/* Entries that are not reported yet stay to be written. */
static void clean_table(struct qcow2_writer *w, uint64_t l1_index)
{
    struct wtable *t = w->tables[l1_index];
    uint64_t first = l1_index * w->q->l2_entries;
    t->is_new = t->zeroed = false;
    t->dirty_from = t->dirty_to = 0;
    for (uint64_t i = 0; i < w->nr_pending; i++) {
        const struct wpending *p = &w->pending[i];
        uint64_t from = max_u64(first, p->cluster);
        uint64_t to = min_u64(first + w->q->l2_entries, p->cluster + p->nr);
        if (from >= to)
            continue;
        bool none = t->dirty_from == t->dirty_to;
        t->dirty_from = (uint32_t)(none ? from - first : min_u64(t->dirty_from, from - first));
        t->dirty_to = (uint32_t)(none ? to - first : max_u64(t->dirty_to, to - first));
    }
}

static bool yield_tables(struct qcow2_writer *w, struct plan_sink *sink)
{
    for (; w->index < w->q->l1_size; w->index++) {
        struct wtable *t = w->tables[w->index];
        if (!t || t->dirty_from == t->dirty_to)
            continue;
        if (!yield_table(w, sink, w->index))
            return false;
        clean_table(w, w->index);
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

static bool yield_l1(struct qcow2_writer *w, struct plan_sink *sink)
{
    uint64_t table = w->q->header.l1_table_offset;
    if (w->l1_dirty_from == w->l1_dirty_to && w->index == 0)
        return true;
    w->index = 1;
    while (w->l1_dirty_from < w->l1_dirty_to) {
        uint64_t nr = min_u64(w->l1_dirty_to - w->l1_dirty_from, PLAN_CHUNK_BYTES / 8);
        if (!plan_room(sink, 1, nr * 8))
            return false;
        uint8_t *at =
            plan_write(sink, w->blob, table + w->l1_dirty_from * 8, nr * 8, CELL_NOTE_L1_TABLE);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(at + i * 8, w->q->l1[w->l1_dirty_from + i]);
        w->l1_dirty_from += nr;
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    w->l1_dirty_from = w->l1_dirty_to = 0;
    return true;
}

/* The file ends behind the last cluster in use; an older image is only made longer. */
static bool yield_size(struct qcow2_writer *w, struct plan_sink *sink)
{
    uint64_t end = w->alloc.end << wbits(w);
    if (!plan_room(sink, 1, 0))
        return false;
    if (w->finishing && w->fresh && !w->q->has_data_file)
        plan_simple(sink, CELL_OP_TRUNCATE, w->blob, end, 0, CELL_NOTE_FILE_SIZE);
    else if (end > w->q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, w->blob, end, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

/* After a plan the host has changed the file: nothing read before it may be used again. */
static void end_plan(struct qcow2_writer *w)
{
    uint64_t end = w->alloc.end << wbits(w);
    w->q->source->size_bytes = max_u64(w->q->source->size_bytes, end);
    source_forget(w->q->source);
    qcow2_l2_window_reset(&w->q->window, w->q->l1, w->q->l1_size);
    if (wtable_bytes(w) > w->table_budget / 2) {
        for (uint64_t i = 0; i < w->q->l1_size; i++) {
            struct wtable *t = w->tables[i];
            if (!t || is_dirty(t))
                continue;
            free(t->bytes);
            free(t);
            w->tables[i] = NULL;
            w->nr_tables--;
        }
    }
    qcow2_alloc_shrink(&w->alloc, w->block_budget / 2);
}

/* Does one phase: false when the batch is full. */
static bool run_phase(struct qcow2_writer *w, struct plan_sink *sink, enum guest_err *err,
                      struct guest_err_detail *detail)
{
    switch ((enum phase)w->phase) {
    case PHASE_RUNS:
        *err = wqueue_run(w, detail);
        return true;
    case PHASE_PREPARE:
        *err = prepare_tables(w, detail);
        return true;
    case PHASE_DATA:
        return yield_data(w, sink);
    case PHASE_REFCOUNTS:
        return qcow2_alloc_yield(&w->alloc, sink);
    case PHASE_TABLES:
        return yield_tables(w, sink);
    case PHASE_L1:
        if (!yield_l1(w, sink))
            return false;
        *err = qcow2_alloc_settle(&w->alloc, detail);
        return true;
    case PHASE_FREED:
        return qcow2_alloc_yield(&w->alloc, sink);
    case PHASE_SIZE:
        return yield_size(w, sink);
    case PHASE_DONE:
        break;
    }
    return true;
}

/*
 * One round writes what has changed; there are more while reported runs are left. A round starts in
 * a batch of its own, since it reads what the one before has written.
 */
static enum guest_err wplan_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                 struct guest_err_detail *detail)
{
    struct qcow2_writer *w = (struct qcow2_writer *)plan;
    enum guest_err err = GUEST_OK;

    *out_done = false;
    while (w->phase != PHASE_DONE && run_phase(w, sink, &err, detail)) {
        if (err)
            return err;
        w->phase++;
        w->index = 0;
    }
    if (w->phase != PHASE_DONE)
        return GUEST_OK;
    end_plan(w);
    w->phase = PHASE_RUNS;
    *out_done = w->at_queue == w->nr_queue;
    return GUEST_OK;
}

/* The plan is part of the writer, which lives on. */
static void wplan_free(struct plan *plan)
{
    (void)plan;
}

const struct plan_verbs wplan_verbs = {wplan_next, wplan_free};
