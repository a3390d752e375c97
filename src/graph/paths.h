/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File names as stock reads them: what is a protocol prefix, and what a relative name is relative
 * to.
 */
#ifndef INSTAR_SRC_GRAPH_PATHS_H
#define INSTAR_SRC_GRAPH_PATHS_H

#include <glib.h>

/* TRUE when a colon comes before any slash: "nbd:x", but not "./a:b". */
gboolean path_has_protocol(const char *name);

/*
 * The name of `name` as seen from the place of `base`: the same when it is absolute or has a
 * protocol, else put behind the directory of `base`. Nothing is simplified.
 *
 * returns: newly allocated
 */
char *path_combine(const char *base, const char *name);

/* The directory part of a path, "." when there is none. Newly allocated. */
char *path_directory(const char *path);

/* A plain path as a name: one with a colon before any slash gets "./" in front. */
char *path_as_name(const char *path);

/*
 * The part of `path` below `directory`, by the letters alone: `..` and empty results are refused.
 *
 * in:      an absolute path must start with the directory's absolute name, as typed or resolved
 * returns: newly allocated relative path, or NULL when the path does not stay below
 */
char *path_below(const char *directory, const char *path);

#endif
