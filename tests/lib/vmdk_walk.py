#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a streamOptimized VMDK front to back, as importers do that cannot seek.

usage: vmdk_walk.py FILE OUT

Every marker must be known and lead to the next; a grain table names grains that came before it, a
directory names tables that did, and the last one is the footer's; the end-of-stream marker ends the
file. OUT gets the disk's content, put together from the grains' own sectors. Source: VMware,
"Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents".
"""

import struct
import sys
import zlib

SECTOR = 512
END, TABLE, DIRECTORY, FOOTER = range(4)


def need(what, fact):
    if not fact:
        sys.exit("vmdk_walk: " + what)


def header(data):
    names = "magic version flags capacity grain_size text_at text_size gtes rgd gd overhead".split()
    head = dict(zip(names, struct.unpack_from("<IIIQQQQIQQQ", data)))
    need("magic", head["magic"] == 0x564D444B)
    need("compressed, with markers", head["flags"] & 0x30000 == 0x30000)
    need("deflate", struct.unpack_from("<H", data, 77)[0] == 1)
    return head


def walk(image, out):
    head = header(image)
    need("the header leads to the footer", head["gd"] == (1 << 64) - 1)
    out.truncate(head["capacity"] * SECTOR)
    at, grains, tables, directory, last = head["overhead"] * SECTOR, {}, {}, None, -1
    while True:
        need("the file goes on", at + SECTOR <= len(image))
        value, size, kind = struct.unpack_from("<QII", image, at)
        if size:
            need("grains on their multiples", value % head["grain_size"] == 0 and value < head["capacity"])
            data = zlib.decompress(image[at + 12 : at + 12 + size])
            need("a whole grain", len(data) == head["grain_size"] * SECTOR)
            grains[at // SECTOR] = value
            last = max(last, value)
            out.seek(value * SECTOR)
            out.write(data[: (head["capacity"] - value) * SECTOR])
            at += -(-(12 + size) // SECTOR) * SECTOR
            continue
        body = at + SECTOR
        if kind == END:
            need("nothing follows the end", at + SECTOR == len(image) and value == 0)
            break
        need("a known marker", kind in (TABLE, DIRECTORY, FOOTER))
        if kind == TABLE:
            entries = struct.unpack_from("<%dI" % head["gtes"], image, body)
            tables[body // SECTOR] = entries
        elif kind == DIRECTORY:
            span = head["gtes"] * head["grain_size"]
            directory = body // SECTOR
            entries = struct.unpack_from("<%dI" % -(-head["capacity"] // span), image, body)
            listed = entries
        else:
            footer = header(image[body:])
            need("the footer leads to the last directory", footer["gd"] == directory)
            need("the footer is the header", all(footer[k] == head[k] for k in head if k != "gd"))
        at = body + value * SECTOR
    for number, entry in enumerate(listed):
        need("a directory names tables", entry == 0 or entry in tables)
        for i, sector in enumerate(tables[entry] if entry else ()):
            lba = (number * head["gtes"] + i) * head["grain_size"]
            need("a table names grains", sector <= 1 or grains.pop(sector, None) == lba)
    need("every grain is named", not grains)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
        walk(source.read(), target)
