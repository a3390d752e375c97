#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the cost of ours grows: with the size of the disk (64 MiB of data in each), with layers, and
with snapshots. Prints medians in milliseconds as Markdown tables for docs/performance.md.

    tests/bench/scale.py [--qemu-img BUILD/qemu-img] [--rounds 5]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20


class Clock:
    def __init__(self, program, rounds, folder):
        self.program, self.rounds, self.folder = program, rounds, folder

    def run(self, *argv):
        done = subprocess.run([self.program, *argv], cwd=self.folder, capture_output=True)
        if done.returncode != 0:
            sys.exit("%s: %s" % (" ".join(argv), done.stderr.decode(errors="replace")))

    def median(self, *argv, output=None):
        times = []
        for _ in range(self.rounds):
            if output and os.path.exists(os.path.join(self.folder, output)):
                os.unlink(os.path.join(self.folder, output))
            start = time.monotonic()
            self.run(*argv)
            times.append((time.monotonic() - start) * 1000)
        return statistics.median(times)


def table(title, columns, rows):
    print("\n%s\n" % title)
    print("| | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for name, values in rows:
        print("| %s | %s |" % (name, " | ".join("%.1f" % v for v in values)), flush=True)


def disks(clock):
    sizes = (("1 GiB", 30), ("64 GiB", 36), ("1 TiB", 40), ("16 TiB", 44))
    piece = os.urandom(MIB)
    columns = {"info": [], "map": [], "check": [], "qcow2 to qcow2": []}
    for _, bits in sizes:
        raw = os.path.join(clock.folder, "disk.raw")
        with open(raw, "wb") as file:
            file.truncate(min(1 << bits, 15 << 40))
            for n in range(64):
                file.seek((min(1 << bits, 15 << 40) // 64 * n) & -MIB)
                file.write(piece)
        clock.run("convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2")
        columns["info"].append(clock.median("info", "disk.qcow2"))
        columns["map"].append(clock.median("map", "disk.qcow2"))
        columns["check"].append(clock.median("check", "disk.qcow2"))
        columns["qcow2 to qcow2"].append(
            clock.median("convert", "-f", "qcow2", "-O", "qcow2", "disk.qcow2", "out", output="out"))
        os.unlink(raw)
    table("Virtual size, 64 MiB of data (ms; the last is 15 TiB, the most that the file system allows)",
          [name for name, _ in sizes], columns.items())


def layers(clock):
    counts = (1, 10, 100)
    rows = {"info": [], "map": [], "convert to raw": []}
    below = None
    for layer in range(max(counts)):
        name = "layer%d.qcow2" % layer
        clock.run("create", "-q", "-f", "qcow2", *(["-b", below, "-F", "qcow2"] if below else []), name, "1G")
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P %d %d 64k" % (layer + 1, layer * 5 * MIB),
                        os.path.join(clock.folder, name)], check=True, stdout=subprocess.DEVNULL)
        below = name
        if layer + 1 in counts:
            rows["info"].append(clock.median("info", below))
            rows["map"].append(clock.median("map", below))
            rows["convert to raw"].append(clock.median("convert", "-O", "raw", below, "out", output="out"))
    table("Layers (ms)", [str(n) for n in counts], rows.items())


def snapshots(clock):
    counts = (1, 10, 100, 1000)
    rows = {"snapshot -l": [], "check": [], "snapshot -c": []}
    clock.run("create", "-q", "-f", "qcow2", "snap.qcow2", "1G")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 64M", os.path.join(clock.folder, "snap.qcow2")],
                   check=True, stdout=subprocess.DEVNULL)
    for number in range(1, max(counts) + 1):
        start = time.monotonic()
        clock.run("snapshot", "-c", "s%d" % number, "snap.qcow2")
        if number in counts:
            rows["snapshot -c"].append((time.monotonic() - start) * 1000)
            rows["snapshot -l"].append(clock.median("snapshot", "-l", "snap.qcow2"))
            rows["check"].append(clock.median("check", "snap.qcow2"))
    table("Internal snapshots (ms)", [str(n) for n in counts], rows.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qemu-img", default="build/qemu-img")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="instar-scale-", dir=os.environ.get("INSTAR_BENCH_DIR", "/var/tmp"))
    try:
        clock = Clock(os.path.abspath(args.qemu_img), args.rounds, folder)
        disks(clock)
        layers(clock)
        snapshots(clock)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
