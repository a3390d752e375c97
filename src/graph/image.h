/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of an opened image. Only files of src/graph include this.
 */
#ifndef INSTAR_SRC_GRAPH_IMAGE_H
#define INSTAR_SRC_GRAPH_IMAGE_H

#include "src/graph/graph.h"
#include "src/graph/names.h"
#include "src/graph/policy.h"
#include "src/wire/decode.h"

#define GRAPH_DEPTH_MAX 256u

/* What all layers of a chain share. */
struct graph {
    struct cell *cell;     /* NULL until something must be interpreted */
    GPtrArray *blobs;      /* of struct endpoint *, by blob id, NULL where there is none */
    GPtrArray *images;     /* of struct image *, every layer, freed with the graph */
    GPtrArray *node_names; /* as in node_names.h; NULL: none */
    enum policy policy;
};

struct image {
    struct graph *graph; /* freed with the image at the top */
    char *filename;
    char *format;
    gboolean probed;
    char *key_secret, *encrypt_secret; /* with which it was unlocked; NULL: none */
    unsigned depth;
    struct endpoint *endpoint;
    struct image_file *header; /* a detached header; NULL: none */
    struct image *backing;
    GPtrArray *files;         /* of struct image_file *, outermost first */
    GPtrArray *raw_copy;      /* as in image_raw_copy */
    gboolean is_bytes;        /* a protocol or a filter itself */
    GPtrArray *extents;       /* of struct image_file *, in the descriptor's order */
    struct image *view;       /* whose disk this one hands through; NULL: its own */
    gboolean compresses;      /* the nodes over `view` compress */
    gboolean unknown_content; /* null-co without read-zeroes: neither data nor zeros */

    /* with a cell */
    uint32_t blob; /* CELL_NO_BLOB: no cell */
    struct wire_open open;

    /* without */
    uint64_t virtual_size;
};

/* Takes a reference to the endpoint; driver NULL: the endpoint's protocol. */
struct image_file *image_file_new(const char *driver, const char *display,
                                  struct endpoint *endpoint);
void image_file_free(gpointer file);

/* graph.c: a parsed name in a graph of its own. */
struct image *image_open_tree(struct name *name, const struct image_open_options *options,
                              GError **error);

/* open.c: one layer and what is below it. */
struct image *image_open_name(struct graph *graph, struct name *name,
                              const struct image_open_options *options, GError **error);

/* open.c: the backing file of `parent`, at the top of a graph of its own. */
struct image *image_open_named_by(struct graph *graph, struct image *parent,
                                  const struct image_open_options *options, GError **error);

/* open.c: what an endpoint holds, at the top of a graph; the format NULL: probe. */
struct image *image_open_file(struct graph *graph, struct endpoint *endpoint, const char *display,
                              const char *format, const struct image_open_options *options,
                              GError **error);

/* The reference of that role, or NULL. */
const struct wire_ref *image_ref(const struct image *image, Abi__Role role);

#endif
