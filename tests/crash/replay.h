/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans without a cell: drained in this process and carried out on files, whole or up to any point.
 *
 * This is a second, simple reading of what the ops mean, on purpose apart from src/plan/apply.c.
 */
#ifndef INSTAR_TESTS_CRASH_REPLAY_H
#define INSTAR_TESTS_CRASH_REPLAY_H

#include <glib.h>

#include "guest/plan/plan.h"

#define REPLAY_BLOBS_MAX 4

/* One elementary change of one blob. */
enum step_kind {
    STEP_WRITE,    /* bytes at offset */
    STEP_ZERO,     /* length bytes at offset read as zeros */
    STEP_COPY,     /* length bytes at offset are what the same blob has at source */
    STEP_TRUNCATE, /* the blob is offset bytes long */
    STEP_BARRIER,
};

struct step {
    enum step_kind kind;
    uint32_t blob;
    uint64_t offset;
    uint64_t length;
    uint64_t source;
    uint8_t *bytes; /* STEP_WRITE: length of them, owned */
    unsigned note;  /* enum cell_op_note */
};

/*
 * Drains a plan to its end, in batches as small as `max_ops` ops, and frees it.
 *
 * out:     appends to steps, an array made by steps_new; op by op, nothing merged
 */
GArray *steps_new(void); /* of struct step; freed with g_array_unref */
void steps_drain(GArray *steps, struct plan *plan, unsigned max_ops);

/* One batch of it alone; TRUE when it was the last, and the plan is freed. */
gboolean steps_batch(GArray *steps, struct plan *plan, unsigned max_ops);

/* Carries out one step; fds[blob] is the file of that blob. */
void step_apply(const struct step *step, const int *fds);
void steps_apply(const GArray *steps, const int *fds);

#endif
