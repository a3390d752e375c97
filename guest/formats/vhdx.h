/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened VHDX image.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_H
#define INSTAR_GUEST_FORMATS_VHDX_H

#include "guest/abi/error_vhdx.h"
#include "guest/formats/format.h"
#include "guest/formats/vhdx_layout.h"

/* No file of qemu's is longer: 2^63 - 1, down to a multiple of its largest alignment. */
#define VHDX_FILE_BYTES_MAX 0x7fffffffc0000000ull

/* A header, field names of the specification. */
struct vhdx_header {
    uint64_t sequence_number;
    uint8_t file_write_guid[VHDX_GUID_BYTES];
    uint8_t data_write_guid[VHDX_GUID_BYTES];
    uint8_t log_guid[VHDX_GUID_BYTES];
    uint16_t log_version;
    uint16_t version;
    uint32_t log_length;
    uint64_t log_offset;
};

/* A part of the file that is taken: the log, or a region. Ends may wrap, as in stock. */
struct vhdx_extent {
    uint64_t start, end;
};

enum vhdx_item {
    VHDX_ITEM_PARAMS,
    VHDX_ITEM_DISK_SIZE,
    VHDX_ITEM_DISK_ID,
    VHDX_ITEM_LOGICAL,
    VHDX_ITEM_PHYSICAL,
    VHDX_ITEM_PARENT,
    VHDX_ITEMS,
};

struct vhdx_metadata_entry {
    bool present;
    uint32_t row;    /* of the table */
    uint32_t offset; /* from the start of the metadata region */
    uint32_t length;
};

#define VHDX_WINDOW_ENTRIES 1024u

struct vhdx {
    struct source *source;
    uint64_t file_end; /* of the file, whole sectors of 512 */
    struct vhdx_header header;
    unsigned current;    /* which of the two it is: 0 or 1 */
    bool other_bad;      /* the other one is broken */
    bool regions_bad[2]; /* for check: which of the region tables is broken */
    struct vhdx_extent *taken;
    uint32_t nr_taken;
    uint64_t bat_offset;
    uint32_t bat_length;
    uint64_t metadata_offset;
    uint32_t metadata_length;
    struct vhdx_metadata_entry items[VHDX_ITEMS];
    uint32_t block_size;
    uint32_t params; /* enum vhdx_param_flags */
    uint64_t disk_size;
    uint32_t logical_sector;
    uint32_t chunk_ratio; /* payload blocks of one sector bitmap block */
    uint64_t data_blocks;
    uint64_t bat_entries; /* with those of the bitmaps between them */

    /* BAT entries [window_first, window_first + VHDX_WINDOW_ENTRIES), as far as they exist */
    bool window_valid;
    uint64_t window_first;
    uint64_t window[VHDX_WINDOW_ENTRIES];

    /* of a differencing disk */
    uint8_t parent_linkage[2][VHDX_GUID_BYTES]; /* DataWriteGuid of the parent: one of these */
    unsigned nr_linkages;
    uint8_t *bitmap; /* of one block, vhdx_bitmap_bytes; NULL until it is needed */
    uint64_t bitmap_offset;
};

/* Bytes of a block's bits. */
static inline uint32_t vhdx_bitmap_bytes(const struct vhdx *vhdx)
{
    return vhdx->block_size / vhdx->logical_sector / 8;
}

static inline struct vhdx *vhdx_of(const struct node *node)
{
    return node->state;
}

static inline enum guest_err vhdx_error(struct guest_err_detail *detail, unsigned code)
{
    return err_plain(detail, (enum guest_err)code);
}

/*
 * Reads bytes of the file; what is past its end reads as zeros.
 *
 * returns: VHDX_ERR_IO where no file of stock's reaches
 */
enum guest_err vhdx_read(const struct vhdx *vhdx, uint64_t offset, uint64_t len, void *buf,
                         struct guest_err_detail *detail);

/*
 * Reads identifier and headers, and takes note of where the log is.
 *
 * bound:   constant
 * source:  [MS-VHDX] 2.2; order and rules seen by giving stock 7.2, 10.0 and 11.1 images with one
 *          field changed
 */
enum guest_err vhdx_read_headers(struct vhdx *vhdx, struct guest_err_detail *detail);

/*
 * Reads the region table.
 *
 * in:      for_check: where it is broken its copy is read
 * bound:   2047 entries, each compared with all before it
 */
enum guest_err vhdx_read_regions(struct vhdx *vhdx, bool for_check,
                                 struct guest_err_detail *detail);

