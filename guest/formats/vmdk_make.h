/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making VMDK structures: descriptors, headers, markers, and where the tables of a new sparse
 * extent are.
 *
 * A sparse extent is laid out as stock does it: header, 20 sectors of descriptor, the redundant
 * directory with its tables, the directory with its tables, and grains from the next multiple of
 * the grain size on. Tables are there from the start, so that only entries change later.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_MAKE_H
#define INSTAR_GUEST_FORMATS_VMDK_MAKE_H

#include "guest/formats/vmdk.h"

#define VMDK_MADE_GRAIN_SECTORS 128u
#define VMDK_MADE_GTES          512u
#define VMDK_MADE_GT_SECTORS    (VMDK_MADE_GTES * 4u / VMDK_SECTOR_BYTES)
#define VMDK_MADE_SPAN_SECTORS  (VMDK_MADE_GRAIN_SECTORS * VMDK_MADE_GTES)
#define VMDK_MADE_RGD_SECTOR    (1u + VMDK_DESCRIPTOR_SECTORS)
#define VMDK_SPLIT_SECTORS      (1u << 22) /* 2 GiB */

/* Sectors, but for tables and capacity. */
struct vmdk_layout {
    uint64_t capacity;
    uint64_t tables; /* how many grain tables */
    uint64_t gd_sectors;
    uint64_t rgd_offset, gd_offset; /* 0, VMDK_GD_AT_END: of a stream */
    uint64_t overhead;              /* where grains begin */
    bool zero_grain;
    bool stream;
};

/*
 * Lays a new sparse extent out.
 *
 * returns: false when its tables could not be addressed
 */
bool vmdk_lay_out(uint64_t capacity, bool zero_grain, bool stream, struct vmdk_layout *out);

/*
 * Fills a sector with the header; `gd_offset` stands in for the layout's.
 */
void vmdk_make_header(const struct vmdk_layout *layout, uint64_t gd_offset,
                      uint8_t out[VMDK_SECTOR_BYTES]);

/* Fills a sector with a marker. */
void vmdk_make_marker(uint64_t sectors, enum vmdk_marker type, uint8_t out[VMDK_SECTOR_BYTES]);

/* ---- vmdk_make_extent.c ---- */

/* What of a new extent comes next. */
enum vmdk_extent_step {
    VMDK_EXTENT_SIZE,
    VMDK_EXTENT_RGD,
    VMDK_EXTENT_GD,
    VMDK_EXTENT_HEAD,
    VMDK_EXTENT_MADE,
};

/* An extent being made in an empty file; starts at the first step. */
struct vmdk_new_extent {
    uint32_t blob;
    uint64_t sectors;
    bool flat, zero_grain, stream;
    enum vmdk_extent_step step;
    uint64_t entry; /* of the directory */
};

/* Yields as many ops as fit. True: the extent is complete; false: again with more room. */
bool vmdk_make_extent(struct vmdk_new_extent *extent, struct plan_sink *sink);

/* ---- vmdk_make_text.c ---- */

/* A text that grows; starts zeroed. */
struct vmdk_text {
    uint8_t *data;
    size_t len, room;
    bool failed; /* out of memory */
};

void vmdk_text_add(struct vmdk_text *text, struct span s);
void vmdk_text_add_number(struct vmdk_text *text, uint64_t number, unsigned base);

/* An extent's line, without its end. */
void vmdk_text_add_extent(struct vmdk_text *text, uint64_t sectors, bool flat,
                          ProtobufCBinaryData name);

struct vmdk_description {
    struct span create_type, adapter, hwversion, toolsversion;
    struct span parent; /* empty: none */
    uint32_t cid, parent_cid;
    uint64_t sectors; /* of the disk */
    unsigned heads;
    bool flat;
    /* extents: all but the last have split_sectors */
    const Abi__CreateRequest *request;
    uint64_t nr_extents, split_sectors;
};

/*
 * Writes the descriptor.
 *
 * out:     the text, from malloc; NULL when out of memory
 */
uint8_t *vmdk_make_text(const struct vmdk_description *description, size_t *out_len);

#endif
