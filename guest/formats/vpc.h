/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened VHD image.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_H
#define INSTAR_GUEST_FORMATS_VPC_H

#include "guest/abi/error_vpc.h"
#include "guest/formats/format.h"
#include "guest/formats/vpc_layout.h"

/* The footer, field names of the specification. */
struct vpc_footer {
    uint32_t features;
    uint32_t version;
    uint64_t data_offset;
    uint32_t time_stamp;
    uint8_t creator_application[4];
    uint64_t original_size;
    uint64_t current_size;
    uint16_t cylinder;
    uint8_t heads;
    uint8_t sectors;
    uint32_t disk_type;
    uint32_t checksum;
    uint8_t unique_id[VPC_UUID_BYTES];
};

/* Where a name of the parent is, and in which way it is written. */
struct vpc_locator {
    uint32_t platform_code;
    uint32_t length; /* bytes */
    uint64_t offset;
};

struct vpc_dynamic {
    uint64_t table_offset;
    uint32_t version;
    uint32_t max_table_entries;
    uint32_t block_size;
    uint32_t checksum;
    uint8_t parent_unique_id[VPC_UUID_BYTES];
    uint32_t parent_time_stamp;
    uint8_t parent_unicode_name[VPC_PARENT_NAME_BYTES];
    struct vpc_locator locator[VPC_LOCATORS];
};

#define VPC_WINDOW_ENTRIES 1024u

struct vpc {
    struct source *source;
    struct vpc_footer footer;
    uint8_t footer_bytes[VPC_FOOTER_BYTES];
    uint64_t file_end; /* whole sectors; a writer moves it */
    bool has_table;    /* a footer copy was at the start: there is a dynamic header and a BAT */
    bool start_broken; /* for check: that footer is broken, the one at the end counts */
    bool is_fixed;     /* Disk Type says so, with or without a table */
    bool is_differencing;

    /* with has_table */
    struct vpc_dynamic dynamic;
    uint32_t bitmap_bytes; /* of a block, whole sectors */
    uint64_t free_offset;  /* after the last block and the BAT: where the footer may stand */

    /* BAT entries [window_first, window_first + VPC_WINDOW_ENTRIES), as far as they exist */
    bool window_valid;
    uint32_t window_first;
    uint32_t window[VPC_WINDOW_ENTRIES];

    /* the sector bitmap of one block of a differencing disk */
    uint8_t *bitmap; /* bitmap_bytes, or NULL */
    uint64_t bitmap_offset;
};

static inline struct vpc *vpc_of(const struct node *node)
{
    return node->state;
}

static inline enum guest_err vpc_error(struct guest_err_detail *detail, unsigned code)
{
    return err_plain(detail, (enum guest_err)code);
}

/*
 * The ones' complement of the sum of all bytes but the four of the checksum itself.
 *
 * in:      checksum_at: offset of the checksum in bytes
 */
uint32_t vpc_checksum(struct span bytes, size_t checksum_at);

/*
 * Decodes a footer; false when it has no cookie.
 *
 * in:      bytes: VPC_FOOTER_BYTES
 */
bool vpc_decode_footer(struct span bytes, struct vpc_footer *out);

/*
 * Reads and validates footer, dynamic header and BAT, as far as stock does. For a differencing disk
 * the parent is not looked for.
 *
 * in:      size_rule: Abi__VpcSize; for_check: what a check can report and repair is let pass: a
 *          broken footer at the start, blocks past the end of the file
 * out:     *out without allocations but for what vpc_close frees; node->virtual_size
 * bound:   reads the whole BAT, which lies inside the file
 * source:  order and limits seen by giving stock 7.2, 10.0 and 11.1 images with one field changed
 */
enum guest_err vpc_read_header(struct node *node, uint32_t size_rule, bool for_check,
                               struct vpc *out, struct guest_err_detail *detail);

/*
 * The BAT entry of a block.
 *
 * in:      index below max_table_entries
 */
enum guest_err vpc_bat_entry(struct vpc *vpc, uint32_t index, uint32_t *out,
                             struct guest_err_detail *detail);

/* Where the data of a block starts whose BAT entry is `entry`, bytes. */
static inline uint64_t vpc_data_offset(const struct vpc *vpc, uint32_t entry)
{
    return (uint64_t)entry * VPC_SECTOR_BYTES + vpc->bitmap_bytes;
}

/*
 * Adds the reference to the parent that a differencing disk names: the relative name, else the
 * absolute one, else that of a Mac, else the display name (guest/formats/parent_name.h).
 *
 * returns: VPC_ERR_PARENT_NAME when there is none
 * bound:   reads 8 names of at most 4 KiB
 */
enum guest_err vpc_add_parent(struct node *node, struct vpc *vpc, struct guest_err_detail *detail);

/*
 * Whether the node is the parent: its unique id must be the one that was written down. The time
 * stamp is not compared, since it is that of a file, and a copy of the file has another.
 */
enum guest_err vpc_link_backing(struct node *node, const struct node *child,
                                struct guest_err_detail *detail);

/* A run of a block of a differencing disk whose BAT entry is `entry`. */
enum guest_err vpc_map_own(struct vpc *vpc, uint32_t entry, uint64_t in_block,
                           struct layer_extent *out, struct guest_err_detail *detail);

enum guest_err vpc_change_backing(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail);
enum guest_err vpc_empty(struct node *node, struct plan **out, struct guest_err_detail *detail);

enum guest_err vpc_map(struct node *node, uint64_t start, uint64_t length, struct layer_extent *out,
                       struct guest_err_detail *detail);
enum guest_err vpc_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail);
enum guest_err vpc_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                               struct plan **out, struct guest_err_detail *detail);
enum guest_err vpc_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail);

#endif
