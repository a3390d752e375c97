/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in a VHDX image. Everything is little-endian; the first MiB is:
 *
 *   0      file type identifier   "vhdxfile", creator in UTF-16LE
 *   64K    header 1, 4 KiB        the valid one with the larger SequenceNumber is current
 *   128K   header 2
 *   192K   region table, 64 KiB   where the BAT and the metadata are; then a copy of it
 *   256K   region table 2
 *
 *   header ([MS-VHDX] 2.2.2)
 *   OFFSET SIZE NAME              MEANING
 *   0      4    Signature         "head"
 *   4      4    Checksum          CRC-32C over 4 KiB
 *   8      8    SequenceNumber
 *   16     16   FileWriteGuid     changed when the file is first written to
 *   32     16   DataWriteGuid     changed when what the guest sees changes
 *   48     16   LogGuid           zero: the log is empty
 *   64     2    LogVersion        0
 *   66     2    Version           1
 *   68     4    LogLength         a multiple of 1 MiB
 *   72     8    LogOffset         a multiple of 1 MiB
 *
 *   region table (2.2.3): "regi", Checksum over 64 KiB, EntryCount, reserved; then entries of 32
 *   bytes: Guid, FileOffset (8), Length (4), Required (4)
 *
 *   metadata table (2.6.1): "metadata", reserved (2), EntryCount (2), reserved; from 32 on entries
 *   of 32 bytes: ItemId, Offset (4, from the region's start), Length (4), flags (4), reserved
 *
 *   BAT (2.5): entries of 8 bytes, ChunkRatio of payload blocks, then one of a sector bitmap block,
 *   and so on: State in bits 0 to 2, FileOffsetMB in bits 20 to 63
 *
 *   parent locator (2.6.2.6): LocatorType, reserved (2), KeyValueCount (2), then entries of 12
 *   bytes: KeyOffset (4), ValueOffset (4), from the start of the locator, KeyLength (2),
 *   ValueLength (2); keys and values are UTF-16
 *
 *   sector bitmap (2.4): a bit a sector from the lowest of each byte, 1 MiB for ChunkRatio blocks
 *
 *   log entry (2.3.1), at multiples of 4 KiB in the log, which is a ring
 *   0      4    Signature         "loge"
 *   4      4    Checksum          over EntryLength
 *   8      4    EntryLength       a multiple of 4 KiB
 *   12     4    Tail              of the oldest entry that must be replayed
 *   16     8    SequenceNumber
 *   24     4    DescriptorCount
 *   32     16   LogGuid
 *   48     8    FlushedFileOffset the file was at least this long
 *   56     8    LastFileOffset    and must be this long after the replay
 *   64          descriptors of 32 bytes: zero (Signature "zero", reserved, ZeroLength (8),
 * FileOffset (8), SequenceNumber) and data ("desc", TrailingBytes (4), LeadingBytes (8), FileOffset
 * (8), SequenceNumber); then, from the next 4 KiB on, a sector for each data descriptor: "data",
 * SequenceHigh (4), 4084 bytes, SequenceLow (4)
 */
#ifndef INSTAR_GUEST_FORMATS_VHDX_LAYOUT_H
#define INSTAR_GUEST_FORMATS_VHDX_LAYOUT_H

#define VHDX_MIB                  (1ull << 20)
#define VHDX_GUID_BYTES           16u
#define VHDX_HEADER_BYTES         4096u
#define VHDX_HEADER1_OFFSET       65536u
#define VHDX_HEADER2_OFFSET       131072u
#define VHDX_HEADER_SECTION       (1u << 20)
#define VHDX_CHECKSUM_AT          4u
#define VHDX_REGION_TABLE_BYTES   65536u
#define VHDX_REGION_TABLE_OFFSET  196608u
#define VHDX_REGION_TABLE2_OFFSET 262144u
#define VHDX_ENTRIES_MAX          2047u
#define VHDX_METADATA_TABLE_BYTES 65536u
#define VHDX_BLOCK_MIN            (1u << 20)
#define VHDX_BLOCK_MAX            (256u << 20)
#define VHDX_SIZE_MAX             (64ull << 40)
#define VHDX_BAT_ENTRY_BYTES      8u
#define VHDX_STATE_MASK           7u
#define VHDX_OFFSET_MASK          0xfffffffffff00000ull
#define VHDX_LOG_SECTOR           4096u
#define VHDX_REQUIRED             1u /* of a region */
#define VHDX_METADATA_ROW_BYTES   32u
#define VHDX_BITMAP_PRESENT       6u /* state of a sector bitmap block */
#define VHDX_LOCATOR_MAX          65536u

enum vhdx_metadata_flags {
    VHDX_META_USER = 1,
    VHDX_META_VIRTUAL_DISK = 2,
    VHDX_META_REQUIRED = 4,
};

enum vhdx_param_flags {
    VHDX_LEAVE_BLOCKS = 1, /* a fixed disk */
    VHDX_HAS_PARENT = 2,
};

enum vhdx_payload_state {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_UNMAPPED_095 = 5, /* of an early specification */
    VHDX_FULLY_PRESENT = 6,
    VHDX_PARTIALLY_PRESENT = 7, /* differencing: the sector bitmap says whose a sector is */
};

/* In the byte order of the file. */
#define VHDX_GUID_BAT          "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
#define VHDX_GUID_METADATA     "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
#define VHDX_GUID_PARAMS       "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
#define VHDX_GUID_DISK_SIZE    "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
#define VHDX_GUID_DISK_ID      "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"
#define VHDX_GUID_LOGICAL      "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
#define VHDX_GUID_PHYSICAL     "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"
#define VHDX_GUID_LOCATOR_TYPE "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"
#define VHDX_GUID_PARENT       "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"

#endif
