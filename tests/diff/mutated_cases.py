#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a case file of damaged images: small ones with everything in them, of
which a byte or two of the metadata is another.

usage: mutated_cases.py SEED COUNT

Only what reads them is compared: what stock writes to a damaged image may
destroy it, and ours refuses.
"""

import random
import sys

HEADER_BYTES = 112
# Of an image whose bitmaps lost their autoclear bit stock warns before it looks
# at the rest; ours does after.
AUTOCLEAR = range(88, 96)


def place(r, cluster):
    """Where a byte changes: in the header, an extension, or a table's first entries."""
    kind = r.random()
    if kind < 0.4:
        return r.choice([at for at in range(4, HEADER_BYTES) if at not in AUTOCLEAR])
    if kind < 0.5:
        return r.randrange(HEADER_BYTES, 400)
    return r.randrange(1, 8) * cluster + r.choice((0, 0, 8, 16, 24, 32)) + r.randrange(8)


def case(r):
    bits = r.choice((9, 12, 16, 16))
    options = "cluster_size=%d" % (1 << bits)
    if bits >= 14 and r.random() < 0.3:
        options += ",extended_l2=on"
    yield "with"
    yield "  $ create -q -f qcow2 -o %s a.qcow2 %dk" % (options, r.choice((256, 1024)))
    yield "  $! qemu-io -c 'write -P 7 0 100k' -c 'write -P 8 200k 20k' -c 'write -z 130k 10k' a.qcow2 >/dev/null"
    if r.random() < 0.4:
        yield "  $ snapshot -c s1 a.qcow2"
    if r.random() < 0.3:
        yield "  $ bitmap --add a.qcow2 b0"
    if r.random() < 0.2:
        yield "  $ convert -c -O qcow2 -o %s a.qcow2 c.qcow2" % options
        yield "  $! mv c.qcow2 a.qcow2"
    for _ in range(r.randint(1, 2)):
        value = r.choice((0, 1, 2, 0x40, 0x80, 0xFF, r.randrange(256)))
        yield "  $! poke a.qcow2 %d %02x" % (place(r, 1 << bits), value)
    for verb in ("info", "check", "map --output=json"):
        yield "  > %s a.qcow2" % verb
    yield "  > convert -O raw a.qcow2 o"


def main():
    r = random.Random(int(sys.argv[1]))
    print("always agree limits")
    for _ in range(int(sys.argv[2])):
        print("\n".join(case(r)))


if __name__ == "__main__":
    main()
