/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block map of a VDI image that is being written: pages of it in memory, changed there, and
 * written as a whole.
 */
#ifndef INSTAR_GUEST_FORMATS_VDI_BMAP_H
#define INSTAR_GUEST_FORMATS_VDI_BMAP_H

#include "guest/formats/vdi.h"
#include "guest/plan/plan.h"

#define VDI_PAGE_ENTRIES VDI_WINDOW_ENTRIES

struct vdi_page {
    uint32_t entries[VDI_PAGE_ENTRIES];
    /* A bit for each entry: its block has a place and its data is not reported yet, so that the
     * entry is still written as unallocated. */
    uint64_t pending[VDI_PAGE_ENTRIES / 64];
    uint32_t nr_pending;
    bool dirty;
};

struct vdi_bmap {
    struct vdi *vdi;
    struct vdi_page **pages; /* NULL: not at hand */
    uint32_t nr_pages;
    uint32_t nr_loaded;
};

/* returns: GUEST_ERR_NO_MEMORY */
enum guest_err vdi_bmap_init(struct vdi_bmap *map, struct vdi *vdi,
                             struct guest_err_detail *detail);
void vdi_bmap_clear(struct vdi_bmap *map);

/*
 * An entry as it will be, pending or not.
 *
 * in:      index below blocks_in_image
 */
enum guest_err vdi_bmap_get(struct vdi_bmap *map, uint32_t index, uint32_t *out,
                            struct guest_err_detail *detail);

/* Changes an entry; pending: not to be written before vdi_bmap_settle. */
enum guest_err vdi_bmap_set(struct vdi_bmap *map, uint32_t index, uint32_t entry, bool pending,
                            struct guest_err_detail *detail);

/* The data of a block was written: its entry may be. No effect on one that is not pending. */
void vdi_bmap_settle(struct vdi_bmap *map, uint32_t index);

/* Every pending entry may be written. */
void vdi_bmap_settle_all(struct vdi_bmap *map);

/* Bytes of pages at hand. */
uint64_t vdi_bmap_bytes(const struct vdi_bmap *map);

/*
 * Appends the changed pages from *index on; *index is the next page.
 *
 * returns: whether all fitted into the batch
 */
bool vdi_bmap_yield(struct vdi_bmap *map, uint32_t *index, uint32_t blob, struct plan_sink *sink);

/* Gives back the pages that hold nothing of their own, once what was yielded is on disk. */
void vdi_bmap_drop(struct vdi_bmap *map);

#endif
