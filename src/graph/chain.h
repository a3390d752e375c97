/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of an opened chain: which of them a name means, and one of them as an image to be changed.
 */
#ifndef INSTAR_SRC_GRAPH_CHAIN_H
#define INSTAR_SRC_GRAPH_CHAIN_H

#include "src/graph/graph.h"

/*
 * Finds the backing file that a name means, as stock does: a relative name is tried from the place
 * of each overlay, names with a protocol are compared by their letters.
 *
 * out:     *out_depth: 1 for the backing file of the image itself ...
 * returns: NULL: none of the chain
 */
struct image *image_find_backing(struct image *image, const char *name, unsigned *out_depth);

/*
 * Opens a layer of an opened chain once more, for writing, with everything below it: the top of a
 * graph of its own, with a cell that knows nothing of the layers above.
 *
 * The file is that of the layer, whatever its name leads to by now. QEMU's locks for writing are
 * taken on the layer's own descriptor, which holds those for reading already: ours do not keep each
 * other out. They are dropped with the chain.
 *
 * in:      layer: outlives the image
 * returns: NULL with an error as image_open gives it; `Failed to get "write" lock` with its hint
 */
struct image *image_reopen_writable(struct image *layer, const struct cache_mode *cache,
                                    GError **error);

/*
 * Lets the image's cell read an endpoint that is no part of the image.
 *
 * returns: the blob's id; the image keeps a reference
 */
uint32_t image_share(struct image *image, struct endpoint *endpoint);

/*
 * Opens what an endpoint holds, as an image of its own.
 *
 * in:      display: its name in messages; format: NULL: probe
 */
struct image *image_open_endpoint(struct endpoint *endpoint, const char *display,
                                  const char *format, const struct image_open_options *options,
                                  GError **error);

#endif
