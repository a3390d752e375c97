/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallels expandable images on disk. All integers are little-endian. source: Parallels Expandable
 * Image File Format, "Header", "BAT", "Format extension".
 *
 *   OFFSET SIZE NAME        MEANING
 *        0   16 magic       "WithoutFreeSpace": BAT entries count sectors
 *                           "WithouFreSpacExt": BAT entries count clusters
 *       16    4 version     2
 *       20    4 heads       geometry, not used
 *       24    4 cylinders   the same
 *       28    4 tracks      sectors of a cluster
 *       32    4 nb_bat_entries
 *       36    8 nb_sectors  of the disk; the older magic uses 32 bits of it
 *       44    4 in_use      "Ynot" while the image is open
 *       48    4 data_off    sector at which clusters begin; 0 with the older magic: behind the BAT
 *       52    4 flags
 *       56    8 ext_off     sector of the format extension, 0: none
 *       64      BAT         u32 each, 0: not allocated
 *
 * The format extension takes one cluster; features follow its header, each on a multiple of 8:
 *
 *        0    8 magic       0xab234cef23dcea87
 *        8   16 m_CheckSum  MD5 of all that follows
 *
 *        0    8 magic       of the feature, 0: no more follow
 *        8    8 flags
 *       16    4 data_size   bytes that follow the 24 of this header
 *       20    4 unused
 *
 * A dirty bitmap's data:
 *
 *        0    8 size        of the disk, sectors
 *        8   16 id          a UUID, which is its name
 *       24    4 granularity sectors
 *       28    4 l1_size     entries
 *       32      L1          u64 each, of a cluster of bits: 0 all clear, 1 all set, else its sector
 */
#ifndef INSTAR_GUEST_FORMATS_PARALLELS_LAYOUT_H
#define INSTAR_GUEST_FORMATS_PARALLELS_LAYOUT_H

#define PARALLELS_MAGIC        "WithoutFreeSpace"
#define PARALLELS_MAGIC_EXT    "WithouFreSpacExt"
#define PARALLELS_MAGIC_BYTES  16u
#define PARALLELS_VERSION      2u
#define PARALLELS_HEADER_BYTES 64u
#define PARALLELS_IN_USE       0x746f6e59u
#define PARALLELS_ENTRY_BYTES  4u
#define PARALLELS_SECTOR       512ull
#define PARALLELS_TRACKS_MAX   (0x7fffffffu / 513u)
#define PARALLELS_BAT_MAX      (0x7fffffffu / PARALLELS_ENTRY_BYTES)
#define PARALLELS_EXT_MAGIC    0xab234cef23dcea87ull

#define PARALLELS_EXT_HEADER_BYTES 24u
#define PARALLELS_FEATURE_BYTES    24u
#define PARALLELS_FEATURE_END      0ull
#define PARALLELS_FEATURE_BITMAP   0x20385fae252cb34aull
#define PARALLELS_BITMAP_BYTES     32u /* before the L1 table */
#define PARALLELS_BITMAP_ID_BYTES  16u
#define PARALLELS_L1_ENTRY_BYTES   8u
#define PARALLELS_BITMAP_SET       1ull

/* Offsets of header fields that are written one at a time. */
#define PARALLELS_AT_CYLINDERS 24u
#define PARALLELS_AT_IN_USE    44u
#define PARALLELS_AT_DATA_OFF  48u
#define PARALLELS_AT_EXT_OFF   56u

#endif
