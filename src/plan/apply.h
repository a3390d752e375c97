/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies a patch plan that a cell yields: drains PLAN_NEXT, checks every op, writes, flushes at
 * barriers. INSTAR_EXPLAIN=plan prints the plan to stderr instead.
 */
#ifndef INSTAR_SRC_PLAN_APPLY_H
#define INSTAR_SRC_PLAN_APPLY_H

#include <glib.h>

#include "src/io/endpoint.h"
#include "src/sandbox/sandbox.h"

/* The blobs a plan may write to, by id. A plan that names any other is refused. */
struct apply_target {
    uint32_t blob;
    struct endpoint *endpoint;
};

/*
 * Applies the plan that was just started in the cell.
 *
 * in:      may_copy_from: endpoints a COPY may read, may be NULL
 * returns: FALSE on a malformed op (nothing of that batch was applied) or a failed write;
 * *out_errno holds the errno of a failed write, 0 otherwise, *out_note which structure it was
 */
gboolean apply_plan(struct cell *cell, const struct apply_target *targets, unsigned nr_targets,
                    int *out_errno, enum cell_op_note *out_note, GError **error);

/*
 * Whether INSTAR_EXPLAIN=plan is in force.
 */
gboolean apply_explains(void);

#endif
