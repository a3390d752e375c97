/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 format on disk, versions 2 and 3. Everything is big-endian.
 * source: QEMU docs/interop/qcow2.txt; section names below are that document's.
 *
 *   header ──► L1 table ──► L2 table ──► data cluster (or compressed bytes)
 *     │           8 B/entry    8 or 16 B/entry
 *     ├──► refcount table ──► refcount block: one refcount for each host cluster
 *     │        8 B/entry         1 .. 64 bits/entry
 *     ├──► snapshot table ──► L1 table of each snapshot ──► ...
 *     └──► header extensions ──► bitmap directory ──► bitmap table ──► bitmap data
 *
 * Header
 *   OFFSET SIZE NAME                     MEANING
 *        0    4 magic                    "QFI\xfb"
 *        4    4 version                  2 or 3
 *        8    8 backing_file_offset      0: none; the name is not terminated
 *       16    4 backing_file_size        bytes, at most 1023
 *       20    4 cluster_bits             9 .. 21
 *       24    8 size                     virtual size in bytes
 *       32    4 crypt_method             0 none, 1 AES, 2 LUKS
 *       36    4 l1_size                  entries of the active L1 table
 *       40    8 l1_table_offset
 *       48    8 refcount_table_offset
 *       56    4 refcount_table_clusters
 *       60    4 nb_snapshots
 *       64    8 snapshots_offset
 *   version 3 only; version 2 reads as 0, 0, 0, 4, 72
 *       72    8 incompatible_features    QCOW2_INCOMPAT_*: unknown bits forbid opening
 *       80    8 compatible_features      QCOW2_COMPAT_*
 *       88    8 autoclear_features       QCOW2_AUTOCLEAR_*
 *       96    4 refcount_order           refcount width is 1 << refcount_order bits
 *      100    4 header_length            at least 104
 *      104    1 compression_type         if header_length > 104: 0 zlib, 1 zstd
 *
 * Header extensions, from header_length to the backing file name or the first cluster's end
 *        0    4 type                     QCOW2_EXT_*; 0 ends the list
 *        4    4 length                   of the data that follows, padded to 8
 *
 * L1 entry                                       L2 entry (standard cluster)
 *   bits 9-55  offset of the L2 table, 0: none     bit 0      reads as zeros (version 3)
 *   bit 63     COPIED: refcount is exactly 1       bits 9-55  offset of the cluster, 0: none
 *                                                  bit 62     0
 * L2 entry (compressed), x = 62 - (cluster_bits-8) bit 63     COPIED
 *   bits 0..x-1  offset of the bytes
 *   bits x..61   512-byte sectors after the first  Extended L2: followed by 8 bytes of bitmap
 *   bit 62       1                                   bits 0-31  subcluster is allocated
 *   bit 63       0                                   bits 32-63 subcluster reads as zeros
 *
 * Refcount table entry: bits 9-63 offset of the block, 0: none.
 * Refcount block: sub-byte entries start at the least significant bits of each byte.
 *
 * Snapshot table entry, each starts on a multiple of 8
 *        0    8 l1_table_offset
 *        8    4 l1_size                  entries
 *       12    2 id_str_size
 *       14    2 name_size
 *       16    4 date_sec
 *       20    4 date_nsec
 *       24    8 vm_clock_nsec
 *       32    4 vm_state_size            bytes; extra data may override it
 *       36    4 extra_data_size
 *       40      extra data               0: vm_state_size_large, 8: disk_size, 16: icount
 *               id_str, name
 *
 * Bitmap directory entry, each starts on a multiple of 8
 *        0    8 bitmap_table_offset
 *        8    4 bitmap_table_size        entries
 *       12    4 flags                    bit 0 in use, bit 1 auto
 *       16    1 type                     1: dirty tracking
 *       17    1 granularity_bits
 *       18    2 name_size
 *       20    4 extra_data_size
 *       24      extra data, name
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_LAYOUT_H
#define INSTAR_GUEST_FORMATS_QCOW2_LAYOUT_H

#define QCOW2_MAGIC 0x514649fbu

#define QCOW2_HEADER_V2_BYTES 72u
#define QCOW2_HEADER_V3_BYTES 104u
#define QCOW2_HEADER_MAX_READ 112u /* what is decoded; longer headers hold unknown fields */

