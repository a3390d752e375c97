/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened image: a chain of nodes in one cell, the endpoints behind it, and what a command may
 * ask of it.
 *
 * graph.c runs the open dialogue (the guest names what it needs, policy.c decides, names.c
 * resolves), locks.c takes QEMU's byte-range locks, extents.c iterates over what the chain holds.
 * Raw images named with their format need no cell: image_cell is NULL and extents come from the
 * file alone.
 */
#ifndef INSTAR_SRC_GRAPH_GRAPH_H
#define INSTAR_SRC_GRAPH_GRAPH_H

#include <glib.h>

#include "crypto/sector_cipher.h"
#include "guest/abi/hypercall.h"
#include "src/io/endpoint.h"
#include "src/sandbox/sandbox.h"

struct image;

struct image_open_options {
    const char *filename; /* as the user typed it: path, file:, json:, or an --image-opts string */
    gboolean image_opts;  /* filename is an --image-opts string */
    const char *format;   /* -f; NULL: probe */
    /* Secrets of an image that was just made, where its name cannot say so; NULL: none. */
    const char *key_secret, *encrypt_secret;
    gboolean read_write;
    gboolean force_share; /* -U */
    gboolean no_backing;  /* do not open the backing file (data files are opened) */
    gboolean no_io;       /* metadata alone (info): no backing, no data file, weaker locks */
    gboolean for_check;
    gboolean reopened;         /* what is worth a warning was said, and the header stays as it is */
    gboolean exclusive_source; /* convert sources do not share writes */
    gboolean may_resize;       /* the command may change how long a raw file is */
    gboolean native_aio;       /* refused without cache.direct, once the file is open */
    struct cache_mode cache;
};

/*
 * Opens an image and, unless told otherwise, everything below it.
 *
 * returns: NULL with the error whose message is qemu's text after "Could not open 'NAME': "; hints
 *          follow on lines of their own
 */
struct image *image_open(const struct image_open_options *options, GError **error);

/*
 * Opens the backing file that an image names as an image of its own, as policy allows.
 *
 * in:      image: may have been opened with no_io; options: filename, image_opts and format are not
 *          used
 * returns: NULL with an error as image_open gives it; also when there is no backing file
 */
struct image *image_open_backing(struct image *image, const struct image_open_options *options,
                                 GError **error);

/*
 * Lets the cell look at the image anew, after its file was written by a plan that the cell does not
 * follow (a repair). What is below it is not linked again.
 */
gboolean image_reopen(struct image *image, GError **error);
void image_free(struct image *image);
typedef struct image Image; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

const char *image_filename(const struct image *image);
const char *image_format(const struct image *image);
gboolean image_was_probed(const struct image *image);
uint64_t image_virtual_size(const struct image *image); /* bytes */
uint64_t image_cluster_size(const struct image *image); /* bytes, 0: none */
struct cell *image_cell(struct image *image);           /* NULL: raw without a cell */
uint32_t image_node(const struct image *image);
uint32_t image_own_blob(const struct image *image);              /* of the opened file itself */
struct endpoint *image_endpoint(struct image *image);            /* of the opened file itself */
struct endpoint *image_blob(struct image *image, uint32_t blob); /* by id; NULL: no such blob */

/* A node between the format and the bytes: a raw window, and at the end the protocol. */
struct image_file {
    char *driver;    /* "raw", "file", "host_device" ... */
    char *display;   /* its name as reported */
    const char *key; /* what the node above calls it: "file" ... */
    struct endpoint *endpoint;
    struct image *disk; /* what is below is not this file's bytes but this image's disk; or NULL */
    gboolean over;      /* a filter, blkdebug or blkverify */
    gboolean watched;   /* blkdebug and blkverify, which do not tell sizes on disk */
    GPtrArray *raw;     /* blkverify: the nodes of the raw copy, of struct image_file *; or NULL */
};

/*
 * A name as it may be shown to people: bytes that an image chose have control bytes escaped.
 *
 * returns: newly allocated
 */
char *image_shown_name(const char *name);

/* All of them, of struct image_file *, outermost first. */
GPtrArray *image_files(const struct image *image);

/* The name of the node that the image lies in. */
const char *image_file_name(const struct image *image);

