/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures of a VHDX that we write: headers, region table, metadata. Checksums included.
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_MAKE_H
#define INSTAR_GUEST_FORMATS_VHDX_MAKE_H

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
};

#define VHDX_IDENTIFIER_BYTES    4096u
#define VHDX_METADATA_ITEMS_AT   65536u /* items, from the start of the metadata region */
#define VHDX_METADATA_ITEM_BYTES 40u

/* Bytes of the two parts of the metadata that are not zeros. */
#define VHDX_METADATA_HEAD_BYTES (32u + 5u * 32u)

/* A random (version 4) GUID from as many random bytes. */
void vhdx_make_guid(const uint8_t *random, uint8_t *out);

/*
 * A GUID that follows from another: for a change that nobody gave us random bytes for.
 *
 * in:      number: what tells this change from others of the same image
 */
void vhdx_derive_guid(const uint8_t *guid, uint64_t number, uint8_t *out);

void vhdx_make_identifier(uint8_t *out);                                  /* 4 KiB */
void vhdx_make_header(const struct vhdx_header *header, uint8_t *out);    /* 4 KiB */
void vhdx_make_regions(const struct vhdx_fields *fields, uint8_t *out);   /* 64 KiB */
void vhdx_make_metadata_head(uint8_t *out);                               /* ..._HEAD_BYTES */
void vhdx_make_metadata_items(const struct vhdx_fields *f, uint8_t *out); /* ..._ITEM_BYTES */

/* Where the header that is not current stands: the next one goes there. */
static inline uint64_t vhdx_other_header(const struct vhdx *vhdx)
{
    return vhdx->current == 0 ? VHDX_HEADER2_OFFSET : VHDX_HEADER1_OFFSET;
}

/*
 * Appends the next header, and a barrier: what the guest sees is about to change.
 *
 * in:      vhdx: has the new header from then on
 */
void vhdx_put_next_header(struct vhdx *vhdx, struct plan_sink *sink);

#endif
