/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of an opened image as an endpoint, so that another image may lie in it.
 *
 * Requests may come from any thread; one is served at a time. Tables of the image are written when
 * the endpoint goes.
 */
#ifndef INSTAR_SRC_COPY_IMAGE_ENDPOINT_H
#define INSTAR_SRC_COPY_IMAGE_ENDPOINT_H

#include "src/graph/graph.h"

/*
 * Makes an endpoint of an image.
 *
 * in:      image: taken over, freed with the endpoint; also on failure
 *          write: it was opened for writing
 * returns: NULL with *error, when the image cannot be read or written at any place
 */
struct endpoint *endpoint_new_image(struct image *image, gboolean write, GError **error);

/* The image behind such an endpoint, NULL: it is another kind. */
struct image *endpoint_image(struct endpoint *endpoint);

#endif
