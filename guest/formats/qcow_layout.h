/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow version 1 on disk. All integers are big-endian. source: "The QCOW Image Format", version 1,
 * as published with its first readers.
 *
 *   OFFSET SIZE NAME                 MEANING
 *        0    4 magic                "QFI\xfb"
 *        4    4 version              1
 *        8    8 backing_file_offset  0: none
 *       16    4 backing_file_size    bytes
 *       20    4 mtime                of the backing file; not used
 *       24    8 size                 of the disk, bytes
 *       32    1 cluster_bits         9 .. 16
 *       33    1 l2_bits              log2 of the entries of an L2 table, 6 .. 13
 *       34    2 (padding)
 *       36    4 crypt_method         0 none, 1 AES
 *       40    8 l1_table_offset
 *
 * L1 entries are offsets of L2 tables, 0: none. An L2 entry is 0 (not allocated), the offset of a
 * cluster, or with bit 63 set: 63 - cluster_bits bits of the offset of a raw deflate stream, above
 * them its length in bytes.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW_LAYOUT_H
#define INSTAR_GUEST_FORMATS_QCOW_LAYOUT_H

#define QCOW_MAGIC            0x514649fbu
#define QCOW_HEADER_BYTES     48u
#define QCOW_CLUSTER_BITS_MIN 9u
#define QCOW_CLUSTER_BITS_MAX 16u
#define QCOW_L2_BITS_MIN      6u
#define QCOW_L2_BITS_MAX      13u
#define QCOW_CRYPT_AES        1u
#define QCOW_OFLAG_COMPRESSED (1ull << 63)
#define QCOW_ENTRY_BYTES      8u
#define QCOW_SECTOR_BYTES     512u
#define QCOW_L1_ENTRIES_MAX   (0x7fffffffu / QCOW_ENTRY_BYTES)
#define QCOW_BACKING_NAME_MAX 1023u

#endif
