#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random command lines, for stock and for ours on copies of the same small
images: what both print, what they return and which files they leave.

usage: argv_run.py SEED COUNT [FIRST]

Reads QEMU_IMG, INSTAR_TEST_PROFILES, INSTAR_TEST_SANDBOXES and
INSTAR_TEST_JOBS as the other suites do; the first kind of cell is used. A case
is known by seed and number, so that one that fails is run again by
"SEED 1 NUMBER". With INSTAR_ARGV_CLUSTERS naming a file, the differences are
written there, those that look alike together.
"""

import collections
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import types

import argv_words
import judge
import workdir

HERE = os.path.dirname(os.path.abspath(__file__))
DISK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30
# What no image or word can change: sizes on disk are not compared.
SIZES = types.SimpleNamespace(keys={"sizes": None, "polled": None})

# What ours says of itself: these command lines are not compared but for the exit code.
OWN_HELP = re.compile(rb"^(Usage:|usage:|QEMU disk image utility|qemu-img version)")
# Protocols that are a module of their own in stock and are not there in ours.
OPEN_WORK = re.compile(rb"is not (built|done) yet|instar does not")
# What ours does and stock does not: checking and resizing more formats, differencing VHD and VHDX.
BEYOND_STOCK = re.compile(
    rb"does not support (resize|checks)|Shrinking images is currently not supported"
    rb"|Backing file (format )?not supported for file format '(vpc|vhdx)'"
)
# What stock 7.2 says by chance when it makes a LUKS header.
BY_CHANCE = b"Unable to get accurate CPU usage"


class Side:
    """One of the two programs with a folder of images and a block device."""

    def __init__(self, top, name, words, env, images):
        self.base = os.path.join(top, name)
        self.folder = os.path.join(self.base, "dir")
        self.words, self.env, self.images = words, env, images
        os.makedirs(self.base)
        self.device = None
        disk = os.path.join(self.base, "disk")
        with open(disk, "wb") as made:
            made.truncate(DISK_BYTES)
        if os.getuid() == 0:
            found = subprocess.run(["losetup", "-f", "--show", disk], capture_output=True, text=True)
            self.device = found.stdout.strip() or None
        self.fill()

    def close(self):
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)

    def fill(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=auto", self.images, self.folder], check=True)
        if self.device:
            os.symlink(self.device, os.path.join(self.folder, "blk"))
        self.seen = self.state()

    def state(self):
        found = {}
        for root, dirs, names in os.walk(self.folder):
            for name in names + dirs:
                what = os.lstat(os.path.join(root, name))
                found[os.path.join(root, name)] = (what.st_size, what.st_mtime_ns, what.st_ino, what.st_mode)
        return found

    def run(self, argv):
        """Runs it; the images are as they were before the next run."""
        told = workdir.run(self.words + argv, self.folder, self.env, TIMEOUT_SECONDS)
        now = self.state()
        names = sorted(os.path.relpath(path, self.folder) for path in now)
        if now != self.seen:
            self.fill()
        if self.device and any("blk" in word for word in argv):
            with open(self.device, "r+b") as disk:
                disk.write(bytes(DISK_BYTES))
        return told, names


class Pair:
    def __init__(self, top, version, tools, ours, sandbox, images):
        env = tools.environment()
        mine = dict(env, INSTAR_QEMU_PROFILE=version, INSTAR_SANDBOX=sandbox)
        self.version = version
        self.stock = Side(top, "stock", [tools.qemu_img], env, images)
        self.ours = Side(top, "ours_", [ours], mine, images)

    def close(self):
        self.stock.close()
        self.ours.close()

    def differences(self, argv):
        stock, stock_names = self.stock.run(argv)
        ours, our_names = self.ours.run(argv)
        crashed = isinstance(stock.code, str)  # a signal, or too late
        if crashed or BY_CHANCE in stock.err or BEYOND_STOCK.search(stock.err) or OPEN_WORK.search(ours.err):
            return []
        if OWN_HELP.search(stock.out) and stock.code == 0 and OWN_HELP.search(ours.out):
            return [] if ours.code == 0 else ["exit code: stock 0, ours %s" % ours.code]
        for side, told in ((self.stock, stock), (self.ours, ours)):
            if side.device:
                told.out = told.out.replace(side.device.encode(), b"<blk>")
                told.err = told.err.replace(side.device.encode(), b"<blk>")
        case = SIZES
        found = judge.printed(case, stock, self.stock.folder, ours, self.ours.folder)
        if stock_names != our_names and stock.code == 0:
            found.append("files: stock %s, ours %s" % (stock_names, our_names))
        return found


def cluster(argv, found):
    """What a difference looks like, without names and numbers."""
    verb = argv[0] if argv else ""
    lines = [line for line in found_lines(found) if line[:1] in "+-e" and line[:3] not in ("+++", "---")][:4]
    text = " | ".join(lines)
    text = re.sub(r"'[^']*'", "'*'", text)
    text = re.sub(r"json:\{.*\}|\b[a-z0-9]+\.(raw|qcow2|vmdk|vdi|vpc|vhdx|qed|qcow|luks|parallels)\b", "NAME", text)
    return verb + ": " + re.sub(r"\d+", "0", text)


def found_lines(found):
    return [line for part in found for line in part.splitlines()]


def make_images(top, tools):
    folder = os.path.join(top, "images")
    os.makedirs(folder)
    with open(os.path.join(HERE, "argv_images.sh"), encoding="utf-8") as script:
        done = workdir.run_script(script.read(), folder, tools.environment())
    if done.code != 0:
        raise workdir.SetupFailed(done.err.decode(errors="replace"))
    return folder


def share(pair, seed, numbers):
    """Runs every case of a share; yields number, words and differences."""
    for number in numbers:
        argv = argv_words.compose(seed, number, pair.version)
        yield number, argv, pair.differences(argv)


def told(version, number, argv, found, clusters):
    title = "%s %d: %s" % (version, number, shlex.join(argv))
    title = title.replace("#", "\\#").encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")
    if found:
        clusters[cluster(argv, found)].append((title, found))
    return title


def main():
    seed, count = sys.argv[1], int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    versions = os.environ.get("INSTAR_TEST_PROFILES", "7.2 10.0 11.1").split()
    sandbox = os.environ.get("INSTAR_TEST_SANDBOXES", "process").split()[0]
    jobs = int(os.environ.get("INSTAR_TEST_JOBS", 2))
    top = tempfile.mkdtemp(prefix="instar-argv.")
    pairs, clusters, plan, failed = [], collections.defaultdict(list), 0, 0
    try:
        maker = workdir.oracle("7.2", os.path.join(top, "maker"))
        oracles = {v: workdir.oracle(v, os.path.join(top, "tools-" + v)) for v in versions}
        usable = [v for v in versions if oracles[v]]
        if not maker or not usable:
            print("1..0 # SKIP no stock qemu-img of %s is on this machine" % " ".join(versions))
            return 0
        images = make_images(top, maker)
        print("1..%d" % (count * len(usable)))
        for version in usable:
            work = []
            for job in range(jobs):
                base = os.path.join(top, "pair-%s-%d" % (version, job))
                os.makedirs(base)
                pairs.append(Pair(base, version, oracles[version], ours, sandbox, images))
                work.append((pairs[-1], range(first + job, first + count, jobs)))
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                for done in pool.map(lambda w: list(share(w[0], seed, w[1])), work):
                    for number, argv, found in done:
                        plan += 1
                        failed += bool(found)
                        title = told(version, number, argv, found, clusters)
                        print("%sok %d - %s" % ("not " if found else "", plan, title))
                        for line in found_lines(found):
                            print("#   " + line.encode("utf-8", "backslashreplace").decode())
                        sys.stdout.flush()
    finally:
        for pair in pairs:
            pair.close()
        judge.removed(top)
    write_clusters(clusters)
    print("# %d of %d differ, in %d clusters" % (failed, plan, len(clusters)))
    return 0


def write_clusters(clusters):
    path = os.environ.get("INSTAR_ARGV_CLUSTERS")
    if not path:
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as out:
        for name, cases in sorted(clusters.items(), key=lambda c: -len(c[1])):
            out.write("==== %d: %s\n" % (len(cases), name))
            for title, found in sorted(cases, key=lambda c: len(c[0]))[:3]:
                out.write("  %s\n" % title)
                for line in found_lines(found)[:14]:
                    out.write("      %s\n" % line)


if __name__ == "__main__":
    sys.exit(main())
