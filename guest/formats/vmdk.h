/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the VMDK driver.
 *
 * An image is a list of extents, one behind the other. A descriptor file names them; the sparse
 * ones among them are parsed when the host links the file (vmdk_link_extent). An image that is a
 * sparse extent itself has one, without a name.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_H
#define INSTAR_GUEST_FORMATS_VMDK_H

#include "guest/abi/error_vmdk.h"
#include "guest/formats/format.h"
#include "guest/formats/vmdk_layout.h"
#include "guest/formats/writer.h"

#define VMDK_EXTENTS_MAX 2048u

/* What the descriptor calls an extent. */
enum vmdk_type {
    VMDK_TYPE_NONE, /* the image itself */
    VMDK_TYPE_FLAT,
    VMDK_TYPE_VMFS,
    VMDK_TYPE_SPARSE,
    VMDK_TYPE_VMFSSPARSE,
    VMDK_TYPE_SESPARSE,
};

struct vmdk_extent {
    enum vmdk_type type;
    struct source *source;    /* NULL: not linked yet */
    uint64_t start;           /* first sector of the disk that is in it */
    uint64_t sectors;         /* of its length */
    uint64_t flat_offset;     /* flat: bytes in source */
    uint32_t cluster_sectors; /* not flat: of a grain */
    uint32_t gtes_per_gt;
    uint32_t gd_entries;
    uint64_t gd_offset;  /* bytes */
    uint64_t rgd_offset; /* bytes, 0: none */
    bool flat;
    bool sesparse;
    bool compressed;
    bool markers;                  /* a marker before each grain */
    bool footer;                   /* the end of the file says where the directory is */
    bool zero_grain;               /* the entry 1 means zeros */
    uint64_t se_tables, se_grains; /* seSparse: where grain tables and grains begin, sectors */
};

/* Parts of tables that were read last. */
struct vmdk_window {
    const struct vmdk_extent *extent; /* NULL: empty */
    uint64_t first;                   /* GD: first entry held; GT: the table's number */
    uint8_t *bytes;
};

struct vmdk {
    struct vmdk_extent *extents;
    unsigned nr_extents;
    unsigned nr_linked;
    char create_type[128];
    uint32_t cid, parent_cid;
    uint64_t text_offset; /* bytes: where ids stand behind */
    struct vmdk_window gd, gt;
    enum guest_err late; /* found behind extents that had to be opened first; reported after them */
    struct guest_err_detail late_detail;
    bool read_write;
    bool mixed; /* extents differ in kind or grain: no cluster size speaks for all */
};

static inline struct vmdk *vmdk_of(const struct node *node)
{
    return node->state;
}

static inline enum guest_err vmdk_error(struct guest_err_detail *detail, enum vmdk_err code,
                                        uint64_t n0)
{
    return err_numbers(detail, (enum guest_err)code, n0, 0, 0, 0);
}

static inline uint64_t vmdk_cluster_bytes(const struct vmdk_extent *e)
{
    return (uint64_t)e->cluster_sectors * VMDK_SECTOR_BYTES;
}

/* ---- vmdk_text.c: finding things in a descriptor ---- */

/* The first place of `word` in text, and what follows it; false when it is not there. */
bool vmdk_text_after(struct span text, const char *word, struct span *out);

/* What stands between `name="` and the next quote; false without either. */
bool vmdk_text_value(struct span text, const char *name, struct span *out);

/* A hexadecimal number as sscanf reads it, cut to 32 bits. */
bool vmdk_text_hex(struct span text, uint32_t *out);

/* One extent line, as the scan "%10s %ld %10s \"%511[^\n\r\"]\" %ld" takes it apart. */
struct vmdk_line {
    int matches;
    struct span access, type, name;
    int64_t sectors, offset;
};
void vmdk_text_line(struct span text, struct vmdk_line *out);

/* ---- vmdk_descriptor.c ---- */

/*
 * Reads the text at an offset: at most `most` bytes, up to the first NUL.
 *
 * out:     *out, its data from malloc, to be freed by the caller
 * returns: VMDK_ERR_TOO_SMALL for a file of no bytes
 */
enum guest_err vmdk_read_text(struct source *source, uint64_t offset, uint64_t most,
                              struct span *out, struct guest_err_detail *detail);

