/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of an image in the cell that has it open, and repairs: the cell says what it finds while
 * it looks, and leaves a plan for what it repairs.
 */
#ifndef INSTAR_SRC_PLAN_REPAIR_H
#define INSTAR_SRC_PLAN_REPAIR_H

#include <glib.h>

#include "compat/result.h"
#include "src/io/endpoint.h"
#include "src/sandbox/sandbox.h"

/* What is checked. */
struct repair_target {
    struct cell *cell;
    uint32_t node;
    uint32_t blob; /* of the image's own file */
    struct endpoint *endpoint;
    const char *filename; /* for messages */
    const GArray *files; /* of struct apply_target: what may be written to; NULL: that file alone */
    gboolean fix_leaks;
    gboolean fix_errors;
};

/*
 * Runs one check, findings to stderr as they come, and writes what it repaired.
 *
 * out:     *out: the totals; the names in it are the caller's
 * returns: FALSE when the check could not be finished, or a write failed. What was repaired before
 *          that is written all the same
 */
gboolean repair_check(const struct repair_target *target, struct check_result *out, GError **error);

#endif
