/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VDI image: codes of errors, and codes of check's findings.
 *
 * The sentence of each code is in compat/wording_vdi.c; `n0` .. `n3` are the detail's numbers.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_VDI_H
#define INSTAR_GUEST_ABI_ERROR_VDI_H

#include "guest/abi/error.h"

enum vdi_err {
    /* opening, in the order in which the fields are looked at */
    VDI_ERR_DISK_SIZE = GUEST_ERR_VDI, /* n0: size, n1: the largest there can be */
    VDI_ERR_SIGNATURE,                 /* n0: what is there instead */
    VDI_ERR_VERSION,                   /* n0: major, n1: minor */
    VDI_ERR_BMAP_OFFSET,               /* n0: offset of the block map, not on a sector */
    VDI_ERR_DATA_OFFSET,               /* n0: offset of block 0, not on a sector */
    VDI_ERR_SECTOR_SIZE,               /* n0: bytes */
    VDI_ERR_BLOCK_SIZE,                /* n0: bytes */
    VDI_ERR_BMAP_SMALL,                /* n0: size of the disk, n1: what the map has room for */
    VDI_ERR_LINK_UUID,                 /* a link to another image */
    VDI_ERR_PARENT_UUID,               /* a parent */
    VDI_ERR_BLOCKS,                    /* n0: blocks_in_image, n1: the most there can be */

    /* changing */
    VDI_ERR_MAP_WRONG, /* entries that no sound image has */
    VDI_ERR_OVERLAP,   /* header, block map and blocks lie on each other */
};

enum vdi_finding {
    VDI_FOUND_SHARED = GUEST_ERR_VDI + 128, /* n0: block of the file that two entries name */
    VDI_FOUND_TOO_LARGE,                    /* n0: entry, n1: what it says */
    VDI_FOUND_ALLOCATED,                    /* n0: blocks counted, n1: blocks_allocated */
};

#endif
