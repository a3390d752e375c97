/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a table writer, shared by table_writer*.c.
 */
#ifndef INSTAR_GUEST_FORMATS_TABLE_WRITER_PRIVATE_H
#define INSTAR_GUEST_FORMATS_TABLE_WRITER_PRIVATE_H

#include "guest/formats/table_pages.h"
#include "guest/formats/zero_list.h"
#include "guest/lib/checked.h"

enum table_writer_phase {
    TABLE_PHASE_PLACE_TABLES,
    TABLE_PHASE_BEFORE,
    TABLE_PHASE_ROOM,
    TABLE_PHASE_BLOCKS,
    TABLE_PHASE_TABLES,
    TABLE_PHASE_AFTER,
    TABLE_PHASE_DONE,
};

struct table_writer {
    struct image_writer base;
    struct table_pages pages;
    uint64_t budget;      /* bytes of pages */
    uint64_t lease_start; /* of the last leases, that follow each other without a gap */
    uint64_t lease_end;
    uint64_t leased_from; /* where the first lease began */
    uint64_t comp_pos;    /* where the next compressed bytes go; 0: in a new place */

    struct cell_place *queue; /* reported, not in the tables yet */
    uint64_t nr_queue, max_queue, at_queue;

    struct zero_list zeros; /* blocks to be made zero where they are */

    uint64_t *new_tables; /* indices, ascending, that the current plan gives a place */
    uint64_t nr_new, max_new;

    enum table_writer_phase phase;
    uint64_t index; /* inside the phase */
    bool begun;     /* the ops before everything have been given out */
    bool finishing;
};

static inline struct table_writer *table_writer_of(struct image_writer *writer)
{
    return (struct table_writer *)writer;
}

/* Puts reports into the tables until there are none left or memory is short. */
enum guest_err table_writer_run_queue(struct table_writer *w, struct guest_err_detail *detail);

bool table_writer_over_budget(const struct table_writer *w);

/* Takes `bytes` bytes at the end of the file for a block. */
enum guest_err table_writer_take(struct table_writer *w, uint64_t bytes, uint64_t *out_offset,
                                 struct guest_err_detail *detail);

/* table_writer_plan.c */
struct plan *table_writer_plan(struct image_writer *writer);
struct plan *table_writer_finish(struct image_writer *writer, uint64_t unused_offset);
enum guest_err table_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                 struct guest_err_detail *detail);

#endif
