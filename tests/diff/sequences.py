#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random sequences of commands that change a random qcow2 image, run by stock qemu-img and by ours,
each on its own copy; prints as TAP the first step of each sequence after which they differ: in what is
printed or returned, or in what is left behind (see judge.py).

usage: sequences.py [-v] [-s SEED] [-n SEQUENCES] [-l STEPS] [-o SEQUENCE]

  -o  only that one of them    -v  keeps its folders, tells its steps

A failure that is found so becomes a case in cases/.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import casefile  # noqa: E402
import judge  # noqa: E402
import sequence_steps  # noqa: E402
import workdir  # noqa: E402

PROFILE = "7.2"
# What may differ: when a snapshot was made, where clusters lie.
VARIES = re.compile(
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|[\d.]+% fragmented|(?<=Image end offset: )\d+|(?<=Cluster at offset 0x)[0-9a-f]+"
    rb"|(?<=has a refcount of )\d+"
)


# How much of the disk has clusters of its own: of zeros that are copied, stock makes data.
ALLOCATED = re.compile(rb"\d+/\d+ = .* compressed clusters\n")
# With subclusters or without them: a snapshot shows more or less of what a rebase puts below it.
COPYING = ("rebase", "commit", "convert", "bench")

# What stock says where it fails because of how clusters lie in its file.
ONLY_STOCK = (
    b"Cannot use preallocation for shrinking files",  # free clusters at its end
    b"Failed to load snapshot: Invalid argument",  # counts overflow on the way, not at its end
    b"leaked clusters",  # by what it did before
    b"Failed to zero out new clusters: Operation not supported",  # a part of a compressed cluster
)
# What opening an image for writing drops in stock: said once more after ours.
STALE_BITMAPS = b"contains bitmaps, but they may have been modified"


class StockAlone(Exception):
    """Stock has not ended in time, or fails for a reason that ours cannot have: the sequence ends."""


class Pair:
    """The same image twice: stock's and ours."""

    def __init__(self, top, tools, ours, sandbox, unseen):
        self.unseen = unseen  # files whose content is nobody's affair
        self.tools = tools
        self.ours = ours
        self.copied = False
        self.folders = [os.path.join(top, who, "dir") for who in ("stock", "ours")]
        self.environments = [
            tools.environment(),
            tools.environment({"INSTAR_SANDBOX": sandbox, "INSTAR_QEMU_PROFILE": PROFILE}),
        ]

    def make(self, setup):
        case = casefile.Case("", setup, [], [], None, {})
        top = os.path.dirname(os.path.dirname(self.folders[0]))
        os.makedirs(top)
        canary = workdir.Canary(os.path.join(top, "canary"))
        made = workdir.Inputs("", self.tools, canary).make(case, os.path.join(top, "made"))
        for folder in self.folders:  # both are copies: where holes are matters
            os.makedirs(os.path.dirname(folder))
            subprocess.run(["cp", "-a", "--sparse=auto", made, folder], check=True)

    def has_version_2(self):
        with open(os.path.join(self.folders[0], "a.qcow2"), "rb") as image:
            return image.read(8)[7] == 2

    @staticmethod
    def fails_alone(stock, ours):
        said = [outcome.out + outcome.err for outcome in (stock, ours)]
        if STALE_BITMAPS in said[1] and STALE_BITMAPS not in said[0]:
            return True
        return any(text in said[0] and text not in said[1] for text in ONLY_STOCK)

    def step(self, kind, words):
        """Runs it on both; returns the differences."""
        case = casefile.Case("", [], [], words, None, {"sizes": ""})
        programs = [self.tools.qemu_img, self.ours] if kind == "img" else [self.tools.qemu_io] * 2
        before = judge.files_below(self.folders[1])
        self.copied = self.copied or words[0] in COPYING
        outcomes = []
        for program, folder, env in zip(programs, self.folders, self.environments):
            outcome = workdir.run([program] + words, folder, env)
            outcome.out = VARIES.sub(b"<varies>", outcome.out)
            outcome.err = VARIES.sub(b"<varies>", outcome.err)
            if self.copied:
                outcome.out = ALLOCATED.sub(b"", outcome.out)
            outcomes.append(outcome)
        stock, ours = outcomes
        if words[0] == "rebase" and self.has_version_2():
            raise StockAlone  # it forgets zeros, and the disk shows what is in the new backing file
        if stock.code == "timeout" or self.fails_alone(stock, ours):
            raise StockAlone
        found = judge.printed(case, stock, self.folders[0], ours, self.folders[1])
        only = before if stock.code != 0 else judge.files_below(self.folders[1])
        found += judge.left_behind(case, self.tools, *self.folders, judge.Verdicts(), only - self.unseen)
        if any(word.startswith("--preallocation=") for word in words) and found and " compare of " in found[0]:
            raise StockAlone  # the new area shows what was in freed clusters
        # Of what is copied, stock marks sectors and ours what it writes: bits too many, never too few.
        return [line for line in found if not (self.copied and line.startswith(("bitmap ", "snapshot ")))]


