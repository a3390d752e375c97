/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper layers of a chain as a stream of pieces: what they hold, and nothing of what is below.
 */
#ifndef INSTAR_SRC_COPY_LAYERS_FEED_H
#define INSTAR_SRC_COPY_LAYERS_FEED_H

#include "src/copy/piece.h"
#include "src/graph/graph.h"

struct layers_feed;

/*
 * in:      top: the chain; nr_layers: of it, from the top, at least 1; target: what the pieces go
 *          into, at least as large as top: it keeps what the layers do not hold. Both outlive the
 *          feed
 */
struct layers_feed *layers_feed_new(struct image *top, unsigned nr_layers, struct image *target);
void layers_feed_free(struct layers_feed *feed);

/* Starts over. */
void layers_feed_rewind(struct layers_feed *feed);

/* piece_next_fn and piece_rest_fn; user is the feed. */
int layers_feed_next(void *user, struct piece *out, GError **error);
gboolean layers_feed_rest(void *user, guint64 start, guint64 length, GArray *pieces,
                          GError **error);

#endif
