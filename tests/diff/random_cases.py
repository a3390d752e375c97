#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a case file of random images: chains of one to three layers, each of
random shape, with random writes, zeroes and discards at odd places.

usage: random_cases.py SEED COUNT

What is compared is what reads them (map, check, compare, convert, measure);
the same seed gives the same cases.
"""

import random
import sys


def size(r):
    return r.choice((1 << 20, (1 << 20) + 512, 3 << 20, 5000 * 512, (6 << 20) - 1024))


def shape(r):
    """Creation options of a qcow2 layer, and its cluster size."""
    bits = r.choice((9, 10, 12, 13, 14, 15, 16, 16, 17, 18, 20, 21))
    options = ["cluster_size=%d" % (1 << bits)]
    if r.random() < 0.15:
        options.append("compat=0.10")
    else:
        if bits >= 14 and r.random() < 0.4:
            options.append("extended_l2=on")
        options.append("refcount_bits=%d" % r.choice((1, 2, 8, 16, 16, 32, 64)))
        options.append("compression_type=%s" % r.choice(("zlib", "zstd")))
        if r.random() < 0.1:
            options.append("lazy_refcounts=on")
    return options


def actions(r, length):
    """qemu-io commands that write here and there, mostly near edges."""
    edges = [e for e in (0, 512, 4096, 65536, 1 << 20, 2 << 20, length) if e <= length]
    for number in range(r.randint(1, 9)):
        at = max(0, min(length - 512, r.choice(edges) + r.randrange(-16, 17) * 512))
        if r.random() < 0.3:
            at = r.randrange(length // 512) * 512
        longest = length - at
        count = min(longest, r.choice((512, 1024, 4096, 65536, 131072, 200 * 512, 1 << 20)))
        verb = r.choice(("write -P %d" % r.randrange(1, 256),) * 3 + ("write -z", "write -z -u", "discard", "write -P 0"))
        yield "-c '%s %d %d'" % (verb, at, count)


def layer(r, name, below):
    """Setup lines for one layer on top of below, a (name, format) or None."""
    length = size(r)
    kind = "qcow2" if below or r.random() < 0.8 else "raw"
    if kind == "raw":
        yield "$ create -q -f raw %s %d" % (name, length)
    elif below:
        yield "$ create -q -f qcow2 -o %s -b %s -F %s %s %d" % (",".join(shape(r)), *below, name, length)
    else:
        yield "$ create -q -f qcow2 -o %s %s %d" % (",".join(shape(r)), name, length)
    # What stock refuses (a discard in the middle of a sector, say) is no input.
    yield "$! qemu-io -f %s %s %s >/dev/null 2>&1 || true" % (kind, " ".join(actions(r, length)), name)
    if kind == "qcow2" and not below and r.random() < 0.3:
        yield "$ convert -c -O qcow2 -o %s %s c.qcow2" % (",".join(shape(r)), name)
        yield "$! mv c.qcow2 %s" % name
    yield kind


def case(r):
    backing, below = None, None
    top = r.randint(0, 2)
    lines = []
    for number in range(top + 1):
        name = "a.img" if number == top else "base%d.img" % number
        *more, kind = layer(r, name, below)
        lines += more
        backing, below = below, (name, kind)
    options = ",".join(shape(r))
    yield "with"
    yield from ("  " + line for line in lines)
    yield "  > map --output=json a.img"
    if below[1] == "qcow2":
        yield "  > check a.img"
    yield "  > convert -O raw a.img o"
    yield "  > convert -O qcow2 -o %s a.img o" % options
    yield "  > convert -c %s-O qcow2 -o %s a.img o" % ("-W " if r.random() < 0.5 else "", options)
    yield "  > measure -O qcow2 -o %s a.img" % options
    if top:
        yield "  > compare a.img base0.img"
        yield "  > convert -O qcow2 -B %s -F %s a.img o" % backing


def main():
    r = random.Random(int(sys.argv[1]))
    print("always agree")
    for _ in range(int(sys.argv[2])):
        print("\n".join(case(r)))


if __name__ == "__main__":
    main()
