/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the cell that has an image open what only it can know.
 */
#ifndef INSTAR_SRC_GRAPH_ASK_H
#define INSTAR_SRC_GRAPH_ASK_H

#include "guest/abi/info.pb-c.h"
#include "src/graph/graph.h"
#include "src/wire/decode.h"

/*
 * What the image's header, tables and lists say of it.
 *
 * in:      an image that has a cell
 * returns: freed with abi__info_reply__free_unpacked; NULL with what the cell refused, in words
 */
Abi__InfoReply *image_ask_info(struct image *image, GError **error);

/* The same, decoded and checked; what `info` has of its own stays. */
gboolean image_describe(struct image *image, struct image_info *info, GError **error);

#endif