/* Reads the metadata and works out the shape of the BAT. bound: 2047 entries */
enum guest_err vhdx_read_metadata(struct vhdx *vhdx, struct guest_err_detail *detail);

/*
 * Whether [start, start + length) lies over something that is taken: VHDX_LINE_REGION.
 */
enum guest_err vhdx_check_free(const struct vhdx *vhdx, uint64_t start, uint64_t length,
                               struct guest_err_detail *detail);

/*
 * Looks at every BAT entry of a block that is there.
 *
 * in:      found: called for each finding with the entry's index; false ends the look
 * returns: GUEST_OK, also after findings; what reading gives
 * bound:   linear in the BAT, as far as it lies in the file
 */
typedef bool (*vhdx_found_fn)(void *user, uint64_t index, enum guest_err code,
                              const struct guest_err_detail *detail);
enum guest_err vhdx_audit_bat(struct vhdx *vhdx, vhdx_found_fn found, void *user,
                              struct guest_err_detail *detail);

/* How many entries of the BAT lie in the file: the others are zeros. */
uint64_t vhdx_bat_in_file(const struct vhdx *vhdx);

/*
 * The BAT entry at an index that counts bitmap blocks as well.
 */
enum guest_err vhdx_bat_entry(struct vhdx *vhdx, uint64_t index, uint64_t *out,
                              struct guest_err_detail *detail);

/* The index of a payload block's entry, and of its chunk's bitmap. */
static inline uint64_t vhdx_payload_index(const struct vhdx *vhdx, uint64_t block)
{
    return block + block / vhdx->chunk_ratio;
}
static inline uint64_t vhdx_bitmap_index(const struct vhdx *vhdx, uint64_t block)
{
    return (block / vhdx->chunk_ratio + 1) * (vhdx->chunk_ratio + 1ull) - 1;
}

/*
 * How many blocks a disk has, and how many entries its BAT.
 *
 * out:     blocks of a chunk, payload blocks
 * returns: entries, those of bitmap blocks included
 */
uint64_t vhdx_shape(uint64_t disk_size, uint32_t block_size, uint32_t logical_sector,
                    bool has_parent, uint64_t *out_chunk_ratio, uint64_t *out_data_blocks);

enum guest_err vhdx_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail);
enum guest_err vhdx_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail);
enum guest_err vhdx_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                                struct plan **out, struct guest_err_detail *detail);
enum guest_err vhdx_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail);
enum guest_err vhdx_check(struct node *node, const Abi__CheckRequest *request,
                          struct finding_sink *findings, Abi__CheckReply *reply,
                          struct guest_err_detail *detail);

/*
 * Reads the parent locator of a differencing disk and adds the reference: the relative path, else
 * the absolute one, else that on a volume (guest/formats/parent_name.h).
 *
 * returns: VHDX_ERR_INVALID when it does not say what it must
 * bound:   a locator of 64 KiB
 * source:  [MS-VHDX] 2.6.2.6
 */
enum guest_err vhdx_add_parent(struct node *node, struct guest_err_detail *detail);

/* Whether the node is the parent, as it was: its DataWriteGuid must be one that was written down.
 */
enum guest_err vhdx_link_backing(struct node *node, const struct node *child,
                                 struct guest_err_detail *detail);

/*
 * Where the bits of a block are.
 *
 * out:     *out in bytes of the file; *out_present: false when its chunk has no bitmap
 */
enum guest_err vhdx_find_bits(struct vhdx *vhdx, uint64_t block, uint64_t *out, bool *out_present,
                              struct guest_err_detail *detail);

/* A run of a block that is partially there; `out` is filled with what else is known. */
enum guest_err vhdx_map_partial(struct vhdx *vhdx, uint64_t block, uint64_t in_block,
                                struct layer_extent *out, struct guest_err_detail *detail);

enum guest_err vhdx_change_backing(struct node *node, const Abi__BackingRequest *request,
                                   struct plan **out, struct guest_err_detail *detail);
enum guest_err vhdx_empty(struct node *node, struct plan **out, struct guest_err_detail *detail);

/*
 * Looks for entries in the log that must be replayed.
 *
 * returns: GUEST_OK with *out_dirty; VHDX_ERR_INVALID for a log that breaks a rule
 * bound:   four times the log, as far as it lies in the file
 */
enum guest_err vhdx_find_log(const struct vhdx *vhdx, bool *out_dirty,
                             struct guest_err_detail *detail);

#endif
