/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources one behind the other. With a backing file in the target, what the top layer of a source
 * does not hold is left to that file: unless nothing is below that layer either, then it is zeros.
 */
#include "src/copy/feed.h"

#include <errno.h>

#include "src/wire/decode.h"

#define SECTOR 512u

struct feed {
    struct feed_options options;
    guint64 size; /* of all sources */

    guint source;          /* index of the one being read */
    guint64 source_start;  /* where it begins in the target */
    struct extents *it;    /* over it, NULL: not begun */
    struct piece piece;    /* left over from a cut; length 0: none */
    gboolean tail_is_done; /* the piece behind the end of the sources was given */
    guint told;            /* sources whose damage was spoken of already */
};

static guint64 source_size(const struct image *image)
{
    return (image_virtual_size(image) + SECTOR - 1) / SECTOR * SECTOR;
}

struct feed *feed_new(const struct feed_options *options)
{
    struct feed *feed = g_new0(struct feed, 1);

    feed->options = *options;
    for (guint i = 0; i < options->nr_sources; i++) {
        feed->size += source_size(options->sources[i]);
    }
    return feed;
}

void feed_rewind(struct feed *feed)
{
    extents_free(feed->it);
    feed->it = NULL;
    feed->source = 0;
    feed->source_start = 0;
    feed->piece.length = 0;
    feed->tail_is_done = FALSE;
}

void feed_free(struct feed *feed)
{
    if (feed != NULL) {
        feed_rewind(feed);
        g_free(feed);
    }
}

guint64 feed_size(const struct feed *feed)
{
    return feed->size;
}

void piece_from_extent(const struct extent *extent, guint64 start, struct piece *out)
{
    *out = (struct piece){
        .start = start,
        .length = extent->length,
        .offset = extent->offset,
        .endpoint = extent->endpoint,
        .run_start = start - (extent->start - extent->run_start),
        .run_end = start + extent->length,
        .comp_len = extent->comp_len,
        .unit_len = extent->unit_len,
        .skip = extent->skip,
        .codec = extent->codec,
        .cipher = extent->cipher,
        .iv_offset = extent->iv_offset,
    };
    if (extent->rejected && !extent->zero) {
        out->kind = PIECE_BAD;
        out->error_number = extent->opaque ? EIO : EINVAL;
        out->located = extent->opaque;
        return;
    }
    if (extent->broken) {
        out->kind = PIECE_BAD;
        out->error_number = EIO;
        return;
    }
    switch (extent->kind) {
    case CELL_EXTENT_HOLE:
    case CELL_EXTENT_ZERO:
        out->kind = PIECE_ZERO;
        break;
    case CELL_EXTENT_DATA:
        out->kind = PIECE_DATA;
        break;
    case CELL_EXTENT_ENCRYPTED:
        out->kind = PIECE_ENCRYPTED;
        break;
    case CELL_EXTENT_COMPRESSED:
        out->kind = PIECE_COMPRESSED;
        break;
    default:
        out->kind = PIECE_BAD;
        out->error_number = ENOTSUP;
        break;
    }
}

struct piece piece_from_head(struct extent *extent, guint64 start, guint64 length)
{
    struct piece piece;

    piece_from_extent(extent, start, &piece);
    piece.length = length;
    piece.run_end = start + length;
    extent->length -= length;
    extent->start += length;
    extent->iv_offset += length;
    if (extent->kind == CELL_EXTENT_COMPRESSED) {
        extent->skip += (guint32)length;
    } else {
        extent->offset += length;
    }
    return piece;
}

/* Cuts the piece at `at` of the target and keeps the rest for the next call. */
static void split(struct feed *feed, struct piece *piece, guint64 at)
{
    if (at > piece->start && at < piece->start + piece->length) {
        struct piece head = *piece;

        feed->piece = *piece;
        *piece = piece_cut(&feed->piece, at - head.start);
        piece->run_end = feed->piece.run_start = at;
    }
}

/* What only the top layer's extents leave open: zeros, or the backing file's affair? */
static void settle_top_layer(struct feed *feed, const struct extent *extent, struct piece *piece)
{
    struct image *source = feed->options.sources[feed->source];
    struct image *backing = image_backing(source);
    guint64 backing_end = feed->source_start + (backing ? image_virtual_size(backing) : 0);

    if (!extent->present && piece->start < backing_end) {
        split(feed, piece, backing_end);
        piece->kind = PIECE_SKIP;
        return;
    }
    if (piece->kind == PIECE_ZERO) {
        /* Behind the end of its backing file the target reads as zeros anyway. */
        split(feed, piece, feed->options.backing_size);
        if (piece->start >= feed->options.backing_size) {
            piece->kind = PIECE_SKIP;
        }
    }
}

