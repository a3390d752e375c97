#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds VMDK extents field by field, right or wrong.

usage: vmdk_fab.py stream|sparse|cowd|sesparse FILE [NAME=NUMBER]...

Each starts as a small correct extent; a NAME sets one field of its header, or
one of the names listed with each function. Numbers are Python's (0x10, 1<<60).

    stream    streamOptimized, 1 MiB, grains 0 ("A") and 2 ("B"), footer
    sparse    hosted sparse, 128 KiB, 4 KiB grains 0, 1 and 20 in two tables, both directories
    cowd      VMFS sparse, 8 MiB, 4 KiB grains 0 ("A") and 2 ("B")
    sesparse  32 MiB, grains 0 and 1, an unmapped and a zeroed one
"""

import struct
import sys
import zlib

SECTOR = 512
HEADER = (
    ("magic", "I", 0x564D444B),
    ("version", "I", 3),
    ("flags", "I", 0x30001),
    ("capacity", "Q", 2048),
    ("grain_size", "Q", 128),
    ("descriptor_offset", "Q", 1),
    ("descriptor_size", "Q", 20),
    ("gtes_per_gt", "I", 512),
    ("rgd_offset", "Q", 0),
    ("gd_offset", "Q", 0),
    ("overhead", "Q", 128),
    ("unclean", "B", 0),
    ("newlines", "I", 0x0A0D200A),
    ("compression", "H", 1),
)
AT_END = (1 << 64) - 1
DESCRIPTOR = b"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="streamOptimized"

RW 2048 SPARSE "a.vmdk"
"""


def padded(data, to=SECTOR):
    return data + bytes(-len(data) % to)


def header(**fields):
    form = "<" + "".join(kind for _, kind, _ in HEADER)
    return padded(struct.pack(form, *(fields.pop(name, value) for name, _, value in HEADER)))


def marker(val, size, kind):
    return padded(struct.pack("<QII", val, size, kind))


def take(lies, *names):
    """The lies about these names, without a prefix."""
    return {name: lies.pop(name) for name in list(lies) if name in names}


def grain(lba, byte, lies):
    """lba, size: of the marker; data_bytes: how much is compressed; cut, adler: of the stream."""
    stream = zlib.compress(byte * lies.get("data_bytes", 65536))
    if "garbage" in lies:
        stream = b"x" * 500
    if "raw" in lies:
        stream = stream[2:-4]
    if "adler" in lies:
        stream = stream[:-1] + bytes([stream[-1] ^ 1])
    size = lies.get("size", len(stream) + lies.get("size_more", 0))
    return padded(struct.pack("<QI", lies.get("lba", lba), size) + stream)


def stream(lies):
    """header_NAME, footer_NAME: fields; grain's names; gte0: the first table entry; footer_marker_val,
    footer_marker_size, footer_marker_type, eos_val, eos_size, eos_type; tail: bytes added; cut:
    bytes taken off; packed: grains begin behind the descriptor, as in small inputs."""
    heads = {k[7:]: lies[k] for k in lies if k.startswith("header_")}
    feet = {k[7:]: lies[k] for k in lies if k.startswith("footer_") and "marker" not in k}
    out = header(gd_offset=AT_END, **heads) + DESCRIPTOR.ljust(20 * SECTOR, b"\0")
    if "packed" not in lies:
        out = out.ljust(128 * SECTOR, b"\0")
    table = [0] * 512
    table[0] = len(out) // SECTOR
    out += grain(0, b"A", lies)
    table[2] = len(out) // SECTOR
    out += grain(256, b"B", {})
    table[0] = lies.get("gte0", table[0])
    out += marker(4, 0, 1)
    tables = len(out) // SECTOR
    out += struct.pack("<512I", *table) + marker(1, 0, 2)
    directory = len(out) // SECTOR
    out += padded(struct.pack("<I", tables))
    out += marker(*(lies.get("footer_marker_" + k, v) for k, v in (("val", 1), ("size", 0), ("type", 3))))
    out += header(**{"gd_offset": directory, **feet})
    out += marker(*(lies.get("eos_" + k, 0) for k in ("val", "size", "type")))
    out += bytes(lies.get("tail", 0))
    return out[: len(out) - lies.get("cut", 0)]


