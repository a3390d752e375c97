#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What users wait for, against stock qemu-img in the same run.

Images of mixed content (40 % holes, 30 % text, 30 % random bytes) are made in a folder in memory.
Each measurement runs stock and ours by turns and takes medians; a ratio is our median over the
fastest stock setting tried. Results go to stdout as a table and, with --json, to a file.

    tests/bench/bench.py [--qemu-img BUILD/qemu-img] [--size 2G] [--rounds 5] [--only WORD] [--json F]

The folder should lie on a disk file system with room for four times the size; everything stays in
the page cache, as outputs are removed before they are written back. Peak memory is what GNU time
says; without it those rows are skipped. A busy machine spoils the wall times: the last line tells
its load, and the column "cpu" compares processor time, which suffers less.

Environment: STOCK_QEMU_IMG (default: qemu-img in PATH), INSTAR_BENCH_DIR (default /var/tmp).
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
TEXT_FROM = ("/usr/include", "/usr/share/common-licenses", "/usr/share/perl")


def parse_size(text):
    units = {"k": 1 << 10, "m": MIB, "g": 1 << 30}
    return int(text[:-1]) * units[text[-1].lower()] if text[-1].lower() in units else int(text)


def read_text(limit):
    """Real text: C headers and the like, as much as is wanted or there is."""
    parts, size = [], 0
    for top in TEXT_FROM:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        parts.append(file.read())
                except OSError:
                    continue
                size += len(parts[-1])
                if size >= limit:
                    return b"".join(parts)[:limit]
    return b"".join(parts)