/* Whether a protocol or a filter itself was asked for; what is below it is in image_files. */
gboolean image_is_bytes(const struct image *image);

/* Of blkverify itself: the nodes of the raw copy, NULL: it is something else. */
GPtrArray *image_raw_copy(const struct image *image);

/*
 * The image whose disk this one hands through unchanged (a filter or raw over another format), or
 * the image itself.
 */
struct image *image_view(struct image *image);

/*
 * The image that has the internal snapshots of this one: itself, or the one whose disk lies below
 * nodes that have none (raw, filters, blkdebug).
 */
struct image *image_with_snapshots(struct image *image);

/* Whether what is written to the image is to be compressed (a compress filter over it). */
gboolean image_wants_compression(const struct image *image);

/* The i-th file that the image consists of besides its own, in the image's order, or NULL. */
const struct image_file *image_header(const struct image *image); /* detached, or NULL */
const struct image_file *image_extent(const struct image *image, unsigned i);

struct image *image_backing(struct image *image); /* next layer as a view, NULL: none */

/* What the image says about its backing file, whether or not it was opened. NULL: nothing. */
const char *image_backing_name(const struct image *image);   /* as stored */
const char *image_backing_format(const struct image *image); /* as stored */
char *image_backing_path(const struct image *image);         /* as resolved; newly allocated */

gboolean image_has_snapshots(const struct image *image);
gboolean image_is_encrypted(const struct image *image);

/* The cipher of an image that was unlocked, NULL: none; and how its IVs and bytes are counted. */
const struct crypto_spec *image_cipher(const struct image *image);
gboolean image_cipher_by_place(const struct image *image);
uint64_t image_payload_bytes(const struct image *image);

/*
 * Records a size that a command gave to the opened image (resize), or the one of an internal
 * snapshot it switched to.
 */
void image_set_virtual_size(struct image *image, uint64_t bytes);

/*
 * A run of what the guest sees, after the host looked for holes where the format asks for it.
 */
struct extent {
    uint64_t start;  /* virtual offset, bytes */
    uint64_t length; /* bytes */
    uint64_t offset; /* in endpoint, bytes; valid if has_offset */
    struct endpoint *endpoint;
    uint32_t comp_len, unit_len, skip; /* compressed, see struct cell_extent */
    const struct crypto_spec *cipher;  /* encrypted: the layer's */
    uint64_t iv_offset;                /* encrypted: what the first byte's IV counts from */
    unsigned depth;
    const char *file_name; /* of the file for people, where a node stands over it; NULL: its own */
    enum cell_extent_kind kind;
    enum cell_codec codec;
    gboolean has_offset;
    gboolean present; /* allocated in some layer looked at */
    gboolean zero;
    gboolean data;
    gboolean opaque;    /* shown as data without a place, whatever it is */
    uint64_t run_start; /* virtual offset: where what is shown as one run with it begins */
    gboolean rejected;  /* a layer above does not accept what is here: reading it fails */
    gboolean broken;    /* the image does not say what is there: reading fails with EIO */
};

/*
 * Iterates over [start, start + length). Fetches records in batches: few exits.
 *
 * in:      layers: 0 the whole chain, 1 the top image alone ...
 * extents_next returns: 1 an extent; 0 the end; -1 an error (the extents before it were given, the
 *          error is about the offset where the next would have started: extents_position)
 */
struct extents;
struct extents *extents_new(struct image *image, uint64_t start, uint64_t length, unsigned layers);
int extents_next(struct extents *it, struct extent *out, GError **error);
uint64_t extents_position(const struct extents *it);
void extents_free(struct extents *it);
typedef struct extents Extents; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Extents, extents_free)

/*
 * Says on stderr what stock says by itself when an image turns out to be damaged while it is in use
 * ("qcow2: Image is corrupt: ..."), and what only a cell can fail with (crash, timeout). The
 * command's own line ("Could not read file metadata: <strerror>") follows from the caller.
 *
 * returns: the errno for that line
 */
int image_report_damage(const GError *error);

/*
 * Refuses a raw file that is written past the page cache in units that do not end where it ends.
 *
 * returns: FALSE with stock's sentence
 */
gboolean image_check_size_kept(struct image *image, GError **error);

#endif
