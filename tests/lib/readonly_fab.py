#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images of formats that qemu-img only reads, field by field.

usage: readonly_fab.py NAME FILE [KEY=VALUE...]      writes one
       readonly_fab.py                               lists the names

Numbers may be given in hexadecimal. Keys that a function does not know are an
error; what each means stands beside it.
"""

import struct
import sys
import zlib

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


def main(argv):
    if len(argv) == 1:
        print("\n".join(IMAGES))
        return 0
    keys = {}
    for word in argv[3:]:
        key, _, value = word.partition("=")
        keys[key] = int(value, 0) if value[:1].isdigit() else value
    with open(argv[2], "wb") as out:
        out.write(IMAGES[argv[1]](**keys))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
