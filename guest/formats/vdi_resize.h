/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a VDI resize: what vdi_resize.c decides and vdi_resize_yield.c writes. Only they
 * include this.
 *
 * Growing, where the block map has no room for more entries: the first blocks of the file are
 * copied behind the last, and what they leave becomes the place of a new map. The header's new
 * offsets of map and blocks switch over.
 *
 *     header  map  0 1 2 3 4          header  (old map)  new map  0' 1' 2' 3' 4'
 *                  └─┴──────────► copied behind 4                 2  3  4  0  1
 *
 * Shrinking: the blocks behind the new end leave holes, which the last blocks of the file fill.
 */
#ifndef INSTAR_GUEST_FORMATS_VDI_RESIZE_H
#define INSTAR_GUEST_FORMATS_VDI_RESIZE_H

#include "guest/formats/vdi_write.h"

/* One block that gets another place in the file. Numbers of blocks count from the old offset_data.
 */
struct vdi_move {
    uint32_t index; /* its entry in the map */
    uint32_t from, to;
};

/* What is written, each between barriers. */
enum vdi_resize_stage {
    VDI_RESIZE_COUNT,  /* the header says that the places of moved blocks are in use */
    VDI_RESIZE_ROOM,   /* the file's size; what must read as zeros from now on */
    VDI_RESIZE_BLOCKS, /* moved blocks, copied */
    VDI_RESIZE_MOVED,  /* their entries */
    VDI_RESIZE_MAP,    /* new entries, or a new map */
    VDI_RESIZE_SIZES,  /* header: the new disk, the map and its blocks as they were */
    VDI_RESIZE_CLEAR,  /* entries behind the disk's end */
    VDI_RESIZE_HEADER, /* header: all of it */
    VDI_RESIZE_CUT,    /* the file's size */
    VDI_RESIZE_DONE,
};

struct vdi_resize {
    struct plan base;
    struct vdi *vdi;
    uint32_t blob;
    struct vdi_usage usage;
    struct vdi_header after; /* what the header will say */
    uint8_t sector[VDI_HEADER_BYTES];
    Abi__Preallocation preallocation;
    uint32_t added; /* new entries that get blocks, from `top` on */

    struct vdi_move *moves; /* in the order of the map */
    uint32_t nr_moves, max_moves;
    uint32_t top;         /* of the blocks in use while blocks are being moved */
    uint32_t shift;       /* blocks that the new map takes; 0: the map stays */
    uint32_t old_visible; /* entries that the old disk reaches */

    const enum vdi_resize_stage *stages;
    unsigned at;    /* the stage */
    uint32_t index; /* what is next in it */
    bool wrote;     /* it has ops */
};

extern const enum vdi_resize_stage vdi_resize_growing[], vdi_resize_shrinking[],
    vdi_resize_nothing[];

extern const struct plan_verbs vdi_resize_verbs;

#endif
