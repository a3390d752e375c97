/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VDI image in memory, shared by the vdi*.c files.
 */
#ifndef INSTAR_GUEST_FORMATS_VDI_H
#define INSTAR_GUEST_FORMATS_VDI_H

#include "guest/abi/error_vdi.h"
#include "guest/formats/format.h"
#include "guest/formats/vdi_layout.h"

/* The fields that matter to us, by the names of vdi_layout.h. */
struct vdi_header {
    uint32_t signature;
    uint32_t version;
    uint32_t image_type;
    uint32_t offset_bmap; /* bytes */
    uint32_t offset_data; /* bytes */
    uint32_t sector_size;
    uint64_t disk_size; /* bytes, in whole sectors once the header is read */
    uint32_t block_size;
    uint32_t blocks_in_image;
    uint32_t blocks_allocated;
    uint8_t uuid_link[VDI_UUID_BYTES];
    uint8_t uuid_parent[VDI_UUID_BYTES];
};

#define VDI_WINDOW_ENTRIES 4096u

struct vdi {
    struct source *source;
    struct vdi_header header;
    /* A part of the block map, decoded: entries [first, first + nr). */
    uint32_t window[VDI_WINDOW_ENTRIES];
    uint32_t window_first, window_nr;
};

static inline struct vdi *vdi_of(const struct node *node)
{
    return node->state;
}

static inline enum guest_err vdi_error(struct guest_err_detail *detail, enum vdi_err code,
                                       uint64_t n0, uint64_t n1)
{
    return err_numbers(detail, (enum guest_err)code, n0, n1, 0, 0);
}

/* Whether an entry of the block map names a block of the file. */
static inline bool vdi_is_allocated(uint32_t entry)
{
    return entry < VDI_DISCARDED;
}

/* Where a block of the file begins, in bytes: below 2^53, whatever the entry says. */
static inline uint64_t vdi_block_offset(const struct vdi *vdi, uint32_t entry)
{
    return vdi->header.offset_data + (uint64_t)entry * VDI_BLOCK_BYTES;
}

/*
 * Reads the header and checks it as stock does.
 *
 * out:     *header, disk_size rounded up to whole sectors
 * returns: an enum vdi_err, in stock's order; GUEST_ERR_IO
 */
enum guest_err vdi_read_header(struct source *source, struct vdi_header *header,
                               struct guest_err_detail *detail);

/*
 * One entry of the block map. What lies past the end of the file reads as 0, as in stock.
 *
 * in:      index below blocks_in_image
 */
enum guest_err vdi_entry(struct vdi *vdi, uint32_t index, uint32_t *out,
                         struct guest_err_detail *detail);

/* As the driver's verb: what stock reports, in its order. Nothing is repaired, as in stock. */
enum guest_err vdi_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail);

#endif