static void begin_source(struct feed *feed, guint64 from)
{
    struct image *image = feed->options.sources[feed->source];

    extents_free(feed->it);
    feed->it = extents_new(image, from, image_virtual_size(image) - from,
                           feed->options.top_layer_only ? 1 : 0);
}

/* The end of a source, where its size is not a whole number of sectors. */
static gboolean pad_source(struct feed *feed, struct piece *out)
{
    struct image *image = feed->options.sources[feed->source];
    guint64 size = image_virtual_size(image);

    feed->source++;
    extents_free(feed->it);
    feed->it = NULL;
    if (size % SECTOR == 0) {
        feed->source_start += size;
        return FALSE;
    }
    *out = (struct piece){.start = feed->source_start + size,
                          .length = SECTOR - size % SECTOR,
                          .run_start = feed->source_start + size,
                          .kind = PIECE_ZERO};
    out->run_end = out->start + out->length;
    feed->source_start = out->run_end;
    return TRUE;
}

static gboolean tail(struct feed *feed, struct piece *out)
{
    if (feed->tail_is_done || feed->size >= feed->options.target_size) {
        return FALSE;
    }
    feed->tail_is_done = TRUE;
    *out = (struct piece){.start = feed->size,
                          .length = feed->options.target_size - feed->size,
                          .run_start = feed->size,
                          .run_end = feed->options.target_size,
                          .kind = PIECE_SKIP};
    return TRUE;
}

/* One sector whose place cannot be found out; reading goes on behind it. */
static void bad_sector(struct feed *feed, GError *error, struct piece *out)
{
    guint64 at = extents_position(feed->it);
    guint64 size = image_virtual_size(feed->options.sources[feed->source]);
    guint64 length = MIN(SECTOR - at % SECTOR, size - at);

    *out = (struct piece){.start = feed->source_start + at,
                          .length = length,
                          .run_start = feed->source_start + at,
                          .run_end = feed->source_start + at + length,
                          .kind = PIECE_BAD};
    /* As stock does, damage is described once an image. */
    if (feed->source >= feed->told || endpoint_errno(error) != 0) {
        out->error_number = image_report_damage(error);
        feed->told = MAX(feed->told, feed->source + 1);
    } else {
        out->error_number = wire_error_errno(error);
    }
    g_error_free(error);
    begin_source(feed, at + length);
}

int feed_next(void *user, struct piece *out, GError **error)
{
    struct feed *feed = user;

    if (feed->piece.length > 0) {
        *out = feed->piece;
        feed->piece.length = 0;
        if (out->kind == PIECE_ZERO && feed->options.top_layer_only &&
            out->start >= feed->options.backing_size) {
            out->kind = PIECE_SKIP;
        }
        return 1;
    }
    while (feed->source < feed->options.nr_sources) {
        struct extent extent;
        GError *failed = NULL;
        int got;

        if (feed->it == NULL) {
            begin_source(feed, 0);
        }
        got = extents_next(feed->it, &extent, &failed);
        if (got < 0 && feed->options.salvage) {
            bad_sector(feed, failed, out);
            return 1;
        }
        if (got < 0) {
            g_propagate_error(error, failed);
            return -1;
        }
        if (got > 0) {
            piece_from_extent(&extent, feed->source_start + extent.start, out);
            if (feed->options.top_layer_only) {
                settle_top_layer(feed, &extent, out);
            }
            return 1;
        }
        if (pad_source(feed, out)) {
            return 1;
        }
    }
    return tail(feed, out) ? 1 : 0;
}

gboolean feed_rest(void *user, guint64 start, guint64 length, GArray *pieces, GError **error)
{
    struct feed *feed = user;
    struct piece piece = {
        .start = start, .length = length, .run_start = start, .run_end = start + length};
    guint64 end = start + length, at = start;

    if (feed->options.target != NULL) {
        g_autoptr(Extents) it = extents_new(feed->options.target, start, length, 0);
        struct extent extent;
        int got;

        while ((got = extents_next(it, &extent, error)) > 0) {
            piece_from_extent(&extent, extent.start, &piece);
            g_array_append_val(pieces, piece);
            at = piece.start + piece.length;
        }
        if (got < 0) {
            return FALSE;
        }
    }
    if (at < end) {
        piece = (struct piece){
            .start = at, .length = end - at, .run_start = at, .run_end = end, .kind = PIECE_ZERO};
        g_array_append_val(pieces, piece);
    }
    return TRUE;
}
