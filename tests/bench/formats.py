# SPDX-License-Identifier: Apache-2.0
"""Converting from and to every format but raw and qcow2."""

import os
import sys
import zlib

from work import MIB, both, convert, floor_copy, remove_output, stock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import readonly_fab  # noqa: E402

# name, options of convert
WRITTEN = [
    ("vmdk", []),
    ("vmdk streamOptimized", ["-o", "subformat=streamOptimized"]),
    ("vpc", []),
    ("vpc fixed", ["-o", "subformat=fixed"]),
    ("vhdx", []),
    ("vhdx fixed", ["-o", "subformat=fixed"]),
    ("vdi", []),
    ("qed", []),
    ("qcow", []),
    ("parallels", []),
]
READ_ONLY_BYTES = 256 * MIB  # they are made in memory


def run(bench, size):
    for name, options in WRITTEN:
        written(bench, name, options)
    for name in ("bochs", "cloop", "dmg"):
        read_only(bench, name, min(size, READ_ONLY_BYTES))
    remove_output(bench)


def bare(bench):
    return lambda: floor_copy(bench, "mixed.raw")


def written(bench, name, options):
    driver = name.split()[0]
    target = 0.3 if "streamOptimized" in name else 0.8
    argv = ["-f", "raw", "-O", driver, *options, "mixed.raw", "out"]
    bench.measure("raw to " + name, target, both(argv), convert(*argv), output="out", floor=bare(bench))
    if bench.wants(name + " to raw"):
        stock(bench, "convert", *argv[:-1], "source")
        argv = ["-f", driver, "-O", "raw", "source", "out"]
        bench.measure(name + " to raw", 0.8, both(argv), convert(*argv), output="out", floor=bare(bench))
        os.unlink(bench.path("source"))
    remove_output(bench)


def read_only(bench, name, size):
    if not bench.wants(name + " to raw"):
        return
    with open(bench.path("mixed.raw"), "rb") as file:
        disk = file.read(size)
    with open(bench.path("source"), "wb") as file:
        file.write({"bochs": bochs, "cloop": cloop, "dmg": dmg}[name](disk))
    argv = ["-f", name, "-O", "raw", "source", "out"]
    bench.measure(name + " to raw", 0.8, both(argv), convert(*argv), output="out")
    os.unlink(bench.path("source"))


def pieces(disk, length):
    return (disk[at : at + length] for at in range(0, len(disk), length))


def bochs(disk):
    """Extents of 2 MiB, those that are all zeros left out."""
    catalog, extents = [], []
    for piece in pieces(disk, 2 * MIB):
        if any(piece):
            catalog.append(len(extents))
            extents.append((b"\xff" * 512, piece))
        else:
            catalog.append(readonly_fab.NONE)
    return readonly_fab.bochs_file(0x20000, catalog, extents, bitmap=512, extent=2 * MIB)


def cloop(disk):
    return readonly_fab.cloop_file([zlib.compress(piece) for piece in pieces(disk, 65536)], 65536)


def dmg(disk):
    """Chunks of 256 KiB, as hdiutil makes them."""
    made = readonly_fab.Dmg()
    made.data = bytearray()
    for piece in pieces(disk, 262144):
        made.add(*((readonly_fab.ZLIB, piece) if any(piece) else (readonly_fab.ZERO, None, len(piece) // 512)))
    made.add(readonly_fab.END, sectors=0)
    return bytes(made.file())
