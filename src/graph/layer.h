/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps of opening one layer share: the request, the dialogue with the cell, the locks and
 * the file underneath. Only files of src/graph include this.
 */
#ifndef INSTAR_SRC_GRAPH_LAYER_H
#define INSTAR_SRC_GRAPH_LAYER_H

#include <time.h>

#include "src/graph/image.h"

/* One layer while it is being opened. */
struct layer {
    struct graph *graph;
    const struct image_open_options *options;
    struct image *parent; /* NULL: the user named it */
    const char *display;
    const char *format; /* NULL: probe */
    struct endpoint *endpoint;
    struct endpoint *header; /* a detached header; NULL: none */
    gboolean writable;
    gboolean no_lock;
    const char *vhd_size;    /* as in struct name */
    const struct name *keys; /* how the user says it is unlocked; NULL: nothing was said */
};

/* ---- dialogue.c: what is said to the cell ---- */

/* Makes the graph's cell unless it has one. */
gboolean dialogue_need_cell(struct graph *graph, const struct image_open_options *options,
                            GError **error);

/* Ends the cell of a graph that has nothing to interpret after all. */
void dialogue_end(struct graph *graph);

/* Lets the cell read an endpoint; the graph keeps a reference. Returns the blob's id. */
uint32_t dialogue_add_blob(struct graph *graph, struct endpoint *endpoint);

/*
 * Asks what a blob is; the format NULL means that the cell probes.
 *
 * out:     *out, to be cleared with wire_open_clear
 */
gboolean dialogue_open(const struct layer *layer, uint32_t blob, const char *format,
                       struct wire_open *out, GError **error);

/*
 * The same for a layer that was repaired: what is worth a warning has been said.
 */
gboolean dialogue_open_again(const struct layer *layer, uint32_t blob, const char *format,
                             struct wire_open *out, GError **error);

/* Gives a node the child that one of its references named. */
gboolean dialogue_link(struct image *parent, struct image *child, const struct wire_ref *ref,
                       GError **error);

/* ---- layer_locks.c ---- */

/*
 * Takes the locks stock takes for a layer of that format, at that place and for that purpose.
 */
gboolean layer_take_locks(const struct layer *layer, const char *format, gboolean data_file,
                          GError **error);

/* What tells a file that was written to from one that was not. */
struct file_state {
    struct timespec modified, changed;
    off_t size;
};

struct file_state file_state(struct endpoint *endpoint);
gboolean same_state(const struct file_state *a, const struct file_state *b);

/* ---- layer_mend.c ---- */

/*
 * Makes an image that was opened for writing ready for it: drops from its header what is not true
 * any more or what we could not keep true, and repairs an image that was not closed properly.
 */
gboolean layer_mend(const struct layer *layer, struct image *image, GError **error);

/* ---- leaf.c: files ---- */

/* The size a raw image of these bytes has: whole sectors. */
uint64_t leaf_size(struct endpoint *endpoint);

/*
 * Opens what the user named: the file or the disk, and the nodes over it.
 *
 * out:     *files, if not NULL: each node on the way, outermost first
 */
struct endpoint *leaf_open(const struct name *name, unsigned flags,
                           const struct image_open_options *options, GPtrArray *files,
                           GError **error);

/*
 * Opens what an image names, if policy lets it, with the slice that a json: name may ask for.
 *
 * out:     *out_display: the name for messages, newly allocated
 */
struct endpoint *leaf_open_reference(struct image *parent, const struct wire_ref *ref,
                                     unsigned flags, const struct image_open_options *options,
                                     char **out_display, GError **error);

#endif
