/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that options give to nodes ("node-name"): no two nodes of the images that are open have
 * the same one. Nobody can call a node by its name here.
 */
#ifndef INSTAR_SRC_GRAPH_NODE_NAMES_H
#define INSTAR_SRC_GRAPH_NODE_NAMES_H

#include <glib.h>

/*
 * Begins a list of the names that node_names_claim is asked for from here on.
 *
 * out:     newly allocated; its names are taken until it is freed
 */
GPtrArray *node_names_begin(void);

/* No more names belong to that list; none are taken until the next. */
void node_names_end(void);

/*
 * Takes a name for a node.
 *
 * returns: FALSE with "Duplicate nodes with node-name='x'"
 */
gboolean node_names_claim(const char *name, GError **error);

#endif
