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

/* Which blocks of the file the block map names. */
struct vdi_usage {
    uint64_t *used;     /* a bit for each of nr_bits blocks */
    uint32_t nr_bits;   /* at least blocks_in_image */
    uint32_t allocated; /* entries that name a block among the image's */
    uint32_t top;       /* the highest of these blocks, and one */
};

/* Takes note of what is wrong with the map; NULL stands for: nothing may be. */
typedef void (*vdi_found_fn)(void *user, enum vdi_finding code, uint64_t n0, uint64_t n1);

/*
 * Walks the block map.
 *
 * in:      nr_bits: room for that many blocks, if it is more than blocks_in_image
 * out:     *usage, to be cleared also on failure
 * returns: GUEST_OK; VDI_ERR_MAP_WRONG at the first finding if found is NULL;
 * GUEST_ERR_TOO_MUCH_WORK after VDI_FINDINGS_MAX; GUEST_ERR_NO_MEMORY, GUEST_ERR_IO bound:   the
 * entries of the map; a bit of memory for each
 */
enum guest_err vdi_usage_scan(struct vdi *vdi, uint32_t nr_bits, vdi_found_fn found, void *user,
                              struct vdi_usage *usage, struct guest_err_detail *detail);
void vdi_usage_clear(struct vdi_usage *usage);

/* As vdi_usage_scan, for who will change the image: also its areas must be apart. */
enum guest_err vdi_usage_sound(struct vdi *vdi, uint32_t nr_bits, struct vdi_usage *usage,
                               struct guest_err_detail *detail);

/* Takes the first free block from *cursor on; false when there is none. */
bool vdi_usage_take(struct vdi_usage *usage, uint32_t *cursor, uint32_t *out_block);

/* A map that is made up of nonsense gives up to 2^29 lines: enough is enough. */
#define VDI_FINDINGS_MAX (1u << 18)

/* Forgets what was read of the block map, after it was changed. */
static inline void vdi_forget_map(struct vdi *vdi)
{
    vdi->window_nr = 0;
    source_forget(vdi->source);
}

/* As the driver's verb: what stock reports, in its order. Nothing is repaired, as in stock. */
enum guest_err vdi_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail);

#endif
