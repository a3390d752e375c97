/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures of a VHDX that we write: headers, region table, metadata. Checksums included.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_MAKE_H
#define INSTAR_GUEST_FORMATS_VHDX_MAKE_H

#include "guest/formats/parent_name.h"
#include "guest/formats/vhdx.h"
#include "guest/plan/plan.h"

/* What of an image that we make is not always the same. */
struct vhdx_fields {
    uint32_t block_size;
    uint32_t params; /* enum vhdx_param_flags */
    uint64_t disk_size;
    uint32_t logical_sector;
    uint32_t log_length;
    uint64_t bat_offset, bat_length;
    uint64_t metadata_offset;
    uint8_t disk_id[VHDX_GUID_BYTES];
    const struct vhdx_locator *parent; /* NULL: none */
};

/* A parent locator, whole. */
struct vhdx_locator {
    uint32_t length; /* bytes */
    uint8_t bytes[2 * PARENT_NAME_MAX + 512];
};

#define VHDX_IDENTIFIER_BYTES    4096u
#define VHDX_METADATA_ITEMS_AT   65536u /* items, from the start of the metadata region */
#define VHDX_METADATA_ITEM_BYTES 40u
#define VHDX_METADATA_LOCATOR_AT 69632u /* the locator of a disk that we make */

/* Bytes of the two parts of the metadata that are not zeros. */
#define VHDX_METADATA_HEAD_BYTES (32u + 6u * VHDX_METADATA_ROW_BYTES)

/* A random (version 4) GUID from as many random bytes. */
void vhdx_make_guid(const uint8_t *random, uint8_t *out);

/*
 * A GUID that follows from another: for a change that nobody gave us random bytes for.
 *
 * in:      number: what tells this change from others of the same image
 */
void vhdx_derive_guid(const uint8_t *guid, uint64_t number, uint8_t *out);

void vhdx_make_identifier(uint8_t *out);                                      /* 4 KiB */
void vhdx_make_header(const struct vhdx_header *header, uint8_t *out);        /* 4 KiB */
void vhdx_make_regions(const struct vhdx_fields *fields, uint8_t *out);       /* 64 KiB */
void vhdx_make_metadata_head(const struct vhdx_fields *fields, uint8_t *out); /* ..._HEAD_BYTES */
void vhdx_make_metadata_items(const struct vhdx_fields *f, uint8_t *out);     /* ..._ITEM_BYTES */

/* Where the header that is not current stands: the next one goes there. */
static inline uint64_t vhdx_other_header(const struct vhdx *vhdx)
{
    return vhdx->current == 0 ? VHDX_HEADER2_OFFSET : VHDX_HEADER1_OFFSET;
}

/*
 * Fills a locator.
 *
 * in:      name: of the parent as the user gave it; guid: its DataWriteGuid
 * returns: VHDX_ERR_PARENT_NAME_KIND for a name that cannot be said there; GUEST_ERR_BAD_REQUEST
 */
enum guest_err vhdx_make_locator(struct span name, struct span guid, struct vhdx_locator *out,
                                 struct guest_err_detail *detail);

/* The row of the metadata table that names a locator. */
void vhdx_make_locator_row(uint32_t offset, uint32_t length, uint8_t *out);

/*
 * Appends the next header, and a barrier: the file is about to change.
 *
 * in:      vhdx: has the new header from then on; same_disk: what the guest sees does not change,
 *          children go on knowing this image
 */
void vhdx_put_next_header(struct vhdx *vhdx, bool same_disk, struct plan_sink *sink);

#endif
