/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an opened image to the target of a copy: the file itself where it is raw, the writer in its
 * cell otherwise.
 */
#ifndef INSTAR_SRC_COPY_TARGET_IMAGE_H
#define INSTAR_SRC_COPY_TARGET_IMAGE_H

#include "src/copy/target.h"
#include "src/graph/graph.h"

struct target_image_options {
    gboolean fresh;        /* made by this command and still empty */
    gboolean compressed;   /* only compressed units will come, as far as they compress */
    gboolean reads_zero;   /* the caller knows that what is left out reads as zeros */
    gboolean keep_zeros;   /* zeros are recorded even where nothing else would show */
    gboolean bitmaps_told; /* dirty bitmaps have the bits of what will be written */
    gboolean same_disk;    /* what the chain shows stays the same */
};

/*
 * Makes a target of an image that was opened for writing.
 *
 * in:      image: outlives the target
 * returns: NULL with *error
 */
struct target *target_new_image(struct image *image, const struct target_image_options *options,
                                GError **error);

#endif
