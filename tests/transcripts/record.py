#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records transcripts: runs the differential suite's cases with each stock qemu-img that the machine
has and writes down what it says. Inputs are made by ours, as they will be when transcripts are
replayed where no stock binary is.

usage: record.py [CASEFILE...]      (from a build folder; default: all of tests/diff/cases)

Left out are cases that need more than a qemu-img and a shell (another program holding a lock,
qemu-io, another user, a canary), and those that do not say the same twice.
"""

import concurrent.futures
import glob
import os
import re
import sys
import tempfile

import transcript  # noqa: F401 (puts tests/diff on the path)
import casefile
import judge
import workdir

VERSIONS = ("7.2", "10.0", "11.1")
NEEDS_MORE = re.compile(r"qemu-io|qemu-nbd|nbdkit|CANARY|cryptsetup|/dev/|mkfs|debugfs|unshare|prlimit|\bstrace\b|sleep|kill|"
                        r"\bdate\b|python3 .*fab|fabricate|INSTAR_|ulimit|chmod|chown|setpriv|losetup|mount|"
                        r"preallocation=(falloc|full)|ext4|vfat|xfs|on_loop|stock_luks")
MOST = 150  # cases of one file: every so many of a longer one
KEYS_NOT_REPLAYED = ("ours", "auto", "env", "limits", "code")


def replayable(case):
    text = " ".join([what if kind == "shell" else " ".join(what) for kind, what in case.setup])
    text += " " + (case.script or " ".join(case.argv))
    return not case.holds and not any(k in case.keys for k in KEYS_NOT_REPLAYED) and not NEEDS_MORE.search(text)


class Recorder:
    def __init__(self, top, ours):
        self.top = top
        self.stock = {v: workdir.oracle(v, os.path.join(top, "tools-" + v)) for v in VERSIONS}
        canary = workdir.Canary(os.path.join(top, "canary"))
        self.inputs = workdir.Inputs(top, ours, canary)

    def _said(self, case, version, folder, made_again):
        tools = self.stock[version]
        if made_again:  # several threads write an image: its layout may differ the next time
            self.inputs.make(case, folder)
        else:
            self.inputs.copy(case, folder)
        env = tools.environment()
        if case.script is not None:
            outcome = workdir.run_script(case.script, folder, env)
        else:
            outcome = workdir.run([tools.qemu_img] + case.argv, folder, env)
        answer = transcript.said(outcome, folder, "loose" in case.keys)
        judge.removed(folder)
        return answer

    def answers(self, number, case):
        """{version: Said}, or None for a case that cannot be recorded."""
        found = {}
        for version in VERSIONS:
            if self.stock[version] is None or not case.wanted_for(version):
                continue
            try:
                folder = os.path.join(self.top, "case-%d" % number)
                twice = [self._said(case, version, folder, again) for again in (False, True)]
            except workdir.SetupFailed:
                return None
            if twice[0] != twice[1] or twice[0].code == "timeout":
                return None
            found[version] = twice[0]
        return found


def main():
    names = sys.argv[1:] or sorted(glob.glob(os.path.join(os.path.dirname(transcript.HERE), "diff/cases/*.cases")))
    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    total = failing = 0
    for name in names:
        top = tempfile.mkdtemp(prefix="instar-record.")
        recorder = Recorder(top, workdir.Tools(os.path.join(top, "ours"), {"qemu-img": [ours]}))
        if None in recorder.stock.values():
            sys.exit("record.py: not every stock version is on this machine (tests/lib/fetch-oracles)")
        cases = [c for c in casefile.read(name) if replayable(c)]
        cases = cases[:: -(-len(cases) // MOST)] if cases else []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(recorder.answers, range(len(cases)), cases))
        entries = [(c, a) for c, a in zip(cases, answers) if a]
        judge.removed(top)
        if entries:
            stem = os.path.splitext(os.path.basename(name))[0]
            transcript.write(os.path.join(transcript.HERE, stem + ".transcript"), entries)
        total += len(entries)
        failing += sum(any(s.code != "0" for s in a.values()) for _, a in entries)
        print("%-28s %4d cases" % (os.path.basename(name), len(entries)), flush=True)
    print("%d cases, %d of them failing invocations" % (total, failing))


if __name__ == "__main__":
    main()
