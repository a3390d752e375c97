/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes at an offset of an image are, for requests that come in any order.
 *
 * The chain is mapped window by window, each when the first request touches it, and kept. The cell
 * belongs to the feeder of the pool: workers wait for it where their window is missing.
 */
#ifndef INSTAR_SRC_COPY_LOOKUP_H
#define INSTAR_SRC_COPY_LOOKUP_H

#include "src/copy/piece.h"
#include "src/copy/pool.h"
#include "src/graph/graph.h"

struct lookup;

/* in:      image: outlives the lookup */
struct lookup *lookup_new(struct image *image);
void lookup_free(struct lookup *lookup);

/* Says which pool's lock and feeder to use. */
void lookup_attach(struct lookup *lookup, struct pool *pool);

/*
 * Appends the pieces (struct piece) of [start, start + length), in order and without gaps.
 *
 * in:      the range lies inside the disk
 * out:     what could not be found out is a BAD piece; that the image is damaged is told on stderr
 *          when the first of them is given out
 * returns: 0, or ECANCELED after lookup_abandon
 * bound:   at most PIECES_MAX pieces are kept, and one window more
 */
int lookup_pieces(struct lookup *lookup, guint64 start, guint64 length, GArray *pieces);

/* Feeder: maps the windows that workers wait for. */
void lookup_serve(struct lookup *lookup);

/* Feeder: workers that wait, or will, are let go. */
void lookup_abandon(struct lookup *lookup);

#endif
