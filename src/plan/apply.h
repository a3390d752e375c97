/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies a patch plan that a cell yields: drains PLAN_NEXT, checks every op, writes, flushes at
 * barriers. INSTAR_EXPLAIN=plan prints the plan to stderr instead.
 */
#ifndef INSTAR_SRC_PLAN_APPLY_H
#define INSTAR_SRC_PLAN_APPLY_H

#include <glib.h>
#include <stdio.h>

#include "src/io/endpoint.h"
#include "src/sandbox/sandbox.h"

/* The domain of a plan's writes that failed: the code is the errno. */
#define APPLY_ERROR apply_error_quark()
GQuark apply_error_quark(void);

/* The errno of a plan's write that failed; 0: it was something else. */
int apply_errno(const GError *error);

/* Tells a plan's write that failed in other words, "SENTENCE: reason"; nothing else is changed. */
void apply_reword(GError **error, const char *sentence);

/* The blobs a plan may write to, by id. A plan that names any other is refused. */
struct apply_target {
    uint32_t blob;
    struct endpoint *endpoint; /* NULL: only to be explained */
    uint64_t limit_bytes;      /* no op may reach past this; 0: 2^63 - 1 */
};

/*
 * Applies the plan that was just started in the cell, or explains it.
 *
 * in:      targets also are all that a COPY may read
 * returns: FALSE on a malformed op (nothing of that batch was applied) or a failed write;
 *          *out_errno holds the errno of a failed write, 0 otherwise, *out_note which structure it
 *          was. Both may be NULL
 */
gboolean apply_plan(struct cell *cell, const struct apply_target *targets, unsigned nr_targets,
                    int *out_errno, enum cell_op_note *out_note, GError **error);

/*
 * The same, and then flushes every target, unless the plan was only explained.
 *
 * returns: FALSE as above, or with the sentence of a flush that failed
 */
gboolean apply_plan_flushed(struct cell *cell, const struct apply_target *targets,
                            unsigned nr_targets, GError **error);

/*
 * Checks one op as it came from the cell.
 *
 * in:      window_bytes: of the cell's data window
 * returns: NULL, or what is wrong with it
 */
const char *apply_check_op(const struct cell_op *op, const struct apply_target *targets,
                           unsigned nr_targets, uint64_t window_bytes);

/*
 * Carries out ops that were checked, neighbouring writes gathered into one.
 *
 * in:      window: the bytes of WRITE ops
 * returns: 0, or the errno of the first failure, and its structure in *out_note
 */
int apply_ops(const struct cell_op *ops, unsigned nr_ops, const uint8_t *window,
              const struct apply_target *targets, unsigned nr_targets, enum cell_op_note *out_note);

/*
 * Whether INSTAR_EXPLAIN=plan is in force: plans are printed to stderr and nothing is written.
 */
gboolean apply_explains(void);

/* explain.c: prints ops, one a line. Numbers stages from *stage on. */
void apply_explain_ops(FILE *out, const struct cell_op *ops, unsigned nr_ops, unsigned *stage);

/* What a structure is called in messages ("qcow2 header", "L1 table"). */
const char *apply_note_name(unsigned note);

#endif
