/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a format driver is, and what an opened image (a node) is.
 *
 * A driver is a table of verbs over one node; it sees only its own layer. Chains are flattened by
 * guest/plan/map.c. A node lives until the cell ends.
 */
#ifndef INSTAR_GUEST_FORMATS_FORMAT_H
#define INSTAR_GUEST_FORMATS_FORMAT_H

#include "crypto/sector_cipher.h"
#include "guest/abi/hypercall.h"
#include "guest/io/source.h"
#include "guest/abi/check.pb-c.h"
#include "guest/abi/info.pb-c.h"
#include "guest/abi/open.pb-c.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/formats/writer.h"

struct node;
struct plan;

/* One run of one layer. offset is valid with CELL_EXTENT_HAS_OFFSET. */
struct layer_extent {
    uint64_t length;       /* bytes from the asked offset on, 1 .. asked length */
    uint64_t offset;       /* bytes in the blob of `source` */
    struct source *source; /* whose blob: the image's own or its data file's */
    uint32_t comp_len;     /* COMPRESSED, as in struct cell_extent */
    uint32_t unit_len;
    uint32_t skip;
    uint8_t kind;  /* enum cell_extent_kind; HOLE means: ask the backing file */
    uint8_t flags; /* enum cell_extent_flags */
    uint8_t codec; /* enum cell_codec */
};

/* Where the findings of a check go, in the order in which they are made. */
struct finding_sink {
    void (*add)(struct finding_sink *sink, const struct cell_finding *finding);
    void *user;
};

/* A change of bitmaps, with what its merges read. */
struct bitmap_request {
    const Abi__BitmapRequest *message;
    struct source *blob; /* may be NULL; the plan's from now on */
};

struct format_driver {
    const char *name; /* qemu's name of the format */

    /*
     * How sure the driver is that an image that starts with `head` is its own: 0 (no) to 100.
     * head: the first bytes of the image, up to FORMAT_PROBE_BYTES; an image shorter than 512 is
     * padded with zeros to that.
     */
    int (*probe)(struct span head);

    /*
     * Parses the image at node->source and fills node's public fields and node->state. NULL: the
     * format is recognised but not built (GUEST_ERR_FORMAT_NOT_BUILT).
     */
    enum guest_err (*open)(struct node *node, const Abi__OpenRequest *request,
                           struct guest_err_detail *detail);

    /*
     * The longest run it can give cheaply from virtual offset `start` on, at most `length` bytes;
     * [start, start + length) lies inside the virtual disk and length is not 0.
     */
    enum guest_err (*map)(struct node *node, uint64_t start, uint64_t length,
                          struct layer_extent *out, struct guest_err_detail *detail);

    /* Fills the format's part of the reply; may be NULL. Strings and arrays from malloc. */
    enum guest_err (*info)(struct node *node, Abi__InfoReply *reply,
                           struct guest_err_detail *detail);

    /* May be NULL: GUEST_ERR_CHECKS_NOT_SUPPORTED. */
    enum guest_err (*check)(struct node *node, const Abi__CheckRequest *request,
                            struct finding_sink *findings, Abi__CheckReply *reply,
                            struct guest_err_detail *detail);

    /* Switches the node to an internal snapshot, for reading; may be NULL. */
    enum guest_err (*load_snapshot)(struct node *node, const Abi__SnapshotLoadRequest *request,
                                    struct guest_err_detail *detail);

    /*
     * Plans a new image in an empty blob; NULL: GUEST_ERR_FORMAT_NOT_BUILT. The format's own
     * options are in the request as key and value (guest/formats/create_options.h).
     *
     * out:     *out, to be freed with its verb
     */
    enum guest_err (*create)(const Abi__CreateRequest *request, struct plan **out,
                             struct guest_err_detail *detail);

    /*
     * Starts a copy into an image that was opened read-write, its children linked; NULL:
     * GUEST_ERR_NOT_SUPPORTED.
     *
     * out:     *out, to be freed with its verb, before the node
     */
    enum guest_err (*writer_open)(struct node *node, const struct image_writer_options *options,
                                  struct image_writer **out, struct guest_err_detail *detail);

    /* Plans another virtual size; NULL: GUEST_ERR_PLAN_RESIZE_FORMAT. */
    enum guest_err (*resize)(struct node *node, const Abi__ResizeRequest *request,
                             struct plan **out, struct guest_err_detail *detail);

    /* Plans a change of the internal snapshots; NULL: GUEST_ERR_NOT_SUPPORTED. */
    enum guest_err (*snapshot)(struct node *node, const Abi__SnapshotRequest *request,
                               struct plan **out, struct guest_err_detail *detail);

    /*
     * Takes the file of an extent reference; called once for each, in order. May be NULL when the
     * format has none. Sizes of the node may change until the last.
     */
    enum guest_err (*link_extent)(struct node *node, uint32_t index, struct node *child,
                                  struct guest_err_detail *detail);

    /*
     * Told which backing node was linked; may be NULL. What is read through the wrong one is an
     * error when node->rejects_backing is set; an error here refuses the image.
     */
    enum guest_err (*link_backing)(struct node *node, const struct node *child,
                                   struct guest_err_detail *detail);

