#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What users wait for, against stock qemu-img in the same run.

Each measurement runs stock's settings and both kinds of our cell by turns and takes medians; a ratio
is our median over the fastest stock setting tried. Results go to stdout as a table and, with --json,
to a file; --svg draws them (gnuplot).

    tests/bench/bench.py [--qemu-img BUILD/qemu-img] [--size 2G] [--rounds 7] [--set main|all|formats]
                         [--only WORD] [--json F] [--svg F]

`main` is the everyday set; `all` adds the rest of the data path, images of 1 TiB, and what changes an
image in place; `formats` converts from and to the other formats. The folder should lie on a disk file system with room for six times the size;
everything stays in the page cache, as outputs are removed before they are written back. Peak memory
is what GNU time says; without it those rows are skipped. A busy machine spoils the wall times: the
last line tells its load, and the column "cpu" compares processor time, which suffers less.

Environment: STOCK_QEMU_IMG (default: qemu-img in PATH), INSTAR_BENCH_DIR (default /var/tmp).
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import contest
import formats
import mixed
import work


def parse_size(text):
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    return int(text[:-1]) * units[text[-1].lower()] if text[-1].lower() in units else int(text)


def draw(path, results):
    """Bars of wall-time ratios; 1 is stock."""
    rows = [r for r in results if r["what"] == "wall"]
    names = list(dict.fromkeys(r["name"] for r in rows))
    ratio = {(r["name"], r["cell"]): r["ratio"] for r in rows}
    target = {r["name"]: r["target"] for r in rows}
    lines = ['"%s" %.3f %.3f %.3f' % (n, ratio.get((n, "kvm"), 0), ratio.get((n, "process"), 0), target[n])
             for n in names]
    script = """
set terminal svg size 900,%d font "sans,11" background "white"
set output "%s"
set title "Wall time, as a ratio to the fastest setting of stock qemu-img (1.0)"
set style fill solid
set boxwidth 0.35
set yrange [%f:-0.5]
set xrange [0:1.1]
set grid x
set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb "#888888"
set ytics out nomirror
set key below
$rows << EOD
%s
EOD
plot $rows using ($2/2):($0-0.18):($2/2):(0.17):ytic(1) with boxxyerror lc rgb "#3465a4" title "kvm", \\
     $rows using ($3/2):($0+0.18):($3/2):(0.17) with boxxyerror lc rgb "#73d216" title "process", \\
     $rows using 4:0 with points pt 2 lc rgb "#a40000" title "target"
""" % (120 + 34 * len(names), path, len(names) - 0.5, "\n".join(lines))
    subprocess.run(["gnuplot"], input=script.replace("\\\\", "\\"), text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qemu-img", default="build/qemu-img")
    parser.add_argument("--size", type=parse_size, default=2 << 30)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--set", choices=("main", "all", "formats"), default="main")
    parser.add_argument("--only", help="measurements whose name contains this")
    parser.add_argument("--json", help="write all results here")
    parser.add_argument("--svg", help="draw them here")
    args = parser.parse_args()
    args.stock = os.environ.get("STOCK_QEMU_IMG") or shutil.which("qemu-img")
    if not args.stock:
        sys.exit("bench: there is no stock qemu-img to compare with")
    args.qemu_img = os.path.abspath(args.qemu_img)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    folder = tempfile.mkdtemp(prefix="instar-bench-", dir=os.environ.get("INSTAR_BENCH_DIR", "/var/tmp"))
    try:
        bench = contest.Contest(args, folder)
        print("%-34s %-8s %12s %12s  %5s  %5s  %s" % ("", "cell", "stock", "ours", "ratio", "cpu", "target"))
        if args.set == "formats":
            mixed.make_mixed(bench.path("mixed.raw"), args.size)
            formats.run(bench, args.size)
        else:
            work.run_main(bench, args.size)
        if args.set == "all":
            work.run_rest(bench, args.size)
    finally:
        shutil.rmtree(folder)
    above = [row for row in bench.results if not row["met"]]
    print("%d measurements, %d above target, load %.1f" % (len(bench.results), len(above), os.getloadavg()[0]))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"size": args.size, "rounds": args.rounds, "results": bench.results}, file, indent=2)
            file.write("\n")
    if args.svg:
        draw(args.svg, bench.results)


if __name__ == "__main__":
    main()
