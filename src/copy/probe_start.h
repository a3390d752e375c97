/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first bytes of a disk would be taken for if they were a file.
 */
#ifndef INSTAR_SRC_COPY_PROBE_START_H
#define INSTAR_SRC_COPY_PROBE_START_H

#include "src/graph/graph.h"

/*
 * Whether a file that starts like the image's disk would be probed as raw. A cell of its own looks
 * at the bytes.
 *
 * returns: FALSE with *error when they cannot be read
 */
gboolean probe_start(struct image *image, gboolean *out_raw, GError **error);

#endif
