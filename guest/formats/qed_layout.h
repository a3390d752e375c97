/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QED on disk. All integers are little-endian. source: QED specification, "Header", "Tables".
 *
 *   cluster 0 .. header_size    header, backing file name
 *   l1_table_offset             L1 table: table_size clusters of offsets of L2 tables
 *                               L2 tables: as large, offsets of data clusters
 *
 *   OFFSET SIZE NAME                    MEANING
 *        0    4 magic                   "QED\0"
 *        4    4 cluster_size            bytes, power of two, 4 KiB .. 64 MiB
 *        8    4 table_size              of a table, clusters, power of two, 1 .. 16
 *       12    4 header_size             clusters
 *       16    8 features                who does not know one must not open the image
 *       24    8 compat_features         may be ignored
 *       32    8 autoclear_features      who does not know one clears it before writing
 *       40    8 l1_table_offset
 *       48    8 image_size              of the disk, bytes
 *       56    4 backing_filename_offset with QED_F_BACKING_FILE, inside the header
 *       60    4 backing_filename_size
 *
 * A table entry: 0 not allocated; 1 zeros (L2 only); else offset of a cluster.
 */
#ifndef INSTAR_GUEST_FORMATS_QED_LAYOUT_H
#define INSTAR_GUEST_FORMATS_QED_LAYOUT_H

#define QED_MAGIC        0x00444551u
#define QED_HEADER_BYTES 64u

#define QED_CLUSTER_MIN 4096u
#define QED_CLUSTER_MAX (64u << 20)
#define QED_TABLE_MAX   16u

#define QED_F_BACKING_FILE     1ull
#define QED_F_NEED_CHECK       2ull /* tables may be inconsistent */
#define QED_F_BACKING_NO_PROBE 4ull /* the backing file is raw */
#define QED_F_KNOWN            7ull
#define QED_ENTRY_BYTES        8u
#define QED_ENTRY_UNALLOCATED  0u
#define QED_ENTRY_ZERO         1u
#define QED_SECTOR_BYTES       512u
#define QED_BACKING_NAME_MAX   4095u /* stock reads no longer one */

/* Offsets of header fields that are written one at a time. */
#define QED_AT_FEATURES   16u
#define QED_AT_IMAGE_SIZE 48u

#endif
