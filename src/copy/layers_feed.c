/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/layers_feed.h"

#include "src/copy/feed.h"

struct layers_feed {
    struct image *top;
    unsigned nr_layers;
    guint64 target_size;
    struct feed *rest; /* what the target holds */
    struct extents *it;
    guint64 position;
};

struct layers_feed *layers_feed_new(struct image *top, unsigned nr_layers, struct image *target)
{
    struct layers_feed *feed = g_new0(struct layers_feed, 1);

    feed->top = top;
    feed->nr_layers = nr_layers;
    feed->target_size = image_virtual_size(target);
    feed->rest = feed_new(&(struct feed_options){.target = target});
    layers_feed_rewind(feed);
    return feed;
}

void layers_feed_free(struct layers_feed *feed)
{
    extents_free(feed->it);
    feed_free(feed->rest);
    g_free(feed);
}

void layers_feed_rewind(struct layers_feed *feed)
{
    extents_free(feed->it);
    feed->it = extents_new(feed->top, 0, image_virtual_size(feed->top), feed->nr_layers);
    feed->position = 0;
}

/*
 * A hole of the last layer is the target's affair. One of a layer above is there because the next
 * one is shorter: it reads as zeros, whatever is further down.
 */
static gboolean is_below(const struct layers_feed *feed, const struct extent *extent)
{
    return !extent->present && extent->depth + 1 == feed->nr_layers;
}

int layers_feed_next(void *user, struct piece *out, GError **error)
{
    struct layers_feed *feed = user;
    struct extent extent;
    int got = extents_next(feed->it, &extent, error);

    if (got > 0) {
        piece_from_extent(&extent, extent.start, out);
        if (is_below(feed, &extent)) {
            out->kind = PIECE_SKIP;
        }
        feed->position = extent.start + extent.length;
        return 1;
    }
    if (got < 0 || feed->position >= feed->target_size) {
        return got;
    }
    *out = (struct piece){.start = feed->position,
                          .length = feed->target_size - feed->position,
                          .run_start = feed->position,
                          .run_end = feed->target_size,
                          .kind = PIECE_SKIP};
    feed->position = feed->target_size;
    return 1;
}

gboolean layers_feed_rest(void *user, guint64 start, guint64 length, GArray *pieces, GError **error)
{
    return feed_rest(((struct layers_feed *)user)->rest, start, length, pieces, error);
}
