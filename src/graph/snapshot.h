/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an image as it was in one of its internal snapshots (`-l` of convert and measure).
 */
#ifndef INSTAR_SRC_GRAPH_SNAPSHOT_H
#define INSTAR_SRC_GRAPH_SNAPSHOT_H

#include "src/graph/graph.h"

/*
 * Switches an opened image to an internal snapshot, for reading.
 *
 * in:      either: an id or a name, as typed; or id and name (each may be NULL), when `either` is
 *          NULL
 * returns: FALSE with stock's text after "Failed to load snapshot: "
 */
gboolean image_load_snapshot(struct image *image, const char *either, const char *id,
                             const char *name, GError **error);

#endif
