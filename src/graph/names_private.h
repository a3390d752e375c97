/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that take names apart share. Only files of src/graph/names*.c include this.
 */
#ifndef INSTAR_SRC_GRAPH_NAMES_PRIVATE_H
#define INSTAR_SRC_GRAPH_NAMES_PRIVATE_H

#include "compat/driver.h"
#include "src/graph/names.h"

/* ---- names.c ---- */

struct name *name_new(void);

/* A whole node tree under a format; takes over `opts`. */
struct name *name_parse_node(struct blockopts *opts, const struct name_request *request,
                             gboolean may_lack_file, GError **error);

/* Drops options of qcow2 that only tune how a long-running process works. */
void name_drop_tuning(struct blockopts *opts);

/* ---- names_nodes.c: what is below the format ---- */

gboolean name_fail_reference(GError **error, const char *node);
const struct driver *name_find_driver(const char *name, GError **error);

/* The booleans and words that every node takes. */
gboolean name_take_common(struct name *name, struct blockopts *opts, GError **error);
gboolean name_take_slice(struct blockopts *opts, struct slice *slice, GError **error);

/* Takes a whole number, as two's complement. */
gboolean name_take_number(struct blockopts *opts, const char *key, gint64 fallback, gint64 *out,
                          GError **error);

/*
 * Adds the node that a map describes, and those below it.
 *
 * in:      key: what the node above calls it; driver: NULL: a path, whatever it turns out to be
 */
gboolean name_add_node(struct name *name, const char *driver, struct blockopts *opts,
                       const char *key, GError **error);

/* The same for a map that names its driver itself, or a path. */
gboolean name_parse_child(struct name *name, struct blockopts *opts, const char *key,
                          GError **error);

/* The same for the options "KEY.*" of a map, which must be there. */
gboolean name_parse_below(struct name *name, struct blockopts *opts, const char *key,
                          GError **error);

/*
 * Adds the nodes of a plain name ("a.img", "blkdebug::a.img") as protocols.
 *
 * in:      driver: asked for by -f; NULL: as the name says
 */
gboolean name_add_plain(struct name *name, const char *text, const char *driver, const char *key,
                        GError **error);

/* ---- names_blkdebug.c ---- */

/* Takes rules and limits. */
gboolean name_take_blkdebug(struct name_node *node, struct blockopts *opts, GError **error);

/* ---- names_display.c ---- */

/* The options of a driver that change what is read, NULL: of a format that is not known. */
struct blockopts *name_pick_shown(const struct blockopts *opts, const char *driver);

#endif