/*
 * Parses a descriptor file: the create type, and the extents, as references of the node.
 *
 * returns: VMDK_ERR_DESCRIPTOR, VMDK_ERR_CREATE_TYPE, VMDK_ERR_EXTENT_LINE,
 *          VMDK_ERR_EXTENTS_MANY; what comes after an extent that must be opened first goes to
 *          vmdk->late
 */
enum guest_err vmdk_parse_descriptor(struct node *node, struct span text,
                                     struct guest_err_detail *detail);

/* The parent's name and both ids; `offset` is where the descriptor starts, bytes. */
enum guest_err vmdk_read_ids(struct node *node, uint64_t offset, struct guest_err_detail *detail);

/* ---- vmdk_cid.c ---- */

#define VMDK_CID_DIGITS 8u

/* The digits of an id and where they stand, bytes; none: there is nothing to replace. */
struct vmdk_cid {
    uint64_t offset;
    unsigned nr_digits;
    uint8_t digits[VMDK_CID_DIGITS];
};

/* Finds the image's id in its descriptor. */
enum guest_err vmdk_find_cid(struct node *node, struct vmdk_cid *out,
                             struct guest_err_detail *detail);

/* Replaces the digits by as many others. */
void vmdk_renew_cid(struct vmdk_cid *cid, uint64_t random);

/* ---- vmdk_sparse.c, vmdk_sesparse.c ---- */

/*
 * Parses a hosted sparse or a COWD extent.
 *
 * in:      e->source is set
 * out:     the fields of *e; *out_descriptor: the image is no extent but a descriptor that stands
 *          at that offset, bytes; 0: it is an extent
 */
enum guest_err vmdk_open_sparse(struct vmdk *v, struct vmdk_extent *e, uint64_t *out_descriptor,
                                struct guest_err_detail *detail);
enum guest_err vmdk_open_sesparse(struct vmdk_extent *e, struct guest_err_detail *detail);

/*
 * What all extents with tables have to satisfy.
 *
 * in:      gd_entries: as computed, before it is cut to 32 bits
 */
enum guest_err vmdk_check_tables(const struct vmdk_extent *e, uint64_t rgd_offset, bool has_rgd,
                                 struct guest_err_detail *detail);

/* ---- vmdk_tables.c ---- */

enum vmdk_grain_kind {
    VMDK_GRAIN_HOLE,
    VMDK_GRAIN_ZERO,
    VMDK_GRAIN_DATA,
};

struct vmdk_grain {
    enum vmdk_grain_kind kind;
    uint64_t offset;      /* DATA: bytes in the extent's file */
    uint64_t same_grains; /* grains from here on of the same kind, DATA: side by side; at least 1 */
    uint64_t next_offset; /* compressed: where the next grain of the table lies; 0: unknown */
};

/*
 * Looks a grain up.
 *
 * in:      grain: its number in the extent; most: how many are of interest, not 0
 * returns: VMDK_ERR_ENTRY for an entry that means nothing, or a grain beyond the directory
 * bound:   a chunk of the directory and one table
 */
enum guest_err vmdk_find_grain(struct vmdk *v, const struct vmdk_extent *e, uint64_t grain,
                               uint64_t most, struct vmdk_grain *out,
                               struct guest_err_detail *detail);
void vmdk_window_clear(struct vmdk *v);

/* The extent that holds a sector of the disk, or NULL. */
const struct vmdk_extent *vmdk_extent_at(const struct vmdk *v, uint64_t sector);

/* ---- vmdk_map.c, vmdk_info.c, vmdk_check.c: the driver's verbs ---- */

enum guest_err vmdk_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail);
enum guest_err vmdk_info(struct node *node, Abi__InfoReply *reply, struct guest_err_detail *detail);
enum guest_err vmdk_check(struct node *node, const Abi__CheckRequest *request,
                          struct finding_sink *findings, Abi__CheckReply *reply,
                          struct guest_err_detail *detail);

/* vmdk_create.c, vmdk_writer.c, vmdk_resize.c */
enum guest_err vmdk_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                           struct guest_err_detail *detail);
enum guest_err vmdk_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail);
enum guest_err vmdk_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail);

#endif
