# SPDX-License-Identifier: Apache-2.0
"""Reads the dirty bitmaps of a qcow2 image: a second, simple reading of the
format, for comparing what two programs left behind."""

import struct

EXTENSION = 0x23852875
OFFSET = 0x00FFFFFFFFFFFE00


def _directory(image):
    """(where, bytes, how many) or None."""
    version, header = struct.unpack_from(">I", image, 4)[0], 72
    if version >= 3:
        header = struct.unpack_from(">I", image, 100)[0]
    while True:
        kind, length = struct.unpack_from(">II", image, header)
        if kind == EXTENSION:
            count, _, size, offset = struct.unpack_from(">IIQQ", image, header + 8)
            return offset, size, count
        if kind == 0:
            return None
        header += 8 + (length + 7) // 8 * 8


def _cluster(image, entry, size):
    offset = entry & OFFSET
    if offset:
        return image[offset : offset + size].ljust(size, b"\0")
    return (b"\xff" if entry & 1 else b"\0") * size


def read(path):
    """A list of (name, flags, granularity, the offsets of the disk whose bits
    are set), in the directory's order; of one that is in use, no offsets."""
    with open(path, "rb") as file:
        image = file.read()
    size = 1 << struct.unpack_from(">I", image, 20)[0]
    disk = struct.unpack_from(">Q", image, 24)[0]
    found, directory = [], _directory(image)
    if directory is None:
        return found
    at, end = directory[0], directory[0] + directory[1]
    while at < end:
        table, entries, flags, _, bits, name_len, extra = struct.unpack_from(">QIIBBHI", image, at)
        name = image[at + 24 + extra : at + 24 + extra + name_len]
        at += (24 + extra + name_len + 7) // 8 * 8
        stored = b"".join(
            _cluster(image, entry, size) for (entry,) in struct.iter_unpack(">Q", image[table : table + 8 * entries])
        )
        count = (disk + (1 << bits) - 1) >> bits
        value = int.from_bytes(stored[: (count + 7) // 8], "little") & ((1 << count) - 1)
        found.append((name, flags, 1 << bits, None if flags & 1 else value))
    return found