def sequence(options, number, top, tools, ours, sandboxes):
    """Runs one; returns (title, steps done, differences)."""
    r = random.Random("%d %d" % (options.s, number))
    image = sequence_steps.Image(r)
    sandbox = sandboxes[number % len(sandboxes)]
    pair = Pair(top, tools, ours, sandbox, image.unseen())
    title = "sequence %d of seed %d, %s, %s" % (number, options.s, image.options, sandbox)
    setup = image.setup()
    try:
        pair.make(setup)
    except workdir.SetupFailed as failed:
        return title, 0, ["input: %s" % failed]
    told = ["$! " + text for _, text in setup]
    for done, (kind, words) in enumerate(image.steps(options.l)):
        told.append("> qemu-%s %s" % (kind, shlex.join(words)))
        try:
            found = pair.step(kind, words)
        except StockAlone:
            break
        if found:
            return title, done, found + told
    return title, options.l, told if options.v else []


def main():
    judge.SLACK_BYTES = 32 << 20  # clusters may have 2 MiB
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("-v", action="store_true")
    for flag, value in (("-s", 1), ("-n", 8), ("-l", 7), ("-o", -1)):
        parser.add_argument(flag, type=int, default=value)
    options = parser.parse_args()
    ours = os.path.realpath(os.environ.get("QEMU_IMG", "./qemu-img"))
    top = tempfile.mkdtemp(prefix="instar-sequences.")
    tools = workdir.oracle(PROFILE, os.path.join(top, "tools"))
    sandboxes = os.environ.get("INSTAR_TEST_SANDBOXES", "kvm process").split()
    sandboxes = [s for s in sandboxes if s != "kvm" or os.access("/dev/kvm", os.R_OK | os.W_OK)]
    if tools is None or not sandboxes:
        print("1..0 # SKIP there is no stock qemu-img %s, or no kind of cell" % PROFILE)
        return 0
    numbers = range(options.n) if options.o < 0 else [options.o]
    print("1..%d" % len(numbers), flush=True)

    def one(number):
        below = os.path.join(top, str(number))
        title, steps, found = sequence(options, number, below, tools, ours, sandboxes)
        differs = steps < options.l
        if not (differs and options.v):
            judge.removed(below)
        return title, steps, found, differs

    jobs = int(os.environ.get("INSTAR_TEST_JOBS", min(os.cpu_count(), 4)))
    steps = failures = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for count, (title, done, found, differs) in enumerate(pool.map(one, numbers), 1):
            steps += done + differs
            failures += differs
            print("%sok %d - %s" % ("not " if differs else "", count, title))
            for line in found:
                print("\n".join("#   " + part for part in line.splitlines()))
            sys.stdout.flush()
    print("# %d steps, %d sequences end in a difference" % (steps, failures))
    if options.v and failures:
        print("# kept in " + top)
    else:
        judge.removed(top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
