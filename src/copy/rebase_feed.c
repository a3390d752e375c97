/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two walks side by side: the overlay with its old chain, and the new backing file, which reads as
 * zeros behind its end. Each step takes as much as both have in one run. The new side's pieces wait
 * in a queue until the cutter, which is at most one piece ahead, asks for them.
 */
#include "src/copy/rebase_feed.h"

#include "src/copy/feed.h"

struct side {
    struct image *image; /* NULL: zeros */
    struct extents *it;
    struct extent extent; /* what is left of the current one; length 0: fetch */
};

struct rebase_feed {
    struct side old, new;
    guint64 size; /* of the overlay */
    guint64 position;
    GQueue waiting;    /* of struct piece *, in order */
    struct feed *rest; /* what the overlay shows with its old chain */
};

struct rebase_feed *rebase_feed_new(struct image *overlay, struct image *backing)
{
    struct rebase_feed *feed = g_new0(struct rebase_feed, 1);

    feed->old.image = overlay;
    feed->new.image = backing;
    feed->size = image_virtual_size(overlay);
    feed->rest = feed_new(&(struct feed_options){.target = overlay});
    g_queue_init(&feed->waiting);
    rebase_feed_rewind(feed);
    return feed;
}

static void rewind_side(struct side *side)
{
    extents_free(side->it);
    side->it = side->image ? extents_new(side->image, 0, G_MAXUINT64, 0) : NULL;
    side->extent.length = 0;
}

void rebase_feed_rewind(struct rebase_feed *feed)
{
    rewind_side(&feed->old);
    rewind_side(&feed->new);
    g_queue_clear_full(&feed->waiting, g_free);
    feed->position = 0;
}

void rebase_feed_free(struct rebase_feed *feed)
{
    extents_free(feed->old.it);
    extents_free(feed->new.it);
    g_queue_clear_full(&feed->waiting, g_free);
    feed_free(feed->rest);
    g_free(feed);
}

/* ---- stepping ---- */

/* Makes the side's current extent valid; behind its end it is zeros. */
static gboolean fetch(struct rebase_feed *feed, struct side *side, GError **error)
{
    GError *failed = NULL;
    int got = 0;

    if (side->extent.length > 0) {
        return TRUE;
    }
    if (side->it != NULL) {
        got = extents_next(side->it, &side->extent, &failed);
    }
    if (got < 0) {
        g_propagate_error(error, failed);
        return FALSE;
    }
    if (got == 0) {
        side->extent = (struct extent){.start = feed->position,
                                       .length = feed->size - feed->position,
                                       .kind = CELL_EXTENT_HOLE,
                                       .zero = TRUE};
    }
    return TRUE;
}

/* Whether two pieces hold the same for certain, without a look at their bytes. */
static gboolean same_for_certain(const struct piece *a, const struct piece *b)
{
    if (a->kind != b->kind || a->kind == PIECE_BAD || a->kind == PIECE_ENCRYPTED) {
        return FALSE;
    }
    if (a->kind == PIECE_ZERO) {
        return TRUE;
    }
    return a->offset == b->offset && a->comp_len == b->comp_len && a->unit_len == b->unit_len &&
           a->skip == b->skip && a->codec == b->codec &&
           endpoint_same_file(a->endpoint, b->endpoint);
}

int rebase_feed_next(void *user, struct piece *out, GError **error)
{
    struct rebase_feed *feed = user;
    gboolean is_own;
    guint64 length;
    struct piece other;

    if (feed->position >= feed->size) {
        return 0;
    }
    if (!fetch(feed, &feed->old, error) || !fetch(feed, &feed->new, error)) {
        return -1;
    }
    is_own = feed->old.extent.present && feed->old.extent.depth == 0;
    length = MIN(feed->old.extent.length, feed->new.extent.length);
    length = MIN(length, feed->size - feed->position);
    *out = piece_from_head(&feed->old.extent, feed->position, length);
    other = piece_from_head(&feed->new.extent, feed->position, length);
    feed->position += length;
    if (is_own || same_for_certain(out, &other)) {
        out->kind = PIECE_SKIP;
    } else {
        g_queue_push_tail(&feed->waiting, g_memdup2(&other, sizeof(other)));
    }
    return 1;
}

gboolean rebase_feed_rest(void *user, guint64 start, guint64 length, GArray *pieces, GError **error)
{
    return feed_rest(((struct rebase_feed *)user)->rest, start, length, pieces, error);
}

gboolean rebase_feed_against(void *user, guint64 start, guint64 length, GArray *pieces,
                             GError **error)
{
    struct rebase_feed *feed = user;
    guint64 end = start + length;

    while (start < end) {
        struct piece *front = g_queue_peek_head(&feed->waiting);
        struct piece piece;

        g_assert(front != NULL && front->start <= start);
        if (front->start < start) { /* what was left out since */
            guint64 gone = MIN(start - front->start, front->length);

            if (gone < front->length) {
                piece_cut(front, gone);
            } else {
                g_free(g_queue_pop_head(&feed->waiting));
            }
            continue;
        }
        piece = *front;
        if (end - start < piece.length) {
            piece = piece_cut(front, end - start);
        } else {
            g_free(g_queue_pop_head(&feed->waiting));
        }
        g_array_append_val(pieces, piece);
        start += piece.length;
    }
    return TRUE;
}