    /* Plans another backing file, or none; NULL: GUEST_ERR_NOT_SUPPORTED. */
    enum guest_err (*change_backing)(struct node *node, const Abi__BackingRequest *request,
                                     struct plan **out, struct guest_err_detail *detail);

    /* Plans that nothing is allocated any more (commit); NULL: GUEST_ERR_NOT_SUPPORTED. */
    enum guest_err (*empty)(struct node *node, struct plan **out, struct guest_err_detail *detail);

    /*
     * Plans changes of the dirty bitmaps; NULL: GUEST_ERR_NOT_SUPPORTED. See guest/plan/bitmap.h.
     */
    enum guest_err (*bitmap)(struct node *node, const struct bitmap_request *request,
                             Abi__BitmapReply *reply, struct plan **out,
                             struct guest_err_detail *detail);

    /* Reads bits of a stored bitmap; NULL: GUEST_ERR_NOT_SUPPORTED. */
    enum guest_err (*bitmap_read)(struct node *node, const Abi__BitmapReadRequest *request,
                                  uint8_t *buf, struct guest_err_detail *detail);

    /* Plans one step of an amendment; NULL: GUEST_ERR_NOT_SUPPORTED. */
    enum guest_err (*amend)(struct node *node, const Abi__AmendRequest *request, struct plan **out,
                            struct guest_err_detail *detail);

    /* Gives back node->state; may be NULL. */
    void (*close)(struct node *node);
};

#define NODE_REFS_MAX     2048
#define NODE_WARNINGS_MAX 4

struct node {
    uint32_t id;
    const struct format_driver *driver;
    struct source *source;
    uint64_t virtual_size; /* bytes */
    uint64_t cluster_size; /* bytes, 0 if the format has none */
    bool encrypted;
    bool dirty;
    bool untidy; /* the header says what a writer must not keep: ABI__AMEND_STEP__AMEND_TIDY */
    bool has_snapshots;
    struct node *backing;   /* NULL: none, or not linked yet */
    bool rejects_backing;   /* what is read through it is not what it was: EINVAL */
    struct node *data_file; /* NULL: data is in source */
    struct node **extents;  /* linked so far, in order */
    unsigned nr_extents;
    Abi__FileRef **refs; /* what the image needs, in order; owned by the node */
    unsigned nr_refs;
    uint32_t warnings[NODE_WARNINGS_MAX];        /* codes of what is worth a warning at open */
    uint64_t warning_numbers[NODE_WARNINGS_MAX]; /* n0 of each */
    unsigned nr_warnings;
    uint64_t inside_offset, inside_size; /* an archive: the disk in it, bytes; 0: none */
    uint32_t event_code; /* what MAP is to announce without failing; GUEST_OK: nothing */
    struct guest_err_detail event;
    struct plan *repair; /* what the last check wants written, for PLAN_NEXT; NULL: nothing */
    const struct crypto_spec *cipher; /* encrypted and unlocked: the driver's; else NULL */
    bool cipher_by_place;             /* the IV counts from the start of the blob */
    uint64_t payload_bytes;           /* of the blob before what is encrypted, luks */
    uint64_t iv_base;                 /* bytes added to an offset before it gives an IV */
    Abi__Derivation *wants;           /* still locked: the host must derive this key first */
    void *state;                      /* the driver's */
};

/*
 * Every driver, best probe first on a tie. Defined in guest/formats/probe.c.
 */
extern const struct format_driver *const format_drivers[];
extern const unsigned nr_format_drivers;

#define FORMAT_PROBE_BYTES 2048u

extern const struct format_driver format_raw;
extern const struct format_driver format_luks;
extern const struct format_driver format_qcow2;
extern const struct format_driver format_vdi;
extern const struct format_driver format_bochs;
extern const struct format_driver format_cloop;
extern const struct format_driver format_dmg;
extern const struct format_driver format_vhdx;
extern const struct format_driver format_vpc;
extern const struct format_driver format_qed;
extern const struct format_driver format_parallels;
extern const struct format_driver format_qcow;
extern const struct format_driver format_vmdk;

/*
 * Finds the driver by name, or by asking every driver's probe (raw when none claims it).
 *
 * returns: NULL when no driver has that name
 */
const struct format_driver *format_by_name(struct span name);
const struct format_driver *format_probe(struct span head);

/*
 * Opens a node over a source: finds the driver, calls its open. Shared by the cell's dispatcher,
 * the unit tests and the fuzz harnesses.
 *
 * in:      src becomes the node's
 * out:     *out, until node_free; untouched on failure
 */
enum guest_err node_open(struct source *src, const Abi__OpenRequest *request, struct node **out,
                         struct guest_err_detail *detail);
void node_free(struct node *node);

/*
 * Adds a reference to the node: the name is parsed (guest/formats/fileref.c), never followed.
 *
 * in:      text: the name as the image holds it; format: demanded format or empty
 */
enum guest_err node_add_ref(struct node *node, Abi__Role role, struct span text, struct span format,
                            uint32_t index, struct guest_err_detail *detail);

/* Adds a reference that is made already; it is freed on failure. */
enum guest_err node_take_ref(struct node *node, Abi__FileRef *ref, struct guest_err_detail *detail);

/* Notes an extent that was linked. */
enum guest_err node_add_extent(struct node *node, struct node *child,
                               struct guest_err_detail *detail);

#endif
