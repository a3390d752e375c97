/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an overlay would lose with another backing file, as a stream of pieces.
 *
 * Where the overlay holds nothing, the old chain's piece is given, and the new backing file's is
 * what it is compared with. Where the overlay has its own, where both are zeros, and where both
 * are the same bytes of the same file, nothing is given.
 */
#ifndef INSTAR_SRC_COPY_REBASE_FEED_H
#define INSTAR_SRC_COPY_REBASE_FEED_H

#include "src/copy/piece.h"
#include "src/graph/graph.h"

struct rebase_feed;

/* in:      overlay with its old chain; backing: NULL: none, all zeros. Both outlive the feed */
struct rebase_feed *rebase_feed_new(struct image *overlay, struct image *backing);
void rebase_feed_free(struct rebase_feed *feed);

/* Starts over. */
void rebase_feed_rewind(struct rebase_feed *feed);

/* piece_next_fn, and piece_rest_fn twice; user is the feed. */
int rebase_feed_next(void *user, struct piece *out, GError **error);
gboolean rebase_feed_rest(void *user, guint64 start, guint64 length, GArray *pieces,
                          GError **error);
gboolean rebase_feed_against(void *user, guint64 start, guint64 length, GArray *pieces,
                             GError **error);

#endif
