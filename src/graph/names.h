/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user typed for an image, taken apart: a plain name, `file:` and its kin, `json:{...}` or
 * an --image-opts string.
 *
 * Only what the user typed comes here. Names found in images are parsed in the cell and judged by
 * policy.c.
 */
#ifndef INSTAR_SRC_GRAPH_NAMES_H
#define INSTAR_SRC_GRAPH_NAMES_H

#include <glib.h>

#include "compat/blockopts.h"
#include "compat/cache.h"
#include "src/io/nbd.h"

enum leaf_kind {
    LEAF_NONE, /* no file was named (the options of a backing file whose name the image has) */
    LEAF_FILE, /* a path: file or host_device */
    LEAF_NULL, /* null-co, null-aio */
    LEAF_NBD,  /* a network block device */
    LEAF_DISK, /* what an image of some format holds: the last node says which */
};

/* A window that a raw node opens onto what is below it. */
struct slice {
    gboolean have_offset, have_size;
    uint64_t offset_bytes, size_bytes;
};

enum node_kind {
    NODE_PROTOCOL,  /* a file, or nothing */
    NODE_RAW,       /* a window */
    NODE_FILTER,    /* hands everything through: throttle, copy-on-read, compress, preallocate */
    NODE_BLKDEBUG,  /* hands everything through, but for what it makes fail */
    NODE_BLKVERIFY, /* what is below it must hold the same as `other` */
    NODE_DISK,      /* the disk in the image `other` */
};

/* A node below the one that the name is about, or with is_protocol that one itself. */
struct name_node {
    enum node_kind kind;
    char *driver;         /* NULL: a path, whatever it turns out to be; or a probed image */
    char *display;        /* how it is reported */
    const char *key;      /* what the node above calls it: "file", "image" ... */
    struct slice slice;   /* NODE_RAW */
    GArray *rules;        /* NODE_BLKDEBUG: of struct blkdebug_rule */
    uint64_t alignment;   /* NODE_BLKDEBUG; 0: not said */
    char *throttle_group; /* NODE_FILTER; NULL: does not throttle */
    struct name *other;   /* NODE_DISK, NODE_BLKVERIFY */
    GError *late;         /* what is wrong with it once what is below it is open; NULL: nothing */
    struct blockopts *shown; /* options that belong in the name it is reported by */
};

#define VHD_SIZE_KEY "force_size_calc"

struct name {
    char *display;        /* the name as it is reported */
    char *driver;         /* the format, or with is_protocol the protocol; NULL: probe */
    gboolean is_protocol; /* bytes that nobody interprets: a protocol or a filter */

    enum leaf_kind leaf;
    char *path;                  /* LEAF_FILE */
    unsigned endpoint_flags;     /* LEAF_FILE: ENDPOINT_ONLY_* */
    gboolean no_lock;            /* file.locking=off */
    uint64_t null_bytes;         /* LEAF_NULL */
    gboolean null_zeroes;        /* LEAF_NULL: read-zeroes=on */
    uint64_t null_latency_nsecs; /* LEAF_NULL: latency-ns */
    struct nbd_address *nbd;     /* LEAF_NBD */

    struct slice slice;      /* of a format that is raw */
    struct blockopts *shown; /* options of the format that belong in the name */
    GPtrArray *nodes;        /* of struct name_node *, outermost first */

    /* How encrypted images are unlocked; NULL: not said. */
    char *key_secret;     /* "key-secret", of luks */
    char *encrypt_secret; /* "encrypt.key-secret", of qcow2 */
    char *encrypt_format; /* "encrypt.format" */
    char *encrypt_other;  /* an "encrypt." key that there is not, without the prefix */

    char *vhd_size; /* VHD_SIZE_KEY of a VHD; NULL: as its creator says */

    gboolean read_only;
    gboolean force_share;
    struct cache_mode cache;

    gboolean plain_below;   /* "file.filename" was given */
    gboolean no_backing;    /* "backing": null */
    char *backing_key;      /* the first option about the backing file, NULL: none */
    char *backing_node;     /* a node reference, which can only be refused */
    struct name *backing;   /* NULL: as the image says */
    struct name *data_file; /* NULL: as the image says */
    struct name *header;    /* of luks: the file that the header is in; NULL: the image's own */

    struct blockopts *rest; /* options of the format, not taken by anybody yet */

    GError *late;           /* what is wrong with a format once its file is open; NULL: nothing */
    GError *late_backing;   /* with what the options say about the backing file */
    GError *late_data_file; /* ... and the data file */
};

struct name_request {
    const char *text;
    gboolean image_opts; /* text is an --image-opts string */
    const char *format;  /* -f, which wins over "driver"; NULL: none */
    gboolean force_share;
    gboolean is_child; /* other nodes stand over it */
    struct cache_mode cache;
};

/*
 * Takes a name apart.
 *
 * returns: NULL with stock's sentence: Unknown driver, Unknown protocol, Must specify either driver
 *          or file, A block device must be specified for "file", Cannot find device= ...; protocols
 *          and nodes that are not built are refused by name
 */
struct name *name_parse(const struct name_request *request, GError **error);
void name_free(struct name *name);

/* Fills the display names of a parsed name and of each node below it. */
void name_display_nodes(struct name *name);
typedef struct name Name; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Name, name_free)

/* "Cannot find device='x' nor node-name='x'": there are no nodes to refer to. Returns FALSE. */
gboolean name_fail_reference(GError **error, const char *node);

/*
 * Takes the options that the format, now that it is known, has of its own.
 */
gboolean name_take_own(const struct name *name, const char *format, GError **error);

/*
 * Refuses options that it does not have.
 */
gboolean name_finish(const struct name *name, const char *format, GError **error);

#endif