def sparse(lies):
    """header_NAME: fields; gdeN, rgdeN: of the directories; gteN, rgteN: of the tables."""
    heads = {k[7:]: lies[k] for k in lies if k.startswith("header_")}
    fields = dict(version=1, flags=3, capacity=256, grain_size=8, descriptor_size=1, gtes_per_gt=16)
    fields.update(rgd_offset=2, gd_offset=3, overhead=8, compression=0)
    out = header(**{**fields, **heads}) + DESCRIPTOR.replace(b"streamOptimized", b"monolithicSparse").ljust(SECTOR, b"\0")
    grains = {0: 8, 1: 16, 20: 24}
    tables = {"rg": (4, 5), "g": (6, 7)}
    for prefix in tables:
        out += padded(struct.pack("<2I", *(lies.get("%sde%d" % (prefix, i), at) for i, at in enumerate(tables[prefix]))))
    for prefix in tables:
        for first in (0, 16):
            entries = (lies.get("%ste%d" % (prefix, i), grains.get(i, 0)) for i in range(first, first + 16))
            out += padded(struct.pack("<16I", *entries))
    return out + b"".join(byte * 4096 for byte in (b"A", b"B", b"C"))


def cowd(lies):
    """version, flags, capacity, grain_size, gd_offset, gd_entries, free; gte0, gte3; ids: a text with ids."""
    names = ("version", "flags", "capacity", "grain_size", "gd_offset", "gd_entries", "free")
    fields = dict(zip(names, (1, 3, 16384, 8, 4, 1, 200)), **take(lies, *names))
    out = (b"COWD" + struct.pack("<7I", *fields.values())).ljust(SECTOR, b"\0")
    if "ids" in lies:
        out += b"CID=1\nparentCID=ffffffff\n"
    out = out.ljust(4 * SECTOR, b"\0") + struct.pack("<I", 8).ljust(4 * SECTOR, b"\0")
    table = [0] * 4096
    table[0], table[2], table[3] = lies.get("gte0", 40), 48, lies.get("gte3", 0)
    return out + struct.pack("<4096I", *table) + b"A" * 4096 + b"B" * 4096


SE_NAMES = (
    "magic version capacity grain_size grain_table_size flags reserved1 reserved2 reserved3 reserved4 "
    "volatile_offset volatile_size journal_header_offset journal_header_size journal_offset journal_size "
    "gd_offset gd_size gt_offset gt_size free_offset free_size backmap_offset backmap_size "
    "grains_offset grains_size"
).split()
SE_VALUES = (
    [0xCAFEBABE, 0x200000001, 65536, 8, 64, 0, 0, 0, 0, 0]
    + [1, 1, 2, 2, 4, 4, 8, 1, 9, 64, 73, 1, 74, 1, 80, 16]
)


def sesparse(lies):
    """fields as in SE_NAMES; volatile_magic, replay; gde0, gte0; length: of the file."""
    fields = dict(zip(SE_NAMES, SE_VALUES), **take(lies, *SE_NAMES))
    out = padded(struct.pack("<26Q", *fields.values()))
    out += padded(struct.pack("<4Q", lies.get("volatile_magic", 0xCAFECAFE), 0, 0, lies.get("replay", 0)))
    out = out.ljust(8 * SECTOR, b"\0") + padded(struct.pack("<Q", lies.get("gde0", 1 << 60)))
    table = [0] * 4096
    table[:4] = lies.get("gte0", 3 << 60), 0x3001 << 48, 1 << 60, 2 << 60
    out += struct.pack("<4096Q", *table)
    out = out.ljust(80 * SECTOR, b"\0") + b"A" * 4096 + b"B" * 4096
    return out[: lies.get("length", len(out))]


def number(text):
    left, _, right = text.partition("<<")
    return int(left, 0) << int(right or "0", 0)


def main():
    kind, path = sys.argv[1:3]
    lies = {name: number(value) for name, _, value in (word.partition("=") for word in sys.argv[3:])}
    with open(path, "wb") as out:
        out.write({"stream": stream, "sparse": sparse, "cowd": cowd, "sesparse": sesparse}[kind](lies))


if __name__ == "__main__":
    main()
