#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hostile and unusual images of the test suite, by name.

usage: hostile_images.py NAME FILE      writes one
       hostile_images.py                lists the names

Each function sets the fields that make its image what the name says, and
nothing else. $CANARY, if set, is a file outside the image's folder that no
image may make the program touch.
"""

import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from qcow2_fab import (  # noqa: E402
    BACKING_FORMAT,
    BITMAPS,
    COMPRESSION_TYPE,
    CORRUPT,
    DATA_FILE_NAME,
    DIRTY,
    ENCRYPTION,
    EXTENDED_L2,
    EXTERNAL_DATA_FILE,
    FEATURE_NAMES,
    OFLAG_COPIED,
    OFLAG_ZERO,
    Image,
    deflate,
)

IMAGES = {}
TEXT = (b"forty-two is the answer, " * 4000)[:65536]
CANARY = os.environ.get("CANARY", "/nonexistent/canary").encode()


def image(function):
    IMAGES[function.__name__.replace("_", "-")] = function
    return function


def base(**how):
    """One cluster of text, one of zeros, two never written."""
    made = Image(**how)
    made.data(0, TEXT[: made.cluster].ljust(made.cluster, b"."))
    if made.version >= 3:
        made.zero(1)
    return made


def lie(name, value, **how):
    """An image with one field of the header replaced."""
    made = base(**how)
    (made.header if name == "header_length" else made.lies)[name] = value
    return made


# Right, if unusual: these must be read as stock reads them.


@image
def plain():
    return base()


@image
def version_2():
    return base(version=2)


@image
def version_2_flags_in_the_v3_place():
    made = base(version=2)
    made.patches.append((72, struct.pack(">QQQII", 0, 0, 0, 4, 104)))  # as if incompatible_features ...
    return made


@image
def version_2_zero_flag():
    made = base(version=2)
    made.zero(1)  # bit 0 is reserved in version 2
    return made


@image
def refcount_1_bit():
    return base(refcount_order=0)


@image
def refcount_2_bits():
    made = base(refcount_order=1)
    made.snapshot()
    return made


@image
def refcount_4_bits():
    return base(refcount_order=2)


@image
def refcount_64_bits():
    return base(refcount_order=6)


@image
def sub_byte_refcounts_differ_within_a_byte():
    made = base(refcount_order=1)
    made.refcounts[1] = 1
    made.refcounts[2] = 2  # a leak, in the second entry of byte 0
    return made


@image
def cluster_512():
    made = Image(cluster_bits=9, size=1 << 20)
    for guest_cluster in range(0, 2048, 3):
        made.data(guest_cluster, bytes([guest_cluster % 251]) * 512)
    return made


@image
def cluster_2m():
    return base(cluster_bits=21, size=8 << 20)


@image
def header_104_bytes():
    return lie("header_length", 104)


@image
def header_longer_than_known():
    return lie("header_length", 4096)


@image
def zero_flag_with_offset():
    made = base()
    made.zero(2, made.place(TEXT) | OFLAG_COPIED)
    return made


@image
def zero_flag_over_reused_cluster():
    made = base()
    made.zero(2, made.data(3, TEXT))
    return made


@image
def data_shared_twice():
    made = base()
    made.l2[5] = made.l2[0] & ~OFLAG_COPIED
    made.l2[0] &= ~OFLAG_COPIED
    made.refcounts[1] = 2
    return made


@image
def refcount_table_with_holes():
    made = Image(cluster_bits=9, size=1 << 20)
    made.data(0, b"a" * 512)
    made.holes = (1,)  # host clusters 256 to 511 are not used
    made.end = 600 * 512
    made.data(1, b"b" * 512)
    return made


@image
def last_cluster_cut_at_the_l1_table():
    made = base()
    l1 = made.place_l2()
    made.reserve_refcounts(more=1)
    made.header["l1_table_offset"] = made.place(l1)
    made.header["l1_size"] = len(l1) // 8
    made.length = made.header["l1_table_offset"] + len(l1)
    return made


@image
def last_data_cluster_cut():
    made = base()
    made.l2[3] = 0x60000 | OFLAG_COPIED
    made.place_l1()
    made.reserve_refcounts(more=1)
    assert made.place(TEXT[:1000]) == 0x60000
    made.length = 0x60000 + 1000
    return made


@image
def backing_name_behind_the_first_cluster():
    made = base()
    made.lies["backing_file_offset"] = made.place(b"b.raw")
    made.lies["backing_file_size"] = 5
    return made


@image
def backing_name_over_the_cluster_end():
    made = base()
    made.lies["backing_file_offset"] = made.cluster - 3
    made.lies["backing_file_size"] = 10
    return made


@image
def size_of_no_whole_sector():
    return base(size=(1 << 20) + 1)


@image
def size_zero():
    made = Image(size=0)
    return made


@image
def l1_size_zero_of_empty():
    made = Image(size=0)
    made.lies["l1_size"] = 0
    return made


@image
def l1_larger_than_needed():
    made = base()
    made.lies["l1_size"] = 100
    return made


@image
def unknown_extension():
    made = base()
    made.extension(0x12345678, b"something new")
    return made


@image
def empty_backing_format():
    made = base()
    made.extension(BACKING_FORMAT, b"")
    return made


@image
def backing_format_without_backing():
    made = base()
    made.extension(BACKING_FORMAT, b"raw")
    return made


@image
def backing_format_long():
    made = base()
    made.extension(BACKING_FORMAT, b"r" * 16)
    made.backing = b"b.raw"
    return made


@image
def backing_format_unknown():
    made = base()
    made.extension(BACKING_FORMAT, b"newfmt")
    made.backing = b"b.raw"
    return made


@image
def unknown_compatible_feature():
    made = lie("compatible_features", 1 << 40)
    made.lies["autoclear_features"] = 1 << 41
    return made


@image
def dirty():
    return lie("incompatible_features", DIRTY)


@image
def corrupt():
    return lie("incompatible_features", CORRUPT)


# Header fields that lie.


@image
def bad_magic():
    return lie("magic", 0x514649FA)


@image
def version_0():
    return lie("version", 0)


@image
def version_1_is_not_qcow2():
    return lie("version", 1)


@image
def version_4():
    return lie("version", 4)


@image
def version_ffffffff():
    return lie("version", 0xFFFFFFFF)


@image
def cluster_bits_8():
    return lie("cluster_bits", 8)


@image
def cluster_bits_22():
    return lie("cluster_bits", 22)


@image
def cluster_bits_0():
    return lie("cluster_bits", 0)


@image
def cluster_bits_ffffffff():
    return lie("cluster_bits", 0xFFFFFFFF)


@image
def refcount_order_7():
    return lie("refcount_order", 7)


@image
def refcount_order_ffffffff():
    return lie("refcount_order", 0xFFFFFFFF)


@image
def size_huge():
    return lie("size", 1 << 62)


@image
def size_ffffffffffffffff():
    return lie("size", (1 << 64) - 1)


@image
def size_larger_than_l1_covers():
    made = lie("size", 1 << 40)
    made.lies["l1_size"] = 1
    return made


@image
def crypt_method_1():
    return lie("crypt_method", 1)


@image
def crypt_method_2_without_header():
    return lie("crypt_method", 2)


@image
def crypt_method_3():
    return lie("crypt_method", 3)


@image
def crypt_method_ffffffff():
    return lie("crypt_method", 0xFFFFFFFF)


@image
def encryption_header_outside():
    made = lie("crypt_method", 2)
    made.extension(ENCRYPTION, struct.pack(">QQ", 1 << 50, 4096))
    return made


@image
def encryption_header_huge():
    made = lie("crypt_method", 2)
    made.extension(ENCRYPTION, struct.pack(">QQ", 65536, (1 << 63) + 5))
    return made


@image
def encryption_header_short():
    made = lie("crypt_method", 2)
    made.extension(ENCRYPTION, b"1234")
    return made


@image
def header_length_0():
    made = base()
    made.patches.append((100, struct.pack(">I", 0)))  # header_length
    return made


@image
def header_length_64():
    made = base()
    made.patches.append((100, struct.pack(">I", 64)))  # header_length
    return made


@image
def header_length_ffffffff():
    made = base()
    made.patches.append((100, struct.pack(">I", 0xFFFFFFFF)))  # header_length
    return made


@image
def header_length_past_cluster():
    made = base()
    made.patches.append((100, struct.pack(">I", 65537)))  # header_length
    return made


@image
def header_length_odd():
    return lie("header_length", 113)


@image
def compression_type_5():
    made = lie("compression_type", 5)
    made.lies["incompatible_features"] = COMPRESSION_TYPE
    return made


@image
def compression_type_without_bit():
    return lie("compression_type", 1)


@image
def compression_bit_without_type():
    return lie("incompatible_features", COMPRESSION_TYPE)


@image
def unknown_feature_named():
    made = lie("incompatible_features", 1 << 35)
    made.feature_name(0, 35, b"time travel")
    return made


@image
def unknown_features_two():
    made = lie("incompatible_features", 1 << 35 | 1 << 60)
    made.feature_name(0, 35, b"time travel")
    return made


@image
def unknown_feature_unnamed():
    return lie("incompatible_features", 1 << 35)


@image
def unknown_feature_name_unterminated():
    made = lie("incompatible_features", 1 << 35)
    made.feature_name(0, 35, b"x" * 46)
    return made


@image
def unknown_feature_name_with_escapes():
    made = lie("incompatible_features", 1 << 35)
    made.feature_name(0, 35, b"\x1b[31mred\nfile format: raw\r")
    return made


@image
def feature_table_odd_length():
    made = lie("incompatible_features", 1 << 35)
    made.extension(FEATURE_NAMES, b"\0\x23short")
    return made


@image
def extension_longer_than_cluster():
    made = base()
    made.extension(0x12345678, b"x", 0xFFFFFFFF)
    return made


@image
def extension_past_cluster_end():
    made = base()
    made.extension(0x12345678, b"x", 65536 - 112 - 8 + 1)
    return made


@image
def extension_length_7fffffff():
    made = base()
    made.extension(BACKING_FORMAT, b"raw", 0x7FFFFFFF)
    return made


@image
def extensions_without_end():
    made = base()
    for _ in range((65536 - 112) // 16):
        made.extension(0x12345678, b"12345678")
    return made


# Tables that are not where they should be.


@image
def l1_size_huge():
    return lie("l1_size", 0x7FFFFFFF)


@image
def l1_size_ffffffff():
    return lie("l1_size", 0xFFFFFFFF)


@image
def l1_size_at_the_limit():
    return lie("l1_size", 32 * 1024 * 1024 // 8)


@image
def l1_size_over_the_limit():
    return lie("l1_size", 32 * 1024 * 1024 // 8 + 1)


@image
def l1_size_0():
    return lie("l1_size", 0)


@image
def l1_offset_unaligned():
    return lie("l1_table_offset", 0x30200)


@image
def l1_offset_outside():
    return lie("l1_table_offset", 1 << 40)


@image
def l1_offset_overflows():
    return lie("l1_table_offset", 0x7FFFFFFFFFFF0000)


@image
def l1_offset_negative():
    return lie("l1_table_offset", 0xFFFFFFFFFFFF0000)


@image
def l1_offset_0():
    return lie("l1_table_offset", 0)


@image
def l1_is_the_header():
    made = lie("l1_table_offset", 0)
    made.lies["l1_size"] = 14
    return made


@image
def refcount_table_offset_unaligned():
    return lie("refcount_table_offset", 0x10001)


@image
def refcount_table_offset_outside():
    return lie("refcount_table_offset", 1 << 40)


@image
def refcount_table_offset_negative():
    return lie("refcount_table_offset", 0xFFFFFFFFFFFF0000)


@image
def refcount_table_offset_0():
    return lie("refcount_table_offset", 0)


@image
def refcount_table_clusters_0():
    return lie("refcount_table_clusters", 0)


@image
def refcount_table_clusters_huge():
    return lie("refcount_table_clusters", 0x7FFFFFFF)


@image
def refcount_table_clusters_128():
    return lie("refcount_table_clusters", 128)


@image
def refcount_table_clusters_129():
    return lie("refcount_table_clusters", 129)


@image
def refcount_block_unaligned():
    made = base()
    made.refcount_table[0] = 0x50200
    return made


@image
def refcount_block_outside():
    made = base()
    made.refcount_table[0] = 1 << 40
    return made


@image
def refcount_block_reserved_bits():
    made = base()
    made.refcount_table[3] = 0x1FF
    return made


@image
def refcount_block_is_the_table():
    made = base()
    made.place_l1()
    made.refcount_table[0] = made.end
    return made


@image
def l2_offset_unaligned():
    made = base()
    made.l1[0] = 0x20200 | OFLAG_COPIED
    return made


@image
def l2_offset_outside():
    made = base()
    made.l1[0] = 1 << 50 | OFLAG_COPIED
    return made


@image
def l2_offset_just_outside():
    made = base()
    made.l1[0] = 0x1000000 | OFLAG_COPIED
    return made


@image
def l2_is_the_header():
    made = base()
    made.l1[0] = 0 | OFLAG_COPIED
    return made


@image
def l2_is_the_l1():
    made = base()
    made.l1[0] = 0x30000 | OFLAG_COPIED
    return made


@image
def l2_reserved_bits():
    made = base()
    made.l1[0] = 0x20000 | OFLAG_COPIED | 0x1FF
    return made


@image
def l2_shared_by_two_l1_entries():
    made = Image(cluster_bits=9, size=1 << 20)
    made.data(0, b"a" * 512)
    made.place_l1()
    l1_table_offset = made.header["l1_table_offset"]
    made.patches.append((l1_table_offset + 8, made.blocks[l1_table_offset][:8]))
    return made


@image
def data_offset_unaligned():
    made = base()
    made.l2[2] = 0x10200 | OFLAG_COPIED
    return made


@image
def data_offset_outside():
    made = base()
    made.l2[2] = 1 << 45 | OFLAG_COPIED
    return made


@image
def data_offset_largest():
    made = base()
    made.l2[2] = 0x00FFFFFFFFFF0000 | OFLAG_COPIED
    return made


@image
def data_reserved_bits():
    made = base()
    made.l2[2] = made.l2[0] | 0x1FE
    return made


@image
def data_is_the_header():
    made = base()
    made.l2[2] = 0 | OFLAG_COPIED
    return made


@image
def data_is_the_l2_table():
    made = base()
    made.l2[2] = made.end | OFLAG_COPIED
    return made


@image
def zero_flag_with_unaligned_offset():
    made = base()
    made.l2[2] = 0x10200 | OFLAG_ZERO
    return made


# Compressed clusters.


@image
def compressed_plain():
    made = base()
    made.compressed(2, deflate(TEXT))
    return made


@image
def compressed_wide_window():
    import random

    noise = random.Random(5).randbytes(20000)
    made = base()
    made.compressed(2, deflate((noise * 4)[:65536], 15))
    return made


@image
def compressed_bomb():
    made = base()
    made.compressed(2, deflate(bytes(40 << 20)), sectors=100)
    return made


@image
def compressed_too_short():
    made = base()
    made.compressed(2, deflate(TEXT[:1000]))
    return made


@image
def compressed_truncated_stream():
    import random

    whole = deflate(random.Random(3).randbytes(30000) + bytes(35536))
    made = base()
    made.compressed(2, whole[:1024], sectors=1)
    return made


@image
def compressed_garbage():
    made = base()
    made.compressed(2, b"\xff" * 4096)
    return made


@image
def compressed_of_nothing():
    made = base()
    made.compressed(2, b"\0" * 512)
    return made


@image
def compressed_offset_past_end():
    made = base()
    made.compressed(2, b"", sectors=4, offset=1 << 40)
    return made


@image
def compressed_reaches_past_end():
    made = base()
    made.compressed(2, deflate(TEXT), sectors=127)
    return made


@image
def compressed_unaligned_offset():
    made = base()
    payload = deflate(TEXT)
    offset = made.place(b"\xaa" * 333 + payload)
    made.compressed(2, payload, offset=offset + 333)
    return made


@image
def compressed_and_zero_flag():
    made = base()
    made.compressed(2, deflate(TEXT))
    made.l2[2] |= OFLAG_ZERO
    return made


@image
def compressed_and_copied_flag():
    made = base()
    made.compressed(2, deflate(TEXT))
    made.l2[2] |= OFLAG_COPIED
    return made


@image
def compressed_two_in_one_cluster():
    made = base()
    one, two = deflate(TEXT), deflate(TEXT[::-1])
    offset = made.place(one + two)
    made.compressed(2, one, offset=offset)
    made.compressed(3, two, offset=offset + len(one))
    made.refcounts[offset >> 16] = 2
    return made


@image
def compressed_in_the_header():
    made = base()
    made.compressed(2, b"", sectors=0, offset=0)
    return made


# The smallest frames, written by hand: magic, descriptor, window, blocks.
ZSTD_MAGIC = bytes.fromhex("28b52ffd")


def zstd_raw_frame(content):
    """A frame of raw blocks with a 64 KiB window."""
    frame = ZSTD_MAGIC + bytes([0x00, 0x30])  # Frame_Header_Descriptor, Window_Descriptor
    for at in range(0, len(content), 32768):
        part = content[at : at + 32768]
        last = at + 32768 >= len(content)
        frame += (len(part) << 3 | (1 if last else 0)).to_bytes(3, "little") + part  # Raw_Block
    return frame


def zstd_base():
    made = base()
    made.lies["incompatible_features"] = COMPRESSION_TYPE
    made.lies["compression_type"] = 1
    return made


def zstd_rle_frame(length, byte, descriptor=0x00, window=b"\x30"):
    frame = ZSTD_MAGIC + bytes([descriptor]) + window
    while length > 0:
        part = min(length, 65536)
        length -= part
        frame += (part << 3 | 2 | (1 if length == 0 else 0)).to_bytes(3, "little") + byte  # RLE_Block
    return frame


@image
def zstd_raw_blocks():
    made = zstd_base()
    made.compressed(2, zstd_raw_frame(TEXT[:60000]) + b"", sectors=120)
    made.compressed(3, zstd_rle_frame(65536, b"z"))
    return made


@image
def zstd_bomb():
    made = zstd_base()
    made.compressed(2, zstd_rle_frame(1 << 30, b"z"), sectors=100)
    return made


@image
def zstd_window_huge():
    made = zstd_base()
    # Window_Descriptor 0xf8: exponent 31, 2 TiB.
    made.compressed(2, zstd_rle_frame(65536, b"z", window=b"\xf8"))
    return made


@image
def zstd_window_1g():
    made = zstd_base()
    # Window_Descriptor 0xa0: exponent 20, 1 GiB.
    made.compressed(2, zstd_rle_frame(65536, b"z", window=b"\xa0"))
    return made


@image
def zstd_content_size_huge():
    made = zstd_base()
    # Frame_Content_Size_flag 3, single segment: eight bytes of size follow.
    made.compressed(2, zstd_rle_frame(65536, b"z", descriptor=0xE0, window=struct.pack("<Q", 1 << 60)))
    return made


@image
def zstd_two_frames():
    made = zstd_base()
    made.compressed(2, zstd_rle_frame(32768, b"a") + zstd_rle_frame(32768, b"b"))
    return made


@image
def zstd_too_short():
    made = zstd_base()
    made.compressed(2, zstd_rle_frame(1000, b"a"))
    return made


@image
def zstd_truncated():
    made = zstd_base()
    made.compressed(2, zstd_raw_frame(TEXT)[:1024], sectors=1)
    return made


@image
def zstd_garbage():
    made = zstd_base()
    made.compressed(2, b"\xff" * 2048)
    return made


@image
def zstd_skippable_frame_first():
    made = zstd_base()
    made.compressed(2, bytes.fromhex("502a4d18") + struct.pack("<I", 16) + bytes(16) + zstd_rle_frame(65536, b"s"))
    return made


@image
def zstd_dictionary():
    made = zstd_base()
    # Dictionary_ID_flag 1: one byte of dictionary id behind the window.
    made.compressed(2, zstd_rle_frame(65536, b"z", descriptor=0x01, window=b"\x30\x07"))
    return made


# Extended L2 entries.


def extended():
    return base(extended_l2=True)


@image
def extended_some_subclusters():
    made = extended()
    made.data(2, TEXT)
    made.bitmaps[2] = 0x0000FF000000F00F  # zero bits 40..47, allocated 0..3 and 12..15
    return made


@image
def extended_both_bits():
    made = extended()
    made.data(2, TEXT)
    made.bitmaps[2] = 0x00000001_00000001
    return made


@image
def extended_allocated_without_offset():
    made = extended()
    made.l2[2] = 0
    made.bitmaps[2] = 0x00000000_0000FFFF
    return made


@image
def extended_zero_without_offset():
    made = extended()
    made.l2[2] = 0
    made.bitmaps[2] = 0x0000FFFF_00000000
    return made


@image
def extended_zero_flag_in_entry():
    made = extended()
    made.data(2, TEXT)
    made.l2[2] |= OFLAG_ZERO
    return made


@image
def extended_compressed():
    made = extended()
    made.compressed(2, deflate(TEXT))
    return made


@image
def extended_compressed_with_bitmap():
    made = extended()
    made.compressed(2, deflate(TEXT))
    made.bitmaps[2] = 0x00000000_00000001
    return made


@image
def extended_small_clusters():
    made = Image(cluster_bits=12, size=1 << 20)
    made.lies["incompatible_features"] = EXTENDED_L2
    return made


# Snapshots.


@image
def snapshot_plain():
    made = base()
    made.snapshot()
    return made


@image
def snapshots_count_huge():
    return lie("nb_snapshots", 0x7FFFFFFF)


@image
def snapshots_count_ffffffff():
    return lie("nb_snapshots", 0xFFFFFFFF)


@image
def snapshots_count_65536():
    made = base()
    made.snapshot()
    made.lies["nb_snapshots"] = 65536
    return made


@image
def snapshots_count_65537():
    made = base()
    made.snapshot()
    made.lies["nb_snapshots"] = 65537
    return made


@image
def snapshots_more_than_there_are():
    made = base()
    made.snapshot()
    made.lies["nb_snapshots"] = 5
    return made


@image
def snapshots_offset_unaligned():
    made = base()
    made.snapshot()
    made.lies["snapshots_offset"] = 0x10001
    return made


@image
def snapshots_offset_outside():
    made = base()
    made.snapshot()
    made.lies["snapshots_offset"] = 1 << 50
    return made


@image
def snapshots_offset_negative():
    made = base()
    made.snapshot()
    made.lies["snapshots_offset"] = 0xFFFFFFFFFFFF0000
    return made


@image
def snapshot_l1_size_huge():
    made = base()
    made.snapshot(l1_size=0x7FFFFFFF)
    return made


@image
def snapshot_l1_size_ffffffff():
    made = base()
    made.snapshot(l1_size=0xFFFFFFFF)
    return made


@image
def snapshot_l1_offset_outside():
    made = base()
    made.snapshot(l1_table_offset=1 << 50)
    return made


@image
def snapshot_l1_offset_unaligned():
    made = base()
    made.snapshot(l1_table_offset=0x10001)
    return made


@image
def snapshot_extra_data_huge():
    made = base()
    made.snapshot(extra_data_size=0xFFFFFFFF)
    return made


@image
def snapshot_extra_data_none():
    made = base()
    made.snapshot(extra=b"")
    return made


@image
def snapshot_extra_data_1k():
    made = base()
    made.snapshot(extra=bytes(8) + struct.pack(">Q", 1 << 20) + bytes(1008))
    return made


@image
def snapshot_extra_data_over_1k():
    made = base()
    made.snapshot(extra=bytes(8) + struct.pack(">Q", 1 << 20) + bytes(1016))
    return made


@image
def snapshot_id_size_ffff():
    made = base()
    made.snapshot(id_str_size=0xFFFF, name_size=0xFFFF)
    return made


@image
def snapshot_without_names():
    made = base()
    made.snapshot(snapshot_id=b"", name=b"")
    return made


@image
def snapshots_with_one_id():
    made = base()
    made.snapshot()
    made.snapshot()
    return made


@image
def snapshot_other_size():
    made = base()
    made.snapshot(extra=struct.pack(">QQ", 0, 3 << 20))
    return made


@image
def snapshot_l1_is_the_active_one():
    made = base()
    made.place_l1()
    made.snapshot(l1_table_offset=made.header["l1_table_offset"])
    return made


# Bitmaps.


def bitmaps_extension(nb_bitmaps, directory_size, directory_offset):
    return struct.pack(">IIQQ", nb_bitmaps, 0, directory_size, directory_offset)


def with_bitmaps(content):
    made = base()
    made.extension(BITMAPS, content)
    made.lies["autoclear_features"] = 1
    return made


@image
def bitmaps_count_huge():
    return with_bitmaps(bitmaps_extension(0xFFFFFFFF, 32, 65536))


@image
def bitmaps_directory_huge():
    return with_bitmaps(bitmaps_extension(1, 1 << 60, 65536))


@image
def bitmaps_directory_outside():
    return with_bitmaps(bitmaps_extension(1, 64, 1 << 50))


@image
def bitmaps_directory_unaligned():
    return with_bitmaps(bitmaps_extension(1, 64, 65537))


@image
def bitmaps_none():
    return with_bitmaps(bitmaps_extension(0, 0, 0))


@image
def bitmaps_extension_short():
    return with_bitmaps(b"12345678")


@image
def bitmaps_reserved_field():
    return with_bitmaps(struct.pack(">IIQQ", 1, 7, 32, 65536))


def bitmap_entry(table_offset, table_size, granularity_bits=16, flags=2, kind=1, name=b"b0", **lies):
    entry = struct.pack(
        ">QIIBBHI",
        table_offset,
        table_size,
        flags,
        lies.get("type", kind),
        granularity_bits,
        lies.get("name_size", len(name)),
        lies.get("extra_data_size", 0),
    )
    entry += name
    return entry.ljust(-(-len(entry) // 8) * 8, b"\0")


def with_bitmap(**lies):
    made = base()
    table = made.place(bytes(8))
    entry = bitmap_entry(lies.pop("table_offset", table), lies.pop("table_size", 1), **lies)
    directory = made.place(entry)
    made.extension(BITMAPS, bitmaps_extension(1, len(entry), directory))
    made.lies["autoclear_features"] = 1
    return made


@image
def bitmap_plain():
    return with_bitmap()


@image
def bitmap_table_size_huge():
    return with_bitmap(table_size=0x7FFFFFFF)


@image
def bitmap_table_outside():
    return with_bitmap(table_offset=1 << 50)


@image
def bitmap_table_unaligned():
    return with_bitmap(table_offset=0x10001)


@image
def bitmap_granularity_2():
    return with_bitmap(granularity_bits=2)


@image
def bitmap_granularity_255():
    return with_bitmap(granularity_bits=255)


@image
def bitmap_type_9():
    return with_bitmap(kind=9)


@image
def bitmap_flags_unknown():
    return with_bitmap(flags=0xF0)


@image
def bitmap_in_use():
    return with_bitmap(flags=3)


@image
def bitmap_name_size_ffff():
    return with_bitmap(name_size=0xFFFF)


@image
def bitmap_name_empty():
    return with_bitmap(name=b"")


@image
def bitmap_extra_data_huge():
    return with_bitmap(extra_data_size=0xFFFFFFFF)


# Names that point somewhere.


def backing(name, kind=b"raw"):
    made = base()
    made.backing = name
    if kind:
        made.extension(BACKING_FORMAT, kind)
    return made


@image
def backing_is_the_image_itself():
    return backing(b"a.qcow2", b"qcow2")


@image
def backing_name_too_long():
    return backing(b"x" * 1024)


@image
def backing_name_size_ffffffff():
    made = backing(b"b.raw")
    made.lies["backing_file_size"] = 0xFFFFFFFF
    return made


@image
def backing_name_offset_outside():
    made = backing(b"b.raw")
    made.lies["backing_file_offset"] = 1 << 40
    return made


@image
def backing_name_empty():
    made = backing(b"b.raw")
    made.lies["backing_file_size"] = 0
    return made


@image
def backing_name_with_nul():
    return backing(b"b.raw\0hidden")


@image
def backing_canary():
    return backing(CANARY)


@image
def backing_nbd():
    return backing(b"nbd://localhost:1/x")


@image
def backing_http():
    return backing(b"http://localhost:1/x")


@image
def backing_unknown_protocol():
    return backing(b"zork:x")


@image
def backing_json_nbd():
    return backing(b'json:{"driver":"raw","file":{"driver":"nbd","host":"localhost","port":"1"}}')


@image
def backing_json_local():
    return backing(b'json:{"driver":"raw","file":{"driver":"file","filename":"b.raw"}}')


@image
def backing_json_broken():
    return backing(b'json:{"driver":"raw","file":{')


@image
def backing_json_deep():
    return backing(b"json:" + b'{"file":' * 100 + b"1" + b"}" * 100)


@image
def backing_json_null_driver():
    return backing(b'json:{"driver":"null-co","size":1048576,"read-zeroes":true}')


@image
def backing_json_blkdebug():
    return backing(b'json:{"driver":"blkdebug","config":"/etc/passwd","image":{"driver":"null-co"}}')


@image
def backing_fat_directory():
    return backing(b"fat:/etc")


def data_file(name, raw=False):
    made = Image()
    made.lies["incompatible_features"] = EXTERNAL_DATA_FILE
    made.lies["autoclear_features"] = 2 if raw else 0
    made.l2[0] = OFLAG_COPIED  # host offset 0 of the data file
    made.l2[1] = 65536 | OFLAG_COPIED
    if name is not None:
        made.extension(DATA_FILE_NAME, name)
    return made


@image
def data_file_beside():
    return data_file(b"d.raw")


@image
def data_file_raw_beside():
    return data_file(b"d.raw", raw=True)


@image
def data_file_canary():
    return data_file(CANARY, raw=True)


@image
def data_file_parent():
    return data_file(b"../canary", raw=True)


@image
def data_file_through_link():
    return data_file(b"link/canary", raw=True)


@image
def data_file_json():
    return data_file(b'json:{"driver":"file","filename":"' + CANARY + b'"}', raw=True)


@image
def data_file_json_blkverify():
    return data_file(b'json:{"driver":"blkverify","raw":{"driver":"null-co"},"test":{"driver":"null-co"}}')


@image
def data_file_nbd():
    return data_file(b"nbd://localhost:1/x")


@image
def data_file_without_name():
    return data_file(None)


@image
def data_file_name_empty():
    return data_file(b"")


@image
def data_file_name_long():
    return data_file(b"d" * 4096)


@image
def data_file_is_the_image():
    return data_file(b"a.qcow2")


@image
def data_file_raw_bit_without_data_file():
    return lie("autoclear_features", 2)


@image
def data_file_extension_without_bit():
    made = base()
    made.extension(DATA_FILE_NAME, CANARY)
    return made


# Names with bytes that a terminal or a line-based reader would act upon.


@image
def name_with_newline():
    return backing(b"b.raw\nfile format: raw\nbacking file: none")


@image
def name_with_escape():
    return backing(b"\x1b]0;owned\x07\x1b[2Jb.raw")


@image
def name_not_utf8():
    return backing(b"b\xff\xfe\xc0\x80.raw")


@image
def name_with_c1_control():
    return backing(b"b\xc2\x9b31m.raw")


@image
def snapshot_name_with_escape():
    made = base()
    made.snapshot(name=b"s\x1b[31m\nfile format: raw")
    return made


@image
def snapshot_name_not_utf8():
    made = base()
    made.snapshot(name=b"s\xff\xfe")
    return made


@image
def bitmap_name_with_escape():
    return with_bitmap(name=b"b\x1b[31m\n")


@image
def data_file_name_with_escape():
    return data_file(b"d\x1b[31m\nfile format: raw")


@image
def backing_format_with_escape():
    made = backing(b"b.raw", None)
    made.extension(BACKING_FORMAT, b"ra\x1b[31m\nw")
    return made


def main():
    if len(sys.argv) < 3:
        print("\n".join(IMAGES))
        return
    IMAGES[sys.argv[1]]().save(sys.argv[2])


if __name__ == "__main__":
    main()
