/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which compression an image was made for.
 */
#ifndef INSTAR_SRC_COPY_TARGET_CODEC_H
#define INSTAR_SRC_COPY_TARGET_CODEC_H

#include "guest/abi/hypercall.h"
#include "src/graph/graph.h"

/*
 * Asks the image's cell.
 *
 * out:     *out: CELL_CODEC_VMDK_GRAIN: it takes nothing else; CELL_CODEC_NONE: it takes no
 *          compressed units
 */
gboolean target_find_codec(struct image *image, enum cell_codec *out, GError **error);

/* Whether the image is a stream of compressed grains; FALSE with *error when nobody could tell. */
gboolean target_is_stream(struct image *image, gboolean *out, GError **error);

#endif
