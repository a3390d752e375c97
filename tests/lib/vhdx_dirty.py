#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives a VHDX a log that must be replayed: the first 4 KiB of the BAT are in
it, and zeros in their place.

usage: vhdx_dirty.py FILE HOW...

HOW: plain, two (entries), wrapped (over the end of the ring), torn (a part of
the BAT was written), short (the file ends too early), or what is wrong with it:
checksum, guid, version, sequence (of the data), signature (of the data),
flushed (the file was longer), zero (a range is to be zeroed as well), length,
inside (it writes over itself), far, descriptors (more than there is room for)
"""

import struct
import sys

from vhdx_edit import Vhdx, crc32c

GUID = bytes(range(1, 17))
LOG, SECTOR = 1 << 20, 4096


def entry(number, tail, how, writes, zeros, size):
    count = len(writes) + len(zeros)
    flushed = size + (1 << 30) if "flushed" in how else 0
    length = SECTOR * (1 + len(writes))
    head = struct.pack("<4sIIIQII16sQQ", b"loge", 0, length, tail, number,
                       1 << 27 if "descriptors" in how else count, 0, b"\xee" * 16 if "guid" in how else GUID,
                       flushed, size)
    sectors = b""
    for offset, data in writes:
        head += struct.pack("<4s4sQQQ", b"desc", data[-4:], struct.unpack("<Q", data[:8])[0], offset, number)
        low = (number + ("sequence" in how)) & 0xFFFFFFFF
        sectors += struct.pack("<4sI", b"junk" if "signature" in how else b"data", number >> 32)
        sectors += data[8:-4] + struct.pack("<I", low)
    for offset, nr in zeros:
        head += struct.pack("<4sIQQQ", b"zero", 0, nr, offset, number)
    made = bytearray(head.ljust(SECTOR, b"\0") + sectors)
    if "length" in how:
        struct.pack_into("<I", made, 8, length + 512)
    struct.pack_into("<I", made, 4, crc32c(made) ^ ("checksum" in how))
    return bytes(made)


def main():
    how = sys.argv[2:]
    with open(sys.argv[1], "rb") as file:
        image = bytearray(file.read())
    vhdx = Vhdx(image)
    bat = vhdx.where("bat")
    size = len(image)
    target = (1 << 20) + 65536 if "inside" in how else 1 << 60 if "far" in how else bat
    writes = [(target, bytes(image[bat : bat + SECTOR]))]
    zeros = [(size - (1 << 20), 1 << 19)] if "zero" in how else []
    log = LOG + (LOG - 2 * SECTOR if "wrapped" in how else 0)
    number = 7
    made = b""
    if "two" in how or "wrapped" in how:
        made = entry(number, log - LOG, how, [(bat, bytes(SECTOR))], [], size)
        number += 1
    made += entry(number, log - LOG, how, writes, zeros, size)
    for i in range(0, len(made), SECTOR):
        at = LOG + (log - LOG + i) % LOG
        image[at : at + SECTOR] = made[i : i + SECTOR]
    image[bat : bat + (512 if "torn" in how else SECTOR)] = bytes(512 if "torn" in how else SECTOR)
    for at in (65536, 131072):
        image[at + 48 : at + 64] = GUID
        if "version" in how:
            image[at + 64] = 1
    vhdx.seal()
    if "short" in how:
        del image[size - (1 << 19) :]
    with open(sys.argv[1], "wb") as file:
        file.write(image)


main()
