#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images of formats that qemu-img only reads, field by field.

usage: readonly_fab.py NAME FILE [KEY=VALUE...]      writes one, in any order
       readonly_fab.py                               lists the names

Numbers may be given in hexadecimal. Keys that a function does not know are an
error; what each means stands beside it.
"""

import base64
import bz2
import os
import struct
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import apple_codecs  # noqa: E402

IMAGES = {}
TEXT = (b"forty-two is the answer, " * 4000)[:65536]


def image(function):
    IMAGES[function.__name__.replace("_", "-")] = function
    return function


# ---- bochs ----


def bochs_file(version, catalog, extents, bitmap=512, extent=4096, disk=None, header=512, magic=b"Bochs Virtual HD Image"):
    """extents: bytes of (bitmap, data) pairs, as they lie in the file."""
    disk = len(catalog) * extent if disk is None else disk
    head = magic.ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") + b"Growing".ljust(16, b"\0")
    head += struct.pack("<IIIII", version, header, len(catalog), bitmap, extent)
    if version != 0x10000:
        head += struct.pack("<I", 0x12345678)
    head += struct.pack("<Q", disk)
    body = struct.pack("<%dI" % len(catalog), *catalog)
    for bits, data in extents:
        body += bits.ljust((1 + (bitmap - 1) // 512) * 512, b"\0") + data
    return head.ljust(header, b"\0") + body


NONE = 0xFFFFFFFF


@image
def bochs(version=2, bitmap=1, extent=4096, disk=None):
    """Five extents, of which three are there, not in order; sectors by turns."""
    data = [bytes([65 + i]) * extent for i in range(3)]
    bits = [b"\xff" * 512, b"\x55" * 512, b"\xf0" * 512]
    return bochs_file(version << 16, [1, NONE, 2, 0, NONE], list(zip(bits, data)), bitmap, extent, disk)


@image
def bochs_shared():
    """Two entries name one extent, one an extent far behind the file's end."""
    return bochs_file(0x20000, [0, 0, 0x7FFFFFFF, 0xFFFFFFFE], [(b"\xff", b"x" * 4096)])


@image
def bochs_large_extents():
    """Extents of 8 MiB, whose bitmap is longer than the header says."""
    return bochs_file(0x20000, [0, NONE], [(b"\xff" * 512, TEXT)], bitmap=1, extent=8 << 20)


@image
def bochs_cut():
    """The file ends inside the data of an extent."""
    return bochs_file(0x20000, [0, 1], [(b"\xff", b"x" * 4096), (b"\xff", b"y" * 700)])


# ---- cloop ----


def cloop_file(blocks, block_size, n_blocks=None, gap=0):
    script = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\nexit $?\n"
    count = len(blocks) if n_blocks is None else n_blocks
    at = 136 + 8 * (len(blocks) + 1) + gap
    offsets = [at]
    for block in blocks:
        at += len(block)
        offsets.append(at)
    head = script.ljust(128, b"\0") + struct.pack(">II", block_size, count)
    return head + struct.pack(">%dQ" % len(offsets), *offsets) + bytes(gap) + b"".join(blocks)


