/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a shrink. See qcow2_shrink.h for the order.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/formats/qcow2_shrink.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* The header's fields from `size` to `l1_size`. */
#define HEADER_SIZE       24u
#define HEADER_SIZE_BYTES 16u

/* A step fills the sink from s->index on; false: it is to be called again with the next batch. */
typedef bool (*shrink_step)(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                            struct guest_err_detail *detail);

/* ---- the copy of the table at the new end ---- */

static bool yield_alloc(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                        struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    return !s->edge_copy || qcow2_alloc_yield(&s->alloc, sink);
}

static bool yield_copy(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                       struct guest_err_detail *detail)
{
    uint64_t size = s->q->cluster_size;

    (void)err, (void)detail;
    if (!s->edge_copy)
        return true;
    if (!plan_room(sink, 2, size))
        return false;
    memcpy(plan_write(sink, s->blob, s->edge_copy << shrink_bits(s), size, CELL_NOTE_L2_TABLE),
           s->edge_bytes, size);
    plan_barrier(sink);
    return true;
}

/* ---- the switch ---- */

static bool yield_header(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                         struct guest_err_detail *detail)
{
    uint8_t *at;

    (void)err, (void)detail;
    if (!plan_room(sink, 2, HEADER_SIZE_BYTES))
        return false;
    at = plan_write(sink, s->blob, HEADER_SIZE, HEADER_SIZE_BYTES, CELL_NOTE_HEADER);
    store_be64(at, s->new_size);
    store_be32(&at[8], s->q->header.crypt_method);
    store_be32(&at[12], (uint32_t)s->l1_entries);
    plan_barrier(sink);
    return true;
}

/* What is left of the L1 table's last cluster is cleared, so that growing finds nothing there. */
static bool yield_l1(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                     struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &s->q->header;
    uint64_t from = s->l1_entries * 8, per = s->q->cluster_size;
    uint64_t to = min_u64(div_round_up_u64(from, per) * per, s->q->l1_size * 8);

    (void)err, (void)detail;
    if (!plan_room(sink, 2, 8 + (to - from)))
        return false;
    if (s->edge_copy)
        store_be64(
            plan_write(sink, s->blob, h->l1_table_offset + s->edge_l1 * 8, 8, CELL_NOTE_L1_TABLE),
            s->edge_copy << shrink_bits(s) | QCOW2_OFLAG_COPIED);
    if (to > from)
        memset(plan_write(sink, s->blob, h->l1_table_offset + from, to - from, CELL_NOTE_L1_TABLE),
               0, to - from);
    return true;
}

static bool yield_edge(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                       struct guest_err_detail *detail)
{
    uint64_t len = s->q->cluster_size - s->edge_from;

    (void)err, (void)detail;
    if (!plan_room(sink, 2, len))
        return false;
    if (s->edge && !s->edge_copy)
        memcpy(plan_write(sink, s->blob, (s->q->l1[s->edge_l1] & QCOW2_OFFSET_MASK) + s->edge_from,
                          len, CELL_NOTE_L2_TABLE),
               &s->edge_bytes[s->edge_from], len);
    plan_barrier(sink);
    return true;
}

/* ---- refcounts ---- */

static void write_changed(struct qcow2_shrink *s, struct plan_sink *sink, uint64_t offset,
                          const uint8_t *old)
{
    uint64_t from = 0, to = s->q->cluster_size;

    while (from < to && memcmp(&old[from], &s->block[from], QCOW2_SECTOR_BYTES) == 0)
        from += QCOW2_SECTOR_BYTES;
    while (to > from && memcmp(&old[to - QCOW2_SECTOR_BYTES], &s->block[to - QCOW2_SECTOR_BYTES],
                               QCOW2_SECTOR_BYTES) == 0)
        to -= QCOW2_SECTOR_BYTES;
    if (to > from)
        memcpy(plan_write(sink, s->blob, offset + from, to - from, CELL_NOTE_REFCOUNT_BLOCK),
               &s->block[from], to - from);
}

/* What s->block, the one at `index`, counts no more, as far as it stays inside the file. */
static void note_freed(struct qcow2_shrink *s, uint64_t index)
{
    uint64_t first = index << s->alloc.block_bits;
    uint64_t end = min_u64(first + (1ull << s->alloc.block_bits), s->nr_clusters);

    end = min_u64(end, s->last_cluster + 1);
    for (uint64_t c = first; c < end; c++) {
        struct qcow2_run *last = s->nr_freed ? &s->freed[s->nr_freed - 1] : NULL;

        c = qcow2_counts_next(&s->gone, c, end);
        if (c == end || qcow2_refblock_load(s->block, c - first, s->alloc.order))
            continue;
        if (last && last->end == c)
            last->end++;
        else if (s->nr_freed < QCOW2_SHRINK_FREED_MAX)
            s->freed[s->nr_freed++] = (struct qcow2_run){c, c + 1};
    }
}

