/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that create images share. Only src/plan/create_*.c include this.
 */
#ifndef INSTAR_SRC_PLAN_CREATE_PRIVATE_H
#define INSTAR_SRC_PLAN_CREATE_PRIVATE_H

#include "guest/abi/plan.pb-c.h"
#include "src/plan/apply.h"
#include "src/plan/made_file.h"

/* Blobs of a creation plan: the image, and the file of its data where that is another. */
#define CREATE_IMAGE_BLOB 0u
#define CREATE_DATA_BLOB  1u

/* A cell for a planner. NULL with *error. */
struct cell *create_cell(GError **error);

/* create_image for each kind of target; file: the options of the file below. */
gboolean create_qcow2_image(const struct create_opts *opts, const char *filename,
                            const struct create_file *file, gboolean no_flush, GError **error);

/*
 * Any format whose planner takes its options as key and value, in one file.
 */
gboolean create_planned_image(const struct create_opts *opts, const char *filename,
                              const struct create_file *file, gboolean no_flush, GError **error);

#endif
