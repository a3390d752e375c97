/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From images to pieces: one or more sources, one behind the other, seen as the stream of pieces
 * that a copy takes (piece_next_fn), and what the target itself holds (piece_rest_fn).
 */
#ifndef INSTAR_SRC_COPY_FEED_H
#define INSTAR_SRC_COPY_FEED_H

#include "src/copy/piece.h"
#include "src/graph/graph.h"

struct feed_options {
    struct image *const *sources;
    guint nr_sources;
    struct image *target; /* NULL: what the copy leaves out reads as zeros there */
    guint64 target_size;  /* bytes; what lies behind the sources' end is not touched */
    /*
     * The target has a backing file that holds what the source's top layer does not: only that
     * layer is copied. backing_size: where the target's backing file ends (G_MAXUINT64: unknown).
     */
    gboolean top_layer_only;
    guint64 backing_size;
    gboolean salvage; /* a run that cannot be found out becomes BAD sectors, and goes on */
};

struct feed;

struct feed *feed_new(const struct feed_options *options);
void feed_free(struct feed *feed);

/* Starts over. */
void feed_rewind(struct feed *feed);

/* Bytes of all sources together; each is a whole number of sectors. */
guint64 feed_size(const struct feed *feed);

/* piece_next_fn and piece_rest_fn; user is the feed. */
int feed_next(void *user, struct piece *out, GError **error);
gboolean feed_rest(void *user, guint64 start, guint64 length, GArray *pieces, GError **error);

/* Turns an extent into a piece at `start` of the target. */
void piece_from_extent(const struct extent *extent, guint64 start, struct piece *out);

/*
 * Turns the first `length` bytes of an extent into a piece at `start`; the extent is what is left.
 *
 * in:      length <= extent->length
 */
struct piece piece_from_head(struct extent *extent, guint64 start, guint64 length);

#endif
