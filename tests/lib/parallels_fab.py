# SPDX-License-Identifier: Apache-2.0
"""Gives a Parallels image a format extension with dirty bitmaps, or a damaged one.

usage: parallels_fab.py IMAGE [FIELD=VALUE]...

    bitmap=UUID:GRANULARITY:ENTRIES   a dirty bitmap; granularity in sectors,
                    entries of its table by comma: 0, 1, or xx (a cluster of
                    the byte xx); may be given more than once
    feature=MAGIC:FLAGS:SIZE:HEXDATA  any feature, before the end mark
    end=no          no end mark
    sum=HEX, magic=HEX    of the extension, instead of what is right
    size=N, l1=N    of the last bitmap, instead of what is right
    data_size=N     of the last feature, instead of what is right
    at=SECTOR       of the header, instead of what is right
    fill=HEX        byte behind the features
    cut=BYTES       length of the file afterwards

The extension takes a cluster at the end of the file, the bits clusters behind it.
source: Parallels Expandable Image File Format, "Format extension"
"""

import hashlib
import struct
import sys
import uuid

SECTOR = 512
EXTENSION = 0xAB234CEF23DCEA87
DIRTY_BITMAP = 0x20385FAE252CB34A
FEATURE = "<QQII"


class Image:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.data = bytearray(f.read())
        self.cluster = struct.unpack_from("<I", self.data, 28)[0] * SECTOR
        self.sectors = struct.unpack_from("<Q", self.data, 36)[0]

    def append_cluster(self, content):
        """Puts a cluster at the end, and gives its sector."""
        self.data += bytes(-len(self.data) % self.cluster)
        at = len(self.data)
        self.data += content[: self.cluster].ljust(self.cluster, b"\0")
        return at // SECTOR


def bitmap(image, text, fields):
    """The data of a bitmap's feature."""
    name, granularity, entries = text.split(":")
    table = []
    for entry in filter(None, entries.split(",")):
        if len(entry) == 1:
            table.append(int(entry))
        elif entry.startswith("@"):
            table.append(int(entry[1:], 0))
        else:
            table.append(image.append_cluster(bytes.fromhex(entry) * image.cluster))
    return struct.pack(
        "<Q16sII%dQ" % len(table),
        int(fields.get("size", image.sectors)),
        uuid.UUID(name).bytes,
        int(granularity),
        int(fields.get("l1", len(table))),
        *table
    )


def extension(image, words):
    """The extension's cluster."""
    fields = dict(word.split("=", 1) for word in words)
    features = b""
    todo = [word.split("=", 1) for word in words if word.startswith(("bitmap=", "feature="))]
    for i, (kind, text) in enumerate(todo):
        last = fields if i == len(todo) - 1 else {}
        magic, flags = DIRTY_BITMAP, 0
        if kind == "bitmap":
            data = bitmap(image, text, last)
            size = len(data)
        else:
            parts = text.split(":")
            magic, flags, size = (int(part, 0) for part in parts[:3])
            data = bytes.fromhex(parts[3])
        size = int(last.get("data_size", size))
        features += struct.pack(FEATURE, magic, flags, size, 0) + data + bytes(-len(data) % 8)
    if fields.get("end") != "no":
        features += struct.pack(FEATURE, 0, 0, 0, 0)
    fill = bytes.fromhex(fields.get("fill", "00"))
    rest = (features + fill * image.cluster)[: image.cluster - 24]
    digest = bytes.fromhex(fields["sum"]) if "sum" in fields else hashlib.md5(rest).digest()
    return struct.pack("<Q", int(fields.get("magic", hex(EXTENSION)), 16)) + digest + rest


def main():
    image, words = Image(sys.argv[1]), sys.argv[2:]
    fields = dict(word.split("=", 1) for word in words)
    at = image.append_cluster(extension(image, words))
    struct.pack_into("<Q", image.data, 56, int(str(fields.get("at", at)), 0))
    if "cut" in fields:
        del image.data[int(fields["cut"], 0) :]
    with open(image.path, "wb") as f:
        f.write(image.data)


if __name__ == "__main__":
    main()
