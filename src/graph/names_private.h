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

/* ---- names_tuning.c ---- */

/* Takes options of qcow2 that only tune how a long-running process works. */
gboolean name_take_tuning(struct blockopts *opts, GError **error);

/* ---- names_nodes.c: what is below the format ---- */

const struct driver *name_find_driver(const char *name, GError **error);

/*
 * Keeps what stock complains about only once what is below a node is open.
 *
 * in:      ok: FALSE: *error is set, and taken over; the first one that is kept stays
 */
void name_keep_late(GError **late, gboolean ok, GError **error);

/* The booleans and words that every node takes; is_child: other nodes stand over it. */
gboolean name_take_common(struct name *name, struct blockopts *opts, gboolean is_child,
                          GError **error);
/*
 * Takes "backing": null, which every node may have, and its old spelling "", which is warned of.
 *
 * returns: whether it was there
 */
gboolean name_take_no_backing(struct blockopts *opts);

/* Whether the options say anything about "file". */
gboolean name_has_file(const struct blockopts *opts);

/* Whether a format must be told a file: a backing file's is said by the image. */
enum file_need { FILE_NEEDED, FILE_SAID_ELSEWHERE };

/*
 * Adds the nodes of "file", which a format or filter opens before it looks at anything else, and
 * takes the options that every node has.
 *
 * in:      is_child: other nodes stand over it
 * out:     *late: what is wrong with the options, once the file is open
 */
gboolean name_parse_file(struct name *name, struct blockopts *opts, enum file_need need,
                         gboolean is_child, GError **late, GError **error);
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

/* ---- names_nbd.c ---- */

/* Turns a plain name ("nbd:unix:s", "nbd://host/export") into options. */
gboolean name_nbd_options(const char *text, struct blockopts *opts, GError **error);

/* Takes the address. */
gboolean name_take_nbd(struct name *name, struct blockopts *opts, GError **error);

/* ---- names_blkdebug.c ---- */

/* Takes rules; and limits, which are looked at once the image is open. */
gboolean name_take_blkdebug(struct name_node *node, struct blockopts *opts, GError **error);
gboolean name_take_blkdebug_limits(struct name_node *node, struct blockopts *opts, GError **error);

/* Refuses rules that wait for what happens to one table of a format, which nothing tells. */
gboolean name_check_events(const struct name *name, const char *format, GError **error);

/* ---- names_display.c ---- */

/* The options of a driver that change what is read, NULL: of a format that is not known. */
struct blockopts *name_pick_shown(const struct blockopts *opts, const char *driver);

#endif
