/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of a change of bitmaps. See qcow2_bitmap_plan.h.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_bitmap_plan.h"
#include "guest/lib/checked.h"

#define HEADER_RT_OFFSET 48u

/* One step: fills the sink as far as it has room; *out_more when it has to be called again. */
typedef enum guest_err (*bitmap_step)(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                      struct guest_err_detail *detail);

static unsigned cluster_bits(const struct bitmap_plan *p)
{
    return p->q->header.cluster_bits;
}

static enum guest_err yield_counts(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = p->directory_changes && !qcow2_alloc_yield(&p->alloc, sink);
    return GUEST_OK;
}

static bool is_written(const struct bitmap_state *s)
{
    return s->changed && !s->gone;
}

static enum guest_err yield_bits(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                 struct guest_err_detail *detail)
{
    for (; p->at_state < p->nr_states; p->at_state++, p->at_entry = 0) {
        const struct bitmap_state *s = &p->state[p->at_state];
        for (; is_written(s) && p->at_entry < s->nr_entries; p->at_entry++) {
            if (!s->write || !s->write[p->at_entry])
                continue;
            *out_more = !plan_room(sink, 1, p->q->cluster_size);
            if (*out_more)
                return GUEST_OK;
            enum guest_err err = bitmap_compose(p, s, p->at_entry, detail);
            if (err)
                return err;
            memcpy(plan_write(sink, p->blob, s->table[p->at_entry], p->q->cluster_size,
                              CELL_NOTE_BITMAP),
                   p->cluster, p->q->cluster_size);
        }
    }
    return GUEST_OK;
}

/* Tables fill their clusters. */
static enum guest_err yield_tables(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    uint64_t per_cluster = p->q->cluster_size / 8;
    (void)detail;
    for (; p->at_state < p->nr_states; p->at_state++, p->at_entry = 0) {
        const struct bitmap_state *s = &p->state[p->at_state];
        uint64_t end = div_round_up_u64(s->nr_entries, per_cluster) * per_cluster;
        while (p->directory_changes && is_written(s) && p->at_entry < end) {
            uint64_t nr = min_u64(end - p->at_entry, PLAN_CHUNK_BYTES / 8);
            *out_more = !plan_room(sink, 1, nr * 8);
            if (*out_more)
                return GUEST_OK;
            uint8_t *at =
                plan_write(sink, p->blob, (s->table_cluster << cluster_bits(p)) + p->at_entry * 8,
                           nr * 8, CELL_NOTE_BITMAP);
            for (uint64_t i = 0; i < nr; i++, p->at_entry++)
                store_be64(&at[i * 8], p->at_entry < s->nr_entries ? s->table[p->at_entry] : 0);
        }
    }
    return GUEST_OK;
}

static enum guest_err yield_directory(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                      struct guest_err_detail *detail)
{
    uint64_t bytes = p->q->cluster_size;
    uint64_t end = div_round_up_u64(p->directory_bytes, bytes) * bytes;
    (void)detail;
    while (p->at_entry < end) {
        uint64_t len = min_u64(end - p->at_entry, PLAN_CHUNK_BYTES);
        *out_more = !plan_room(sink, 1, len);
        if (*out_more)
            return GUEST_OK;
        memcpy(plan_write(sink, p->blob, (p->directory_cluster << cluster_bits(p)) + p->at_entry,
                          len, CELL_NOTE_BITMAP),
               &p->directory[p->at_entry], len);
        p->at_entry += len;
    }
    return GUEST_OK;
}

/* The refcount table may have moved. */
static enum guest_err yield_barrier(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                    struct guest_err_detail *detail)
{
    uint8_t place[12];
    (void)detail;
    *out_more = !plan_room(sink, 1, 0);
    if (*out_more || !p->directory_changes)
        return GUEST_OK;
    plan_barrier(sink);
    store_be64(place, p->alloc.table_offset);
    store_be32(&place[8], (uint32_t)p->alloc.table_clusters);
    header_edit_patch(&p->edit, HEADER_RT_OFFSET, place, sizeof(place));
    return GUEST_OK;
}

static enum guest_err yield_header(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                                   struct guest_err_detail *detail)
{
    (void)detail;
    *out_more = !header_edit_yield(&p->edit, sink, p->blob);
    return GUEST_OK;
}

static enum guest_err settle(struct bitmap_plan *p, struct plan_sink *sink, bool *out_more,
                             struct guest_err_detail *detail)
{
    (void)sink;
    (void)out_more;
    return p->directory_changes ? qcow2_alloc_settle(&p->alloc, detail) : GUEST_OK;
}

static const bitmap_step steps[] = {
    yield_counts,  yield_bits,   yield_tables, yield_directory,
    yield_barrier, yield_header, settle,       yield_counts,
};
#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

static enum guest_err bitmap_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct bitmap_plan *p = (struct bitmap_plan *)plan;
    for (; p->phase < NR_STEPS; p->phase++, p->at_state = 0, p->at_entry = 0) {
        bool more = false;
        enum guest_err err = steps[p->phase](p, sink, &more, detail);
        if (err || more)
            return err;
    }
    *out_done = true;
    return GUEST_OK;
}

static void bitmap_free(struct plan *plan)
{
    struct bitmap_plan *p = (struct bitmap_plan *)plan;
    for (uint32_t i = 0; i < p->nr_states; i++) {
        struct bitmap_state *s = &p->state[i];
        for (unsigned k = 0; k < s->nr_inputs; k++)
            qcow2_bits_clear(&s->inputs[k]);
        free(s->inputs);
        free(s->table);
        free(s->write);
    }
    if (p->bits)
        source_free(p->bits);
    qcow2_alloc_clear(&p->alloc);
    header_edit_clear(&p->edit);
    free(p->state);
    free(p->directory);
    free(p->cluster);
    free(p->old_cluster);
    free(p->scratch);
    free(p);
}

const struct plan_verbs bitmap_verbs = {bitmap_next, bitmap_free};
