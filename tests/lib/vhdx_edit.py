#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes fields of a VHDX, by the specification's names, and makes its
checksums right again unless they are what is changed.

usage: vhdx_edit.py FILE FIELD=VALUE...

FIELD   identifier.signature
        header1.NAME, header2.NAME, header.NAME (both)
        region.NAME (both tables), region1.NAME, region2.NAME; NAME also bat.X,
        metadata.X of their entries
        table.NAME, table.ITEM.X of the metadata table, ITEM one of params,
        size, id, logical, physical, parent
        item.ITEM, item.flags of the metadata itself
        bat.N
        at.OFFSET      eight bytes there
VALUE   a number, or @TEXT for bytes (\\0 and such are understood)
"""

import mmap
import struct
import sys

HEADERS, REGIONS = (65536, 131072), (196608, 262144)
HEADER = {
    "signature": (0, 4), "checksum": (4, 4), "sequence": (8, 8), "file_write": (16, 16), "data_write": (32, 16),
    "log_guid": (48, 16), "log_version": (64, 2), "version": (66, 2), "log_length": (68, 4), "log_offset": (72, 8),
    "reserved": (80, 1),
}
REGION = {"signature": (0, 4), "checksum": (4, 4), "count": (8, 4), "reserved": (12, 4)}
ENTRY = {"guid": (0, 16), "offset": (16, 8), "length": (24, 4), "required": (28, 4)}
TABLE = {"signature": (0, 8), "reserved": (8, 2), "count": (10, 2)}
ROW = {"id": (0, 16), "offset": (16, 4), "length": (20, 4), "flags": (24, 4), "reserved": (28, 4)}
GUIDS = {
    "6677c22d23f600429d64115e9bfd4a08": "bat", "06a27c8b90479a4bb8fe575f050f886e": "metadata",
    "3767a1ca36fa434db3b633f0aa44e76b": "params", "2442a52f1bcd7648b2115dbed83bf4b8": "size",
    "ab12cabee6b2234593efc309e000c746": "id", "1dbf41816fa90947ba47f233a8faab5f": "logical",
    "c748a3cd5d4471449cc9e9885251c556": "physical", "2d5fd3a80bb34d45abf7d3d84834ab0c": "parent",
}
ITEM = {"params": 4, "flags": 4, "size": 8, "id": 16, "logical": 4, "physical": 4}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC = crc_table()


def encoded(value, size):
    if value.startswith("@"):
        return value[1:].encode().decode("unicode_escape").encode("latin-1")
    return (int(value, 0) & ((1 << 8 * size) - 1)).to_bytes(size, "little")


class Vhdx:
    def __init__(self, image):
        self.image = image
        self.unsealed = set()
        self.regions = self._regions()
        self.rows, self.items = self._metadata()

    def _regions(self):
        found = {}
        for at in REGIONS:
            for i in range(min(struct.unpack_from("<I", self.image, at + 8)[0], 2047)):
                row = at + 16 + 32 * i
                found.setdefault(GUIDS.get(self.image[row : row + 16].hex()), []).append(row)
        return found

    def _metadata(self):
        rows, items = {}, {}
        table = self.where("metadata")
        for i in range(struct.unpack_from("<H", self.image, table + 10)[0]):
            row = table + 32 + 32 * i
            name = GUIDS.get(self.image[row : row + 16].hex(), "row%d" % i)
            rows[name] = row
            items[name] = table + struct.unpack_from("<I", self.image, row + 16)[0]
        return rows, items

    def where(self, region):
        return struct.unpack_from("<Q", self.image, self.regions[region][0] + 16)[0]

    def places(self, field):
        part, *rest = field.split(".")
        if part == "identifier":
            return [(0, 8)]
        if part.startswith("header"):
            which = [int(part[6:]) - 1] if part[6:] else [0, 1]
            if rest[0] == "checksum":
                self.unsealed.update(HEADERS[i] for i in which)
            return [(HEADERS[i] + HEADER[rest[0]][0], HEADER[rest[0]][1]) for i in which]
        if part.startswith("region"):
            which = [int(part[6:]) - 1] if part[6:] else [0, 1]
            if rest[0] == "checksum":
                self.unsealed.update(REGIONS[i] for i in which)
            if len(rest) == 1:
                return [(REGIONS[i] + REGION[rest[0]][0], REGION[rest[0]][1]) for i in which]
            rows = [row for row in self.regions[rest[0]] if any(REGIONS[i] <= row < REGIONS[i] + 65536 for i in which)]
            return [(row + ENTRY[rest[1]][0], ENTRY[rest[1]][1]) for row in rows]
        if part == "table" and len(rest) == 1:
            return [(self.where("metadata") + TABLE[rest[0]][0], TABLE[rest[0]][1])]
        if part == "table":
            return [(self.rows[rest[0]] + ROW[rest[1]][0], ROW[rest[1]][1])]
        if part == "item" and rest[0] == "flags":
            return [(self.items["params"] + 4, 4)]
        if part == "item":
            return [(self.items[rest[0]], ITEM[rest[0]])]
        if part == "bat":
            return [(self.where("bat") + 8 * int(rest[0]), 8)]
        return [(int(rest[0], 0), 8)]

    def seal(self):
        for at, size in [(at, 4096) for at in HEADERS] + [(at, 65536) for at in REGIONS]:
            if at not in self.unsealed:
                part = bytearray(self.image[at : at + size])
                part[4:8] = bytes(4)
                self.image[at + 4 : at + 8] = struct.pack("<I", crc32c(part))


def main():
    with open(sys.argv[1], "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as image:
            vhdx = Vhdx(image)
            changes = [change.split("=", 1) for change in sys.argv[2:]]
            for places, value in [(vhdx.places(field), value) for field, value in changes]:
                for at, size in places:
                    data = encoded(value, size)
                    image[at : at + len(data)] = data
            vhdx.seal()


if __name__ == "__main__":
    main()
