/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTAR_SRC_GRAPH_PROTOCOL_H
#define INSTAR_SRC_GRAPH_PROTOCOL_H

#include "src/io/endpoint.h"

/*
 * Opens a name of the user's as a protocol alone: what an image is to be made in.
 *
 * in:      driver: the protocol that must be it
 * returns: NULL with stock's sentence
 */
struct endpoint *leaf_open_protocol(const char *text, const char *driver, unsigned flags,
                                    const struct cache_mode *cache, GError **error);

#endif
