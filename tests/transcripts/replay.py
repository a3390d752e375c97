#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays transcripts and prints as TAP what differs. No stock binary is needed; where stock 7.2 is
on the machine it is replayed as well, to show that the transcripts are true.

usage: replay.py [-k REGEX] TRANSCRIPT...

Environment: QEMU_IMG, INSTAR_TEST_PROFILES and INSTAR_TEST_JOBS as in tests/diff/run.py.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import transcript
import judge
import run as suite
import workdir


class Player:
    def __init__(self, top, ours):
        self.top = top
        self.ours = workdir.Tools(os.path.join(top, "ours"), {"qemu-img": [ours]})
        self.stock = workdir.oracle("7.2", os.path.join(top, "stock"))
        self.inputs = workdir.Inputs(top, self.ours, workdir.Canary(os.path.join(top, "canary")))

    def _played(self, case, tools, extra, folder, expected):
        try:
            self.inputs.copy(case, folder)
        except workdir.SetupFailed as failed:
            return ["input: %s" % failed]
        env = tools.environment(extra)
        if case.script is not None:
            outcome = workdir.run_script(case.script, folder, env)
        else:
            outcome = workdir.run([tools.qemu_img] + case.argv, folder, env)
        got = transcript.said(outcome, folder, expected.err is None)
        judge.removed(folder)
        found = [] if got.code == expected.code else ["exit code: recorded %s, now %s" % (expected.code, got.code)]
        found += judge.difference("stdout", expected.out, got.out)
        if expected.err is not None:
            found += judge.difference("stderr", expected.err, got.err)
        return found

    def play(self, number, case, answers, versions):
        """Yields (who, differences)."""
        folder = os.path.join(self.top, "case-%d" % number)
        for version in versions:
            if version in answers:
                extra = {"INSTAR_QEMU_PROFILE": version}
                yield version, self._played(case, self.ours, extra, folder, answers[version])
        if self.stock and "7.2" in answers:
            yield "stock 7.2", self._played(case, self.stock, {}, folder, answers["7.2"])


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-k", default="")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    versions = os.environ.get("INSTAR_TEST_PROFILES", "7.2 10.0 11.1").split()
    jobs = int(os.environ.get("INSTAR_TEST_JOBS", min(4, os.cpu_count() or 1)))
    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    known = suite.known_failures()
    top = tempfile.mkdtemp(prefix="instar-replay.")
    number = 0
    try:
        player = Player(top, ours)
        entries = [e for f in options.files for e in transcript.read(f) if re.search(options.k, e[0].title)]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            work = [pool.submit(lambda n, e: list(player.play(n, *e, versions)), n, e) for n, e in enumerate(entries)]
            for (case, _), job in zip(entries, work):
                for who, found in job.result():
                    number += 1
                    todo = suite.open_work(known, case.title, found)
                    head = "%sok %d - [%s] %s" % ("not " if found else "", number, who, case.title)
                    print(head + (" # TODO " + todo if todo else ""))
                    for line in found:
                        print("\n".join("#   " + part for part in line.splitlines()))
                    sys.stdout.flush()
    finally:
        subprocess.run(["rm", "-rf", top])
    if number == 0:
        print("1..0 # SKIP no transcripts")
    else:
        print("1..%d" % number)


if __name__ == "__main__":
    main()
