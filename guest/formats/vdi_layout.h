/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VDI format on disk, version 1.1. Everything is little-endian.
 * source: the format of VirtualBox's disk images as publicly described; which fields stock qemu-img
 * looks at was seen by changing one at a time (tests/diff/cases/vdi-damaged.cases).
 *
 *   header ──► block map ──► blocks of 1 MiB, numbered from offset_data on
 *               4 B/entry
 *
 * Header
 *   OFFSET SIZE NAME               MEANING
 *        0   64 text               for people; VDI_TEXT in images that are made here
 *       64    4 signature          VDI_SIGNATURE
 *       68    4 version            major << 16 | minor: 1.1
 *       72    4 header_size        bytes from here to the end of the known fields: 0x180
 *       76    4 image_type         VDI_TYPE_*
 *       80    4 image_flags        0
 *       84  256 description
 *      340    4 offset_bmap        of the block map, on a sector
 *      344    4 offset_data        of block 0, on a sector
 *      348   12 cylinders, heads, sectors   0
 *      360    4 sector_size        512
 *      364    4 unused
 *      368    8 disk_size          bytes
 *      376    4 block_size         bytes, 1 MiB
 *      380    4 block_extra        0
 *      384    4 blocks_in_image    entries of the block map
 *      388    4 blocks_allocated
 *      392   16 uuid_image
 *      408   16 uuid_last_snap
 *      424   16 uuid_link          all zeros: no other image is needed
 *      440   16 uuid_parent        all zeros
 *      456   56 unused
 *
 * Block map entry: the number of the block in the file, or
 *   0xffffffff  never written: reads as zeros
 *   0xfffffffe  discarded: reads as zeros
 */
#ifndef INSTAR_GUEST_FORMATS_VDI_LAYOUT_H
#define INSTAR_GUEST_FORMATS_VDI_LAYOUT_H

#define VDI_TEXT         "<<< QEMU VM Virtual Disk Image >>>\n"
#define VDI_TEXT_BYTES   64u
#define VDI_SIGNATURE    0xbeda107fu
#define VDI_VERSION      0x00010001u
#define VDI_HEADER_BYTES 512u
#define VDI_HEADER_SIZE  0x180u
#define VDI_DESCRIPTION  256u
#define VDI_UUID_BYTES   16u

#define VDI_TYPE_DYNAMIC 1u
#define VDI_TYPE_STATIC  2u

#define VDI_SECTOR_BYTES 512u
#define VDI_BLOCK_BYTES  (1u << 20)
#define VDI_ENTRY_BYTES  4u

/* Entries from here on name no block. */
#define VDI_DISCARDED   0xfffffffeu
#define VDI_UNALLOCATED 0xffffffffu

/*
 * What stock has as its limit: a block map that fits into 2 GiB.
 * source: stock qemu-img 7.2's message about larger images
 */
#define VDI_BLOCKS_MAX    0x1fffff80u
#define VDI_DISK_SIZE_MAX ((uint64_t)VDI_BLOCKS_MAX * VDI_BLOCK_BYTES)

/* Where the fields that a writer changes are. */
#define VDI_AT_IMAGE_TYPE       76u
#define VDI_AT_OFFSET_BMAP      340u
#define VDI_AT_OFFSET_DATA      344u
#define VDI_AT_DISK_SIZE        368u
#define VDI_AT_BLOCKS_IN_IMAGE  384u
#define VDI_AT_BLOCKS_ALLOCATED 388u

#endif