#define QCOW2_CLUSTER_BITS_MIN   9u
#define QCOW2_CLUSTER_BITS_MAX   21u
#define QCOW2_REFCOUNT_ORDER_MAX 6u

/* Ceilings of QEMU, in bytes where not said otherwise. */
#define QCOW2_L1_BYTES_MAX       (32ull << 20)
#define QCOW2_REFTABLE_BYTES_MAX (8ull << 20)
#define QCOW2_SNAPSHOTS_MAX      65536u
#define QCOW2_SNAPSHOT_TABLE_MAX (1024ull * QCOW2_SNAPSHOTS_MAX)
#define QCOW2_SNAPSHOT_EXTRA_MAX 1024u
#define QCOW2_BACKING_NAME_MAX   1023u
#define QCOW2_BACKING_FORMAT_MAX                                                                   \
    16u /* a longer name is refused, its length counted without NUL                                \
         */
#define QCOW2_BITMAPS_MAX            65535u
#define QCOW2_BITMAP_DIRECTORY_MAX   (1024ull * QCOW2_BITMAPS_MAX)
#define QCOW2_BITMAP_NAME_MAX        1023u
#define QCOW2_BITMAP_TABLE_MAX       0x8000000ull /* entries */
#define QCOW2_BITMAP_PHYSICAL_MAX    0x20000000ull
#define QCOW2_BITMAP_GRANULARITY_MIN 9u
#define QCOW2_BITMAP_GRANULARITY_MAX 31u

#define QCOW2_INCOMPAT_DIRTY       (1ull << 0)
#define QCOW2_INCOMPAT_CORRUPT     (1ull << 1)
#define QCOW2_INCOMPAT_DATA_FILE   (1ull << 2)
#define QCOW2_INCOMPAT_COMPRESSION (1ull << 3)
#define QCOW2_INCOMPAT_EXTL2       (1ull << 4)
#define QCOW2_INCOMPAT_KNOWN       0x1full

#define QCOW2_COMPAT_LAZY_REFCOUNTS (1ull << 0)

#define QCOW2_AUTOCLEAR_BITMAPS       (1ull << 0)
#define QCOW2_AUTOCLEAR_DATA_FILE_RAW (1ull << 1)
#define QCOW2_AUTOCLEAR_KNOWN         (QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_FILE_RAW)

#define QCOW2_EXT_END            0x00000000u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURE_NAMES  0x6803f857u
#define QCOW2_EXT_CRYPTO_HEADER  0x0537be77u
#define QCOW2_EXT_BITMAPS        0x23852875u
#define QCOW2_EXT_DATA_FILE      0x44415441u

#define QCOW2_CRYPT_NONE 0u
#define QCOW2_CRYPT_AES  1u
#define QCOW2_CRYPT_LUKS 2u

#define QCOW2_COMPRESSION_ZLIB 0u
#define QCOW2_COMPRESSION_ZSTD 1u

#define QCOW2_OFLAG_COPIED      (1ull << 63)
#define QCOW2_OFLAG_COMPRESSED  (1ull << 62)
#define QCOW2_OFLAG_ZERO        (1ull << 0)
#define QCOW2_OFFSET_MASK       0x00fffffffffffe00ull /* L1 and L2 entries */
#define QCOW2_REFTABLE_MASK     0xfffffffffffffe00ull
#define QCOW2_L1_RESERVED       0x7f000000000001ffull
#define QCOW2_L2_RESERVED       0x3f000000000001feull /* standard L2 entry */
#define QCOW2_REFTABLE_RESERVED 0x1ffull

/* The errno of a read that goes where no file reaches. */
#define QCOW2_EIO 5u

#define QCOW2_SUBCLUSTERS  32u /* in a cluster with extended L2 */
#define QCOW2_SECTOR_BYTES 512u

#define QCOW2_SNAPSHOT_HEADER_BYTES 40u
#define QCOW2_BITMAP_HEADER_BYTES   24u

#define QCOW2_BITMAP_IN_USE (1u << 0)
#define QCOW2_BITMAP_AUTO   (1u << 1)

#define QCOW2_BITMAP_ENTRY_ONES     (1ull << 0) /* without an offset: all bits are set */
#define QCOW2_BITMAP_ENTRY_RESERVED 0xff000000000001feull

#endif