def content(nr, block_size):
    return [(TEXT[i:] * (block_size // 60000 + 1))[:block_size] for i in range(nr)]


@image
def cloop(block=4096, nr=9, level=9, gap=0):
    blocks = [zlib.compress(data, level) for data in content(nr, block)]
    if nr > 3:
        blocks[3] = zlib.compress(bytes(block), level)
    return cloop_file(blocks, block, gap=gap)


def cloop_second(change):
    """Three blocks, the second changed."""
    blocks = [zlib.compress(data) for data in content(3, 4096)]
    blocks[1] = change(blocks[1])
    return cloop_file(blocks, 4096)


@image
def cloop_long():
    return cloop_second(lambda block: zlib.compress(TEXT[:5000]))


@image
def cloop_short():
    return cloop_second(lambda block: zlib.compress(TEXT[:4000]))


@image
def cloop_junk():
    return cloop_second(lambda block: block + b"junk" * 10)


@image
def cloop_empty():
    return cloop_second(lambda block: b"")


@image
def cloop_no_sum():
    return cloop_second(lambda block: block[:-4])


@image
def cloop_bad_sum():
    return cloop_second(lambda block: block[:-4] + b"xxxx")


@image
def cloop_no_stream():
    return cloop_second(lambda block: b"no stream at all")


@image
def cloop_bomb():
    """A stream of 32 MiB for a block of 4 KiB."""
    return cloop_second(lambda block: zlib.compress(bytes(32 << 20)))


# ---- dmg ----

ZERO, RAW, IGNORE, ADC, ZLIB, BZ2, LZFSE = 0, 1, 2, 0x80000004, 0x80000005, 0x80000006, 0x80000007
COMMENT, END = 0x7FFFFFFE, 0xFFFFFFFF
PACK = {
    RAW: lambda data: data,
    ADC: apple_codecs.adc,
    ZLIB: zlib.compress,
    BZ2: bz2.compress,
    LZFSE: apple_codecs.lzfse,
}


class Dmg:
    """Chunks one behind the other, in as many block tables as one asks for."""

    def __init__(self):
        self.data = b""
        self.tables = [[]]
        self.sector = 0
        self.keys = {}  # of the trailer, by offset: what a test sets by hand
        self.first_sector = 0

    def add(self, kind, content=None, sectors=None, packed=None, **lies):
        """One chunk; lies: sector, count, offset, length."""
        count = len(content) // 512 if sectors is None else sectors
        if packed is None:
            packed = PACK[kind](content) if kind in PACK else b""
        chunk = {"sector": self.sector, "count": count, "offset": len(self.data), "length": len(packed)}
        chunk.update(lies)
        self.tables[-1].append((kind, chunk))
        self.data += packed
        self.sector += count
        return self

    def blocks(self, magic=b"mish"):
        made = []
        for table in self.tables:
            head = struct.pack(">4sIQQQ", magic, 1, self.first_sector, self.sector, 0).ljust(204, b"\0")
            for kind, c in table:
                head += struct.pack(">IIQQQQ", kind, 0, c["sector"], c["count"], c["offset"], c["length"])
            made.append(head)
        return made

    def plist(self):
        out = b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>blkx</key><array>\n'
        for block in self.blocks():
            lines = base64.encodebytes(block).replace(b"\n", b"\n\t\t\t")
            out += b"<dict><key>Data</key>\n\t\t\t<data>\n\t\t\t" + lines + b"</data></dict>\n"
        return out + b"</array></dict></plist>\n"

    def resources(self):
        body = b"".join(struct.pack(">I", len(b)) + b for b in self.blocks())
        return struct.pack(">III", 256, 256 + len(body), len(body)).ljust(256, b"\0") + body + b"\0" * 40

    def file(self, resources=False, pad=0, plist=None):
        what = self.resources() if resources else self.plist() if plist is None else plist
        koly = bytearray(512)
        koly[0:16] = struct.pack(">4sIII", b"koly", 4, 512, 1)
        fields = {24: 0, 32: len(self.data), 216: len(self.data), 224: len(what), 492: self.sector}
        if resources:
            fields.update({40: len(self.data), 48: len(what), 216: 0, 224: 0})
        fields.update(self.keys)
        for at, value in fields.items():
            struct.pack_into(">Q", koly, at, value)
        return self.data + what + b"\0" * pad + bytes(koly)


def part(i, sectors):
    return (TEXT[i * 97 :] + TEXT)[: sectors * 512]


def usual():
    """What stock can read: zlib, raw, zero and ignored chunks, in two tables."""
    made = Dmg().add(ZLIB, part(0, 64)).add(ZERO, sectors=40).add(RAW, part(1, 3)).add(COMMENT, b"", sectors=0)
    made.add(IGNORE, sectors=9).add(END, sectors=0)
    made.tables.append([])
    return made.add(ZLIB, part(2, 100)).add(ZLIB, bytes(512)).add(END, sectors=0)


@image
def dmg(pad=0):
    return usual().file(pad=pad)


@image
def dmg_resources():
    return usual().file(resources=True)


@image
def dmg_odd_end(more=1):
    """The trailer does not begin on a sector."""
    made = usual()
    made.data += b"x" * more
    return made.file()


@image
def dmg_codecs(kind):
    """Chunks of one kind: text, zeros, noise that does not shrink, one sector."""
    import random

    noise = random.Random(5).randbytes(64 * 512)
    made = Dmg()
    for content in (TEXT, bytes(65536), noise, TEXT[:512], (b"ab" * 9000 + noise)[: 40 * 512]):
        made.add(kind, content)
    return made.file()


@image
def dmg_expected():
    """The disk of dmg-codecs."""
    import random

    noise = random.Random(5).randbytes(64 * 512)
    return TEXT[: len(TEXT) // 512 * 512] + bytes(65536) + noise + TEXT[:512] + (b"ab" * 9000 + noise)[: 40 * 512]


@image
def dmg_lie(key, value, kind=ZLIB):
    """The second of three chunks lies about one thing."""
    return Dmg().add(ZLIB, part(0, 8)).add(kind, part(1, 8), **{key: value}).add(RAW, part(2, 8)).file()


@image
def dmg_kinds(kinds):
    """A chunk of each kind ("t+KIND+KIND...") between two that can be read."""
    made = Dmg().add(ZLIB, part(0, 8))
    for kind in kinds.split("+")[1:]:
        made.add(int(kind, 0), part(1, 8), packed=b"x" * 100)
    return made.add(ZLIB, part(2, 8)).file()


@image
def dmg_trailer(at, value):
    made = usual()
    made.keys[at] = value
    return made.file()


@image
def dmg_trailer_resources(at, value):
    made = usual()
    made.keys[at] = value
    return made.file(resources=True)


@image
def dmg_second(change, kind=ZLIB):
    """The bytes of the second of three chunks are changed."""
    packed = PACK[kind](part(1, 8))
    packed = {
        "short": PACK[kind](part(1, 7)),
        "long": PACK[kind](part(1, 9)),
        "cut": packed[: len(packed) // 2],
        "more": packed + b"junk" * 5,
        "junk": b"no stream at all" * 9,
        "empty": b"",
    }[change]
    return Dmg().add(ZLIB, part(0, 8)).add(kind, part(1, 8), packed=packed).add(RAW, part(2, 8)).file()


@image
def dmg_list(what):
    """Property lists that are none."""
    made = usual()
    good = made.plist()
    data = base64.b64encode(made.blocks()[0])
    lists = {
        "no-end": good.replace(b"</data>", b"<data>"),
        "no-data": good.replace(b"<data>", b"<date>"),
        "no-table": b"<data>" + base64.b64encode(b"nothing of the kind" * 30) + b"</data>" + good,
        "short-table": b"<data>" + data[:300] + b"</data>",
        "one-table": b"<data>" + data + b"</data>",
        "cut-chunk": b"<data>" + data[:-24] + b"</data>",
        "dirt": b"<data>" + b"\x01\xff$!".join(data[i : i + 7] for i in range(0, len(data), 7)) + b"</data>",
        "padding": b"<data>" + data[:268] + b"=" + data[268:] + b"</data>",
        "zero-byte": good[:400] + b"\0" + good[401:],
        "zero-between": good.replace(b"</dict>\n<dict>", b"</dict>\0<dict>"),
        "empty": b"<plist></plist>",
        "many": b"<data></data>" * 100000 + good,
    }
    return made.file(plist=lists[what])


@image
def dmg_no_chunks(sectors=100):
    """An empty chunk table, which crashes stock 7.2."""
    made = Dmg()
    made.sector = sectors
    return made.file()


@image
def dmg_gaps():
    """Sectors that no chunk holds, before, between and behind."""
    made = Dmg()
    made.sector = 8
    made.add(ZLIB, part(0, 8))
    made.sector += 16
    made.add(RAW, part(1, 8))
    made.sector += 1 << 40
    return made.file()


@image
def dmg_bomb():
    """A chunk of 64 MiB in 64 KiB, named a thousand times over."""
    made = Dmg()
    packed = zlib.compress(bytes(64 << 20), 9)
    made.add(ZLIB, b"", sectors=131072, packed=packed)
    for _ in range(1000):
        made.add(ZLIB, b"", sectors=131072, packed=b"", offset=0, length=len(packed))
    return made.file()


@image
def dmg_resource_list(what):
    """Resource forks that are none."""
    made = usual()
    fork = bytearray(made.resources())
    at, value = {
        "data-offset": (0, len(fork) + 1),
        "data-offset-end": (0, len(fork)),
        "no-length": (8, 0),
        "length": (8, len(fork)),
        "resource-zero": (256, 0),
        "resource-long": (256, 0x7FFFFFFF),
        "no-table": (260, 0x12345678),
    }[what]
    struct.pack_into(">I", fork, at, value)
    made.resources = lambda: bytes(fork)
    return made.file(resources=True)


def main(argv):
    if len(argv) == 1:
        print("\n".join(IMAGES))
        return 0
    keys, files = {}, [word for word in argv[2:] if "=" not in word]
    for word in argv[2:]:
        key, is_key, value = word.partition("=")
        if is_key:
            keys[key] = int(value, 0) if value[:1].isdigit() else value
    with open(files[0], "wb") as out:
        out.write(IMAGES[argv[1]](**keys))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
