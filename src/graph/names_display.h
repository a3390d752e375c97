/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a name is reported.
 */
#ifndef INSTAR_SRC_GRAPH_NAMES_DISPLAY_H
#define INSTAR_SRC_GRAPH_NAMES_DISPLAY_H

#include "src/graph/names.h"

/* Drops options of qcow2 that only tune how a long-running process works. */
void name_drop_tuning(struct blockopts *opts);

/*
 * Fills the display names of a parsed name and of each node below it.
 *
 * in:      opts: the options as they were before parsing; freed
 */
void name_display_nodes(struct name *name, struct blockopts *opts);

#endif