def make_mixed(path, size):
    """A raw image in pieces of 1 MiB: 40 % holes, 30 % text, 30 % random, shuffled."""
    dice = random.Random(1)
    pieces = size // MIB
    kinds = ["hole"] * (pieces * 40 // 100) + ["text"] * (pieces * 30 // 100)
    kinds += ["random"] * (pieces - len(kinds))
    dice.shuffle(kinds)
    text = read_text(min(64 * MIB, size // 4))
    at = 0
    with open(path, "wb") as file:
        file.truncate(pieces * MIB)
        for index, kind in enumerate(kinds):
            if kind == "hole":
                continue
            file.seek(index * MIB)
            if kind == "random":
                file.write(dice.randbytes(MIB))
                continue
            if at + MIB > len(text):
                at = dice.randrange(4096)
            file.write(text[at : at + MIB])
            at += MIB


class Bench:
    def __init__(self, args, folder):
        self.ours, self.stock = args.qemu_img, args.stock
        self.rounds, self.only, self.folder = args.rounds, args.only, folder
        self.time = shutil.which("time")
        self.results = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, program, argv, sandbox, peak=False):
        """One run: wall seconds, processor seconds, peak resident KiB if asked for."""
        env = dict(os.environ, INSTAR_SANDBOX=sandbox, LC_ALL="C")
        # This process is large, and a child begins as its copy: only a small parent can tell.
        command = [self.time, "-f", "%M", "-o", self.path("peak")] if peak else []
        start = time.monotonic()
        process = subprocess.Popen(command + [program] + argv, env=env, cwd=self.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit("%s %s: exit %d: %s" % (program, " ".join(argv), process.returncode,
                                             message.decode(errors="replace")))
        kib = 0
        if peak:
            with open(self.path("peak")) as file:
                kib = int(file.read().split()[-1])
        return wall, usage.ru_utime + usage.ru_stime, kib

    def measure(self, name, target, stock_argvs, our_argv=None, output=None, repeat=1,
                what="wall", size_target=None):
        """Runs stock's settings and both kinds of our cell by turns."""
        if self.only and self.only not in name:
            return
        our_argv = our_argv or stock_argvs[0]
        runners = [("stock " + " ".join(a for a in argv[1:] if a in ("-W", "-m", "16")),
                    self.stock, argv, "auto") for argv in stock_argvs]
        kinds = ["kvm", "process"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["process"]
        runners += [(kind, self.ours, our_argv, kind) for kind in kinds]
        if what == "peak" and not self.time:
            print("%-34s skipped: GNU time is not installed" % name)
            return
        samples = {label: [] for label, *_ in runners}
        cpus = {label: [] for label, *_ in runners}
        sizes = {}
        for turn in range(self.rounds):
            # Each starts a round in its turn: what one run leaves behind (dirty pages, memory that the
            # machine gave back) is paid by the next, whoever that is.
            first = turn % len(runners)
            for label, program, argv, sandbox in runners[first:] + runners[:first]:
                wall = cpu = peak = 0
                for _ in range(repeat):
                    if output and os.path.exists(self.path(output)):
                        os.unlink(self.path(output))
                        os.sync()
                    sample = self.run(program, argv, sandbox, what == "peak")
                    wall, cpu, peak = wall + sample[0], cpu + sample[1], max(peak, sample[2])
                cpus[label].append(cpu)
                samples[label].append(peak if what == "peak" else wall / repeat)
                if output and size_target:
                    sizes[label] = os.stat(self.path(output)).st_size
        medians = {label: statistics.median(values) for label, values in samples.items()}
        fastest = min((label for label in medians if label.startswith("stock")), key=medians.get)
        for kind in kinds:
            cpu = statistics.median(cpus[kind]) / max(statistics.median(cpus[fastest]), 1e-6)
            self.add(name, kind, what, medians[fastest], medians[kind], target,
                     cpu if what == "wall" else None)
        if size_target:
            stock_size = min(v for k, v in sizes.items() if k.startswith("stock"))
            self.add(name + ", output", kinds[0], "bytes", stock_size, sizes[kinds[0]],
                     size_target, None)

    def add(self, name, kind, what, stock, ours, target, cpu):
        row = {"name": name, "cell": kind, "what": what, "stock": stock, "ours": ours,
               "ratio": ours / stock, "target": target, "met": ours / stock <= target,
               "cpu_ratio": cpu}
        self.results.append(row)
        scale, form = {"wall": (1e3, "%.1f ms"), "peak": (1 / 1024, "%.1f MiB"),
                       "bytes": (1 / MIB, "%.1f MiB")}[what]
        print("%-34s %-8s %12s %12s  %5.2f  %5s  %s %.2f" %
              (name, kind, form % (stock * scale), form % (ours * scale), row["ratio"],
               "" if cpu is None else "%.2f" % cpu, "<=" if row["met"] else "ABOVE", target),
              flush=True)


def prepare(bench, size):
    make_mixed(bench.path("mixed.raw"), size)
    for argv in (["convert", "-f", "raw", "-O", "qcow2", "mixed.raw", "mixed.qcow2"],
                 ["convert", "-c", "-W", "-m", "16", "-f", "raw", "-O", "qcow2", "mixed.raw",
                  "zlib.qcow2"]):
        bench.run(bench.stock, argv, "auto")
    os.sync()


def run_all(bench, size):
    parallel = ["-W", "-m", "16"]

    def convert(*argv):
        return ["convert", *argv]

    bench.measure("info", 0.8, [["info", "mixed.qcow2"]], repeat=20)
    to_qcow2 = ["-f", "raw", "-O", "qcow2", "mixed.raw", "out"]
    bench.measure("convert raw to qcow2", 0.8, [convert(*to_qcow2), convert(*parallel, *to_qcow2)],
                  convert(*to_qcow2), output="out")
    to_raw = ["-f", "qcow2", "-O", "raw", "mixed.qcow2", "out"]
    bench.measure("convert qcow2 to raw", 0.8, [convert(*to_raw), convert(*parallel, *to_raw)],
                  convert(*to_raw), output="out")
    from_zlib = ["-f", "qcow2", "-O", "raw", "zlib.qcow2", "out"]
    bench.measure("convert zlib qcow2 to raw", 0.6,
                  [convert(*from_zlib), convert(*parallel, *from_zlib)], convert(*from_zlib),
                  output="out")
    packed = ["-c", "-f", "raw", "-O", "qcow2", "mixed.raw", "out"]
    bench.measure("convert -c to qcow2", 0.3, [convert(*packed), convert(*parallel, *packed)],
                  convert(*packed), output="out", size_target=1.0)
    bench.measure("compare raw, qcow2", 1.0,
                  [["compare", "-f", "raw", "-F", "qcow2", "mixed.raw", "mixed.qcow2"]])
    bench.measure("compare qcow2, zlib qcow2", 1.0, [["compare", "mixed.qcow2", "zlib.qcow2"]])
    bench.measure("info, peak memory", 1.5, [["info", "mixed.qcow2"]], what="peak")
    if os.path.exists(bench.path("out")):
        os.unlink(bench.path("out"))
    # Twice the image, one behind the other: the 4 GiB of which memory must not depend.
    twice = ["-f", "raw", "-O", "qcow2", "mixed.raw", "mixed.raw", "out"]
    bench.measure("convert %d MiB, peak memory" % (2 * size // MIB), 1.5,
                  [convert(*twice)], output="out", what="peak")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qemu-img", default="build/qemu-img")
    parser.add_argument("--size", type=parse_size, default=2 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="measurements whose name contains this")
    parser.add_argument("--json", help="write all results here")
    args = parser.parse_args()
    args.stock = os.environ.get("STOCK_QEMU_IMG") or shutil.which("qemu-img")
    if not args.stock:
        sys.exit("bench: there is no stock qemu-img to compare with")
    args.qemu_img = os.path.abspath(args.qemu_img)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    folder = tempfile.mkdtemp(prefix="instar-bench-",
                              dir=os.environ.get("INSTAR_BENCH_DIR", "/var/tmp"))
    try:
        bench = Bench(args, folder)
        prepare(bench, args.size)
        print("%-34s %-8s %12s %12s  %5s  %5s  %s" %
              ("", "cell", "stock", "ours", "ratio", "cpu", "target"))
        run_all(bench, args.size)
    finally:
        shutil.rmtree(folder)
    above = [row for row in bench.results if not row["met"]]
    print("%d measurements, %d above target, load %.1f" %
          (len(bench.results), len(above), os.getloadavg()[0]))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"size": args.size, "rounds": args.rounds, "stock": args.stock,
                       "results": bench.results}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
