/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows are thrown away all at once when there are too many: requests that walk through an image
 * never come back to them, and those that jump about in a large one miss most of the time anyway.
 */
#include "src/copy/lookup.h"

#include <errno.h>

#include "src/copy/feed.h"
#include "src/wire/decode.h"

#define WINDOW_BYTES (16ull << 20)
#define PIECES_MAX   (1u << 20)

struct window {
    GArray *pieces; /* of struct piece; they cover the window */
    GError *failed; /* why the last of them is BAD; NULL once it was told */
};

struct lookup {
    struct image *image;
    struct pool *pool;

    /* Under the pool's lock. */
    GHashTable *windows; /* index -> struct window */
    guint64 nr_pieces;
    GArray *wanted; /* of guint64: indices that workers wait for */
    gboolean abandoned, told;
};

static void window_free(void *data)
{
    struct window *window = data;

    g_array_unref(window->pieces);
    g_clear_error(&window->failed);
    g_free(window);
}

struct lookup *lookup_new(struct image *image)
{
    struct lookup *lookup = g_new0(struct lookup, 1);

    lookup->image = image;
    lookup->windows = g_hash_table_new_full(NULL, NULL, NULL, window_free);
    lookup->wanted = g_array_new(FALSE, FALSE, sizeof(guint64));
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup != NULL) {
        g_hash_table_unref(lookup->windows);
        g_array_unref(lookup->wanted);
        g_free(lookup);
    }
}

void lookup_attach(struct lookup *lookup, struct pool *pool)
{
    lookup->pool = pool;
}

/* ---- mapping ---- */

static guint64 window_end(const struct lookup *lookup, guint64 index)
{
    return MIN((index + 1) * WINDOW_BYTES, image_virtual_size(lookup->image));
}

static struct window *map_window(struct lookup *lookup, guint64 index)
{
    guint64 start = index * WINDOW_BYTES, end = window_end(lookup, index);
    g_autoptr(Extents) it = extents_new(lookup->image, start, end - start, 0);
    struct window *window = g_new0(struct window, 1);
    struct extent extent;
    struct piece piece;
    int got;

    window->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    while ((got = extents_next(it, &extent, &window->failed)) > 0) {
        piece_from_extent(&extent, extent.start, &piece);
        g_array_append_val(window->pieces, piece);
    }
    if (got < 0) {
        piece = (struct piece){.start = extents_position(it), .kind = PIECE_BAD};
        piece.length = end - piece.start;
        piece.error_number = wire_error_errno(window->failed);
        g_array_append_val(window->pieces, piece);
    }
    return window;
}

static void load(struct lookup *lookup, guint64 index)
{
    struct window *window;

    pool_lock(lookup->pool);
    window = g_hash_table_lookup(lookup->windows, GSIZE_TO_POINTER(index));
    pool_unlock(lookup->pool);
    if (window != NULL) {
        return;
    }
    window = map_window(lookup, index);
    pool_lock(lookup->pool);
    if (lookup->nr_pieces + window->pieces->len > PIECES_MAX) {
        g_hash_table_remove_all(lookup->windows);
        lookup->nr_pieces = 0;
    }
    lookup->nr_pieces += window->pieces->len;
    g_hash_table_insert(lookup->windows, GSIZE_TO_POINTER(index), window);
    pool_unlock(lookup->pool);
}

void lookup_serve(struct lookup *lookup)
{
    g_autoptr(GArray) wanted = NULL;

    pool_lock(lookup->pool);
    if (lookup->wanted->len > 0) {
        wanted = lookup->wanted;
        lookup->wanted = g_array_new(FALSE, FALSE, sizeof(guint64));
    }
    pool_unlock(lookup->pool);
    for (guint i = 0; wanted != NULL && i < wanted->len; i++) {
        load(lookup, g_array_index(wanted, guint64, i));
        pool_answer(lookup->pool);
    }
}

void lookup_abandon(struct lookup *lookup)
{
    pool_lock(lookup->pool);
    lookup->abandoned = TRUE;
    pool_unlock(lookup->pool);
    pool_answer(lookup->pool);
}

/* ---- looking up ---- */

/* Lock held. Finds a window, or waits for it. NULL: let go. */
static struct window *need_window(struct lookup *lookup, guint64 index)
{
    struct window *window;

    while ((window = g_hash_table_lookup(lookup->windows, GSIZE_TO_POINTER(index))) == NULL) {
        if (lookup->abandoned) {
            return NULL;
        }
        if (pool_is_feeder(lookup->pool)) {
            pool_unlock(lookup->pool);
            load(lookup, index);
            pool_lock(lookup->pool);
        } else {
            g_array_append_val(lookup->wanted, index);
            pool_tell(lookup->pool);
            pool_wait_answer(lookup->pool);
        }
    }
    return window;
}

/* The piece of a window that holds an offset. */
static guint find_piece(const struct window *window, guint64 at)
{
    guint low = 0, high = window->pieces->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(window->pieces, struct piece, middle).start <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Lock held. Damage is described once an image, as stock does; a failing disk each time. */
static void tell_damage(struct lookup *lookup, struct window *window)
{
    if (window->failed != NULL && !lookup->told) {
        image_report_damage(window->failed);
        lookup->told = endpoint_errno(window->failed) == 0;
    }
    g_clear_error(&window->failed);
}

/* Lock held. Appends what of [at, end) the window holds. */
static void append_pieces(struct lookup *lookup, struct window *window, guint64 at, guint64 end,
                          GArray *out)
{
    for (guint i = find_piece(window, at); i < window->pieces->len && at < end; i++) {
        struct piece piece = g_array_index(window->pieces, struct piece, i);

        if (piece.start < at) {
            piece_cut(&piece, at - piece.start);
        }
        if (end < piece.start + piece.length) {
            piece = piece_cut(&piece, end - piece.start);
        }
        if (piece.kind == PIECE_BAD) {
            tell_damage(lookup, window);
        }
        at += piece.length;
        g_array_append_val(out, piece);
    }
}

int lookup_pieces(struct lookup *lookup, guint64 start, guint64 length, GArray *pieces)
{
    guint64 at = start, end = start + length;

    pool_lock(lookup->pool);
    while (at < end) {
        guint64 index = at / WINDOW_BYTES, stop = MIN(end, window_end(lookup, index));
        struct window *window = need_window(lookup, index);

        if (window == NULL) {
            break;
        }
        append_pieces(lookup, window, at, stop, pieces);
        at = stop;
    }
    pool_unlock(lookup->pool);
    return at < end ? ECANCELED : 0;
}
