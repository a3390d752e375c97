/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who changes an image of the crash tests: each planner, called as the cell calls it.
 */
#ifndef INSTAR_TESTS_CRASH_CHANGES_H
#define INSTAR_TESTS_CRASH_CHANGES_H

#include <glib.h>

#include "guest/formats/format.h"
#include "guest/plan/plan.h"
#include "tests/crash/bench.h"

struct crash_case;

/*
 * Changes the image that the bench holds open, as the case says.
 *
 * out:     appends every step to log (of struct step), carried out on the bench's files by then
 */
typedef void crash_change(struct bench *bench, const struct crash_case *c, GArray *log);

/* The name of the case says what is done: snapshot-create, bitmap-add, amend-upgrade, ... */
crash_change change_create, change_resize, change_snapshot, change_repair, change_bitmap,
    change_amend, change_write, change_empty, change_backing, change_rebase, change_write_stream;

/* Carries a plan out on the bench's files, or one write of data, and notes the steps. */
void log_plan(struct bench *b, struct plan *plan, GArray *log);
void log_write(struct bench *b, GArray *log, uint32_t blob, uint64_t offset, const uint8_t *bytes,
               uint64_t len);

/* The name that change_backing and change_rebase give to the new backing file. */
const char *new_base(const struct crash_case *c);

/* Makes the bench's image a differencing disk over "base"; fills it where the case says so. */
void make_child(struct bench *b, const struct crash_case *c);

/* What a check that repairs everything leaves to be written; NULL: nothing. */
struct plan *plan_repair_all(struct node *node);

#endif
