/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the dirty bitmaps of an image what is going to be written to it.
 *
 * The bits are set before the data is written: whenever it stops, a bitmap says too much at most,
 * and a backup that goes by it misses nothing.
 */
#ifndef INSTAR_SRC_PLAN_DIRTY_RANGES_H
#define INSTAR_SRC_PLAN_DIRTY_RANGES_H

#include "src/copy/piece.h"
#include "src/graph/graph.h"

/* Gives what is to be written, as piece_next_fn does; SKIP pieces are not. */
typedef int (*dirty_next_fn)(void *user, struct piece *out, GError **error);

/*
 * Sets the bits of everything that `next` gives in each bitmap that records changes.
 *
 * in:      image: opened read-write
 * out:     *out_stored: there was such a bitmap, and its bits were stored: the cell has the image
 *          as it was, so that it must be opened anew before it is used
 * bound:   memory: 4 MiB of bits, whatever the size of the disk
 */
gboolean dirty_ranges_store(struct image *image, dirty_next_fn next, void *user,
                            gboolean *out_stored, GError **error);

#endif
