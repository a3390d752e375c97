/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a VHD image. Everything is big-endian.
 *
 *   dynamic:  footer copy | dynamic header | BAT | (bitmap, block) ... | footer
 *   fixed:    disk | footer
 *
 *   footer, 512 bytes (Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format")
 *   OFFSET SIZE NAME                 MEANING
 *   0      8    Cookie               "conectix"
 *   8      4    Features             2: reserved, always set
 *   12     4    File Format Version  0x00010000
 *   16     8    Data Offset          of the dynamic header; all ones in a fixed disk
 *   24     4    Time Stamp           seconds since 2000-01-01 UTC
 *   28     4    Creator Application  decides whether geometry or Current Size is the size
 *   32     4    Creator Version
 *   36     4    Creator Host OS      "Wi2k"
 *   40     8    Original Size        bytes
 *   48     8    Current Size         bytes
 *   56     2    Cylinder             geometry
 *   58     1    Heads
 *   59     1    Sectors per track
 *   60     4    Disk Type            2 fixed, 3 dynamic, 4 differencing
 *   64     4    Checksum             ones' complement of the sum of all other bytes
 *   68     16   Unique Id
 *   84     1    Saved State
 *
 *   dynamic header, 1024 bytes ("Dynamic Disk Header Format")
 *   0      8    Cookie               "cxsparse"
 *   8      8    Data Offset          all ones
 *   16     8    Table Offset         of the BAT, bytes
 *   24     4    Header Version       0x00010000
 *   28     4    Max Table Entries    of the BAT
 *   32     4    Block Size           bytes of data in a block
 *   36     4    Checksum
 *   40     16   Parent Unique ID     differencing
 *   56     4    Parent Time Stamp
 *   64     512  Parent Unicode Name  UTF-16BE
 *   576    192  Parent Locator Entry 8 of 24 bytes: platform code (4), space (4), length (4),
 *                                    reserved (4), offset (8)
 *
 *   BAT entry, 4 bytes: sector of the block's bitmap; all ones: no block. The bitmap, a bit a
 *   sector from the highest of each byte, fills whole sectors; data follows it.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_LAYOUT_H
#define INSTAR_GUEST_FORMATS_VPC_LAYOUT_H

#define VPC_SECTOR_BYTES       512u
#define VPC_FOOTER_BYTES       512u
#define VPC_FOOTER_CHECKSUM    64u
#define VPC_DYNAMIC_BYTES      1024u
#define VPC_DYNAMIC_CHECKSUM   36u
#define VPC_PARENT_NAME_BYTES  512u
#define VPC_PARENT_LOCATORS_AT 576u
#define VPC_LOCATORS           8u
#define VPC_BAT_ENTRY_BYTES    4u
#define VPC_UNALLOCATED        0xffffffffu
#define VPC_NO_OFFSET          0xffffffffffffffffull
#define VPC_VERSION            0x00010000u
#define VPC_BLOCK_BYTES        (2u << 20) /* of images that we make */
#define VPC_UUID_BYTES         16u

/* 65535 cylinders, 16 heads, 255 sectors: a geometry that says "see Current Size". */
#define VPC_GEOMETRY_MAX_SECTORS (65535ull * 16 * 255)

/* 2040 GiB: no VHD is larger. */
#define VPC_SECTORS_MAX 0xff000000ull

enum vpc_disk_type {
    VPC_FIXED = 2,
    VPC_DYNAMIC = 3,
    VPC_DIFFERENCING = 4,
};

/* Platform codes of parent locators. */
#define VPC_LOCATOR_W2RU 0x57327275u /* relative path, UTF-16LE */
#define VPC_LOCATOR_W2KU 0x57326b75u /* absolute path, UTF-16LE */
#define VPC_LOCATOR_MACX 0x4d616358u /* file: URL, UTF-8 */

#endif
