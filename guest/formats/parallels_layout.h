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

/* Offsets of header fields that are written one at a time. */
#define PARALLELS_AT_CYLINDERS 24u
#define PARALLELS_AT_IN_USE    44u
#define PARALLELS_AT_DATA_OFF  48u

#endif
