/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images of macOS (UDIF). Everything is big-endian.
 * source: the format as publicly described; what stock looks at was seen by changing one field at a
 * time (tests/diff/cases/dmg.cases).
 *
 *   chunks' bytes ...  property list (or resource fork)  trailer
 *         ▲                    │ <data>                     │
 *         └── block tables ◄───┘ base64 ◄───────────────────┘
 *
 * Trailer, the last 512 bytes of the file
 *   OFFSET SIZE NAME              MEANING
 *        0    4 signature         "koly"
 *       24    8 DataForkOffset    what offsets of chunks count from
 *       32    8 DataForkLength    not looked at
 *       40    8 RsrcForkOffset
 *       48    8 RsrcForkLength    0: the property list it is
 *      216    8 XMLOffset
 *      224    8 XMLLength
 *      492    8 SectorCount       of the disk
 *
 * Resource fork: 4 bytes offset of the resource data, 4 unused, 4 length of it; there, one behind
 * the other, 4 bytes length and as many bytes: a block table
 *
 * Block table
 *        0    4 signature         "mish": anything else is no block table
 *        8    8 first_sector      what sectors of chunks count from
 *       24    8 data_offset       what offsets of chunks count from, as well
 *      204      chunks
 *
 * Chunk, 40 bytes
 *        0    4 type              DMG_CHUNK_*
 *        8    8 sector            of 512 bytes
 *       16    8 sector_count
 *       24    8 offset            bytes
 *       32    8 length            bytes
 */
#ifndef INSTAR_GUEST_FORMATS_DMG_LAYOUT_H
#define INSTAR_GUEST_FORMATS_DMG_LAYOUT_H

#define DMG_SECTOR_BYTES  512u
#define DMG_TRAILER_BYTES 512u

#define DMG_AT_DATA_FORK_OFFSET 24u
#define DMG_AT_RSRC_FORK_OFFSET 40u
#define DMG_AT_RSRC_FORK_LENGTH 48u
#define DMG_AT_XML_OFFSET       216u
#define DMG_AT_XML_LENGTH       224u
#define DMG_AT_SECTOR_COUNT     492u

#define DMG_TABLE_SIGNATURE 0x6d697368u
#define DMG_TABLE_BYTES     204u /* before the chunks */
#define DMG_CHUNK_BYTES     40u

#define DMG_CHUNK_ZERO    0x00000000u
#define DMG_CHUNK_RAW     0x00000001u
#define DMG_CHUNK_IGNORE  0x00000002u
#define DMG_CHUNK_ADC     0x80000004u
#define DMG_CHUNK_ZLIB    0x80000005u
#define DMG_CHUNK_BZ2     0x80000006u
#define DMG_CHUNK_LZFSE   0x80000007u
#define DMG_CHUNK_COMMENT 0x7ffffffeu
#define DMG_CHUNK_END     0xffffffffu

/* source: stock's messages about more */
#define DMG_CHUNK_SECTORS_MAX (DMG_CHUNK_LENGTH_MAX / DMG_SECTOR_BYTES)
#define DMG_CHUNK_LENGTH_MAX  (64u << 20)

/* source: larger lists are refused by stock qemu-img 7.2 */
#define DMG_XML_LENGTH_MAX (16u << 20)

#endif
