/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty bitmaps that an opened image stores: what they are called, and their bits as a blob for
 * the cell of another image.
 *
 * The two images keep their cells apart: the bits pass through here as bytes that nobody looks at.
 */
#ifndef INSTAR_SRC_GRAPH_BITMAPS_H
#define INSTAR_SRC_GRAPH_BITMAPS_H

#include "src/graph/graph.h"

struct image_bitmap {
    GBytes *name;
    char *shown;          /* for messages */
    uint32_t granularity; /* bytes, a power of two from 512 on */
    gboolean in_use;
    gboolean enabled;
    uint64_t offset; /* of its serialized bits among those of all */
    uint64_t length; /* bytes */
};

struct image_bitmaps {
    struct image *image; /* borrowed */
    gboolean supported;  /* the format has such a thing */
    gboolean persistent; /* they outlive the program, as stock sees it: those are copied */
    GPtrArray *list;     /* of struct image_bitmap *, in the image's order */
    uint64_t length;     /* of all bits together, bytes */
    GError *error;       /* what reading them failed with, if it did */
};

/*
 * Asks which there are; an image without a cell has none.
 *
 * returns: NULL with *error when the answer cannot be
 */
struct image_bitmaps *image_bitmaps_new(struct image *image, GError **error);
void image_bitmaps_free(struct image_bitmaps *bitmaps);
typedef struct image_bitmaps ImageBitmaps; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageBitmaps, image_bitmaps_free)

/* The one of that name, or NULL. */
const struct image_bitmap *image_bitmaps_find(const struct image_bitmaps *bitmaps,
                                              const char *name);

/*
 * Lets the cell of `target`, another image, read the bits; they are fetched while it does.
 *
 * in:      bitmaps outlives the target
 * returns: the blob's id
 */
uint32_t image_bitmaps_share(struct image_bitmaps *bitmaps, struct image *target);

#endif
