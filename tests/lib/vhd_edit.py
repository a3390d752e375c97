#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes fields of a VHD, by the specification's names, and makes its
checksums right again unless they are what is changed.

usage: vhd_edit.py FILE FIELD=VALUE...

FIELD   footer.NAME (every copy), end.NAME (the one at the end), dynamic.NAME,
        bat.N
VALUE   a number, or @TEXT for bytes (\\0 and such are understood)
"""

import mmap
import struct
import sys

FOOTER = {
    "cookie": (0, 8), "features": (8, 4), "version": (12, 4), "data_offset": (16, 8), "time_stamp": (24, 4),
    "creator": (28, 4), "original_size": (40, 8), "current_size": (48, 8), "cylinder": (56, 2), "heads": (58, 1),
    "sectors": (59, 1), "disk_type": (60, 4), "checksum": (64, 4), "unique_id": (68, 16), "saved": (84, 1),
    "reserved": (85, 1),
}
DYNAMIC = {
    "cookie": (0, 8), "data_offset": (8, 8), "table_offset": (16, 8), "version": (24, 4), "max_entries": (28, 4),
    "block_size": (32, 4), "checksum": (36, 4), "parent_id": (40, 16), "parent_time": (56, 4),
}


def encoded(value, size):
    if value.startswith("@"):
        return value[1:].encode().decode("unicode_escape").encode("latin-1")
    return (int(value, 0) & ((1 << 8 * size) - 1)).to_bytes(size, "big")


def seal(image, at, size, where):
    part = bytearray(image[at : at + size])
    part[where : where + 4] = bytes(4)
    image[at + where : at + where + 4] = struct.pack(">I", ~sum(part) & 0xFFFFFFFF)


def edit(image, changes):
    end = (len(image) + 511) // 512 * 512 - 512
    footers = [at for at in sorted({0, end}) if image[at : at + 8] == b"conectix"]
    dynamic = struct.unpack_from(">Q", image, footers[0] + 16)[0]
    has_dynamic = image[dynamic : dynamic + 8] == b"cxsparse"
    bat = struct.unpack_from(">Q", image, dynamic + 16)[0] if has_dynamic else 0
    sealed = {"footer", "end", "dynamic"}
    for change in changes:
        where, value = change.split("=", 1)
        part, name = where.split(".")
        if name == "checksum":
            sealed.discard(part)
        if part == "bat":
            places = [(bat + 4 * int(name), 4)]
        elif part == "dynamic":
            places = [(dynamic + DYNAMIC[name][0], DYNAMIC[name][1])]
        else:
            places = [(at + FOOTER[name][0], FOOTER[name][1]) for at in footers if part == "footer" or at == end]
        for at, size in places:
            data = encoded(value, size)
            image[at : at + len(data)] = bytes(data)
    for at in footers:
        if "footer" in sealed and (at != end or "end" in sealed):
            seal(image, at, 512, 64)
    if has_dynamic and "dynamic" in sealed:
        seal(image, dynamic, 1024, 36)


def main():
    with open(sys.argv[1], "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as image:
            edit(image, sys.argv[2:])


if __name__ == "__main__":
    main()