/* s->index is a host cluster here. */
static bool yield_blocks(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                         struct guest_err_detail *detail)
{
    uint8_t *old = arena_bytes(s->q->cluster_size);

    if (!old)
        *err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    while (!*err) {
        uint64_t index;

        s->index = qcow2_counts_next(&s->gone, s->index, s->nr_clusters);
        if (s->index == s->nr_clusters)
            break;
        index = s->index >> s->alloc.block_bits;
        if (!s->dropped[index]) {
            if (!plan_room(sink, 1, s->q->cluster_size)) {
                free(old);
                return false;
            }
            *err = qcow2_shrink_block(s, index, old, detail);
            if (!*err) {
                write_changed(s, sink, s->alloc.table[index], old);
                note_freed(s, index);
            }
        }
        s->index = (index + 1) << s->alloc.block_bits;
    }
    free(old);
    return true;
}

/*
 * Blocks that count nothing leave the table at once with what they counted: where there is no
 * block, nothing is counted.
 */
static bool yield_table(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                        struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    while (s->index < s->alloc.table_entries) {
        uint64_t from = s->index, to = from;

        for (; to < s->alloc.table_entries && s->dropped[to] && to - from < PLAN_CHUNK_BYTES / 8;)
            to++;
        if (to == from) {
            s->index++;
            continue;
        }
        if (!plan_room(sink, 1, 0))
            return false;
        plan_simple(sink, CELL_OP_FILL, s->blob, s->alloc.table_offset + from * 8, (to - from) * 8,
                    CELL_NOTE_REFCOUNT_TABLE);
        s->index = to;
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

/* ---- the files ---- */

static bool yield_discards(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                           struct guest_err_detail *detail)
{
    (void)err, (void)detail;
    for (; s->index < s->nr_freed; s->index++) {
        struct qcow2_run run = s->freed[s->index];

        if (!plan_room(sink, 1, 0))
            return false;
        plan_simple(sink, CELL_OP_DISCARD, s->blob, run.start << shrink_bits(s),
                    (run.end - run.start) << shrink_bits(s), CELL_NOTE_NONE);
    }
    return true;
}

static bool yield_sizes(struct qcow2_shrink *s, struct plan_sink *sink, enum guest_err *err,
                        struct guest_err_detail *detail)
{
    uint64_t end = (s->last_cluster + 1) << shrink_bits(s);

    (void)err, (void)detail;
    if (!plan_room(sink, 2, 0))
        return false;
    if (end < s->q->source->size_bytes)
        plan_simple(sink, CELL_OP_TRUNCATE, s->blob, end, 0, CELL_NOTE_FILE_SIZE);
    if (s->data && s->data->size_bytes > s->new_size)
        plan_simple(sink, CELL_OP_TRUNCATE, s->data->blob, s->new_size, 0, CELL_NOTE_FILE_SIZE);
    return true;
}

static const shrink_step steps[] = {
    yield_alloc,
    yield_copy,
    qcow2_shrink_yield_in_use,
    yield_header,
    yield_l1,
    qcow2_shrink_yield_bits,
    qcow2_shrink_yield_cuts,
    yield_edge,
    yield_blocks,
    yield_table,
    yield_discards,
    yield_sizes,
};

static enum guest_err shrink_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct qcow2_shrink *s = (struct qcow2_shrink *)plan;
    enum guest_err err = GUEST_OK;

    for (; s->phase < sizeof(steps) / sizeof(steps[0]); s->phase++, s->index = 0) {
        bool done = steps[s->phase](s, sink, &err, detail);

        if (err || !done)
            break;
    }
    *out_done = s->phase == sizeof(steps) / sizeof(steps[0]);
    return err;
}

static void shrink_free(struct plan *plan)
{
    struct qcow2_shrink *s = (struct qcow2_shrink *)plan;

    qcow2_alloc_clear(&s->alloc);
    qcow2_counts_clear(&s->gone);
    free(s->edge_bytes);
    free(s->block);
    free(s->dropped);
    free(s);
}

const struct plan_verbs qcow2_shrink_verbs = {.next = shrink_next, .free = shrink_free};
