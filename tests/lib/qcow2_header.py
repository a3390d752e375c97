# SPDX-License-Identifier: Apache-2.0
"""Prints what writers of a qcow2 header must agree on: version, length, features, and which
extensions there are, sorted: their order is the writer's own.

usage: qcow2_header.py FILE...
"""

import struct
import sys


def described(data):
    version, cluster_bits = struct.unpack_from(">I", data, 4)[0], struct.unpack_from(">I", data, 20)[0]
    features, length = (0, 0, 0), 72
    if version >= 3:
        features, length = struct.unpack_from(">QQQ", data, 72), struct.unpack_from(">I", data, 100)[0]
    end = struct.unpack_from(">Q", data, 8)[0] or 1 << cluster_bits
    types, at = [], length
    while at + 8 <= end:
        kind, size = struct.unpack_from(">II", data, at)
        if kind == 0:
            break
        types.append("%08x" % kind)
        at += 8 + (size + 7 & ~7)
    return "version %d, %d bytes, features %x %x %x, extensions %s" % (
        version,
        length,
        *features,
        " ".join(sorted(types)),
    )


for name in sys.argv[1:]:
    with open(name, "rb") as file:
        print("%s: %s" % (name, described(file.read(2 << 20))))
