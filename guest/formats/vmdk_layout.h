/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMDK on disk. Little-endian; offsets and sizes in sectors of 512 bytes unless said otherwise.
 * source: VMware "Virtual Disk Format 5.0"; COWD and seSparse as observed of images made by VMware
 * and of what stock qemu-img 7.2 to 11.1 takes.
 *
 * Hosted sparse extent: SparseExtentHeader, 512 bytes
 *
 *   OFFSET SIZE NAME                 MEANING
 *   0      4    magicNumber          "KDMV"
 *   4      4    version              1; 2: zeroed grains; 3: compressed
 *   8      4    flags                VMDK_FLAG_*
 *   12     8    capacity             of the extent; 0: there is an embedded descriptor
 *   20     8    grainSize
 *   28     8    descriptorOffset
 *   36     8    descriptorSize
 *   44     4    numGTEsPerGT         at most 512
 *   48     8    rgdOffset            redundant grain directory
 *   56     8    gdOffset             grain directory; all ones: see the footer
 *   64     8    overHead             where the first grain may lie
 *   72     1    uncleanShutdown
 *   73     4    "\n \r\n"            shows what text transfers break
 *   77     2    compressAlgorithm    0; 1: deflate
 *
 *   grain directory -> grain tables of numGTEsPerGT u32 -> grains. An entry is a sector number; 0:
 *   not there; 1: reads as zeros, with VMDK_FLAG_ZERO_GRAIN.
 *
 * streamOptimized: each grain stands behind a marker, and so do tables. The last three sectors are
 * the footer's marker, the footer (a header with the real gdOffset) and the end-of-stream marker.
 *
 *   0      8    val     grain: its first virtual sector; else sectors that follow
 *   8      4    size    grain: bytes of the zlib stream, which follows at once; else 0
 *   12     4    type    if size is 0: 0 end of stream, 1 grain table, 2 directory, 3 footer
 *
 * COWD (VMFS sparse) extent
 *
 *   0      4    "COWD"
 *   4      4    version
 *   8      4    flags
 *   12     4    numSectors
 *   16     4    grainSize
 *   20     4    gdOffset
 *   24     4    numGDEntries         tables have 4096 entries
 *   28     4    freeSector
 *
 * seSparse extent: a constant header (26 u64) and a volatile one (4 u64), see vmdk_sesparse.c
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_LAYOUT_H
#define INSTAR_GUEST_FORMATS_VMDK_LAYOUT_H

#define VMDK_SECTOR_BYTES 512u

#define VMDK4_MAGIC 0x564d444bu /* "KDMV" */
#define COWD_MAGIC  0x44574f43u /* "COWD" */

#define VMDK_FLAG_NEWLINES   0x00000001u
#define VMDK_FLAG_RGD        0x00000002u
#define VMDK_FLAG_ZERO_GRAIN 0x00000004u
#define VMDK_FLAG_COMPRESSED 0x00010000u
#define VMDK_FLAG_MARKERS    0x00020000u

#define VMDK_COMPRESSION_DEFLATE 1u
#define VMDK_GD_AT_END           0xffffffffffffffffull
#define VMDK_VERSION_MAX         3u
#define VMDK_GTES_MAX            512u
#define VMDK_GTE_ZEROED          1u

#define VMDK_GRAIN_SECTORS_MAX 0x200000u
#define VMDK_GD_ENTRIES_MAX    (32u << 20)

enum vmdk_marker {
    VMDK_MARKER_EOS = 0,
    VMDK_MARKER_GT = 1,
    VMDK_MARKER_GD = 2,
    VMDK_MARKER_FOOTER = 3,
};
#define VMDK_MARKER_BYTES       16u
#define VMDK_GRAIN_MARKER_BYTES 12u
#define VMDK_FOOTER_SECTORS     3u

#define COWD_GTES 4096u

#define SESPARSE_MAGIC          0x00000000cafebabeull
#define SESPARSE_VOLATILE_MAGIC 0x00000000cafecafeull
#define SESPARSE_VERSION        0x0000000200000001ull
#define SESPARSE_GRAIN_SECTORS  8u
#define SESPARSE_GT_SECTORS     64u
#define SESPARSE_GTES           4096u

/* The text descriptor: as much of it as is looked at, bytes. */
#define VMDK_DESCRIPTOR_MAX     ((1u << 20) - 1)
#define VMDK_DESCRIPTOR_SECTORS 20u
#define VMDK_DESCRIPTOR_OFFSET  0x200u /* embedded: where ids are looked for, bytes */
#define VMDK_NO_PARENT          0xffffffffu

#endif
