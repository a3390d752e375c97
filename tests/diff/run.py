#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a case file (see casefile.py) with stock qemu-img and with ours, each
on its own copy of the same input, and prints as TAP where they differ.

usage: run.py [-v] [-k REGEX] CASEFILE...

  -k REGEX  only cases whose title matches
  -v        keeps the folders of failing cases and says where they are

Environment:
  QEMU_IMG               the program under test (default ./qemu-img)
  INSTAR_TEST_SANDBOXES  kinds of cell to run it in, default "kvm process"
  INSTAR_TEST_PROFILES   stock versions to compare with, default "7.2 10.0 11.1";
                         only the first is compared in every kind of cell
  INSTAR_TEST_ALL=1      compares cases marked "turns" with all of them as well
  INSTAR_TEST_JOBS       cases at a time, default: processors, at most 4
"""

import argparse
import concurrent.futures
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import casefile  # noqa: E402
import judge  # noqa: E402
import workdir  # noqa: E402


NOT_BUILT = "ours says that it is not built yet"
STOCK_LATE = "stock did not end in time"
LIMITS = ["prlimit", "--as=%d" % (1 << 30), "--cpu=5"]
if os.environ.get("INSTAR_TEST_SANITIZED"):  # needs terabytes of address space
    LIMITS = []


# A case of which only what is printed counts, but for sizes on disk.
SIZES = casefile.Case("", [], [], [], None, {"sizes": ""})


def usable_sandboxes(asked):
    """The kinds of cell that this machine can run, and why not the others."""
    usable, missing = [], []
    for kind in asked:
        if kind == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            missing.append("INSTAR_SANDBOX=kvm: /dev/kvm cannot be opened")
        else:
            usable.append(kind)
    return usable, missing


class Suite:
    def __init__(self, ours, profiles, sandboxes, top, keep):
        self.ours = ours
        self.top = top
        self.keep = keep
        self.missing = []
        self.oracles = {}
        for version in profiles:
            tools = workdir.oracle(version, os.path.join(top, "tools-" + version))
            if tools is None:
                self.missing.append("stock qemu-img %s is not on this machine (tests/lib/fetch-oracles)" % version)
            else:
                self.oracles[version] = tools
        self.sandboxes = sandboxes
        first = next(iter(self.oracles), None)
        self.canary = workdir.Canary(os.path.join(top, "canary"))
        self.inputs = first and workdir.Inputs(top, self.oracles[first], self.canary)

    def runs(self, case):
        """(stock version, kinds of cell) for each stock run of the case."""
        wanted = [v for v in self.oracles if case.wanted_for(v)]
        if "auto" in case.keys:
            # the other user cannot reach what fetch-oracles unpacked below a home folder
            wanted = [v for v in wanted if v == "7.2"]
        if "agree" in case.keys:
            wanted = wanted[:1]
        if "turns" in case.keys and wanted and not os.environ.get("INSTAR_TEST_ALL"):
            kinds = self.sandboxes
            yield wanted[case.turn % len(wanted)], [kinds[case.turn // len(wanted) % len(kinds)]]
            return
        for index, version in enumerate(wanted):
            yield version, self.sandboxes if index == 0 else self.sandboxes[:1]

    def _command(self, case, program, folder, env):
        if case.script is not None:
            return workdir.run_script(case.script, folder, env)
        limits = LIMITS if "limits" in case.keys and program == self.ours.qemu_img else []
        return workdir.run(limits + [program] + case.argv, folder, env)

    def _held(self, case, tools, program, folder, env):
        holders = []
        try:
            for words in case.holds:
                holders.append(workdir.Holder(words, folder, tools))
            return self._command(case, program, folder, env)
        finally:
            for holder in holders:
                holder.release()

    def one(self, number, case):
        """Yields a list of differences per TAP line of this case."""
        for version, sandboxes in self.runs(case):
            base = os.path.join(self.top, "case-%d-%s" % (number, version))
            failed_any = False
            for sandbox, found in self._against(case, version, sandboxes, base):
                failed_any = failed_any or bool(found)
                if found and self.keep:
                    found.append("kept in " + base)
                yield "%s %s" % (version, sandbox), found
            if not (failed_any and self.keep):
                judge.removed(base)

    def _against(self, case, version, sandboxes, base):
        """Runs stock of one version once and ours in each kind of cell; returns
        the differences of each."""
        tools = self.oracles[version]
        stock_dir = os.path.join(base, "stock", "dir")
        os.makedirs(os.path.dirname(stock_dir))
        stock = None
        try:
            if "ours" not in case.keys:
                self.inputs.copy(case, stock_dir)
                workdir.Canary(os.path.join(base, "stock", "canary"))
                stock = self._held(case, tools, tools.qemu_img, stock_dir, tools.environment())
        except workdir.SetupFailed as failed:
            return [(sandbox, ["input: %s" % failed]) for sandbox in sandboxes]
        verdicts = judge.Verdicts()
        return [(s, self._ours(case, version, s, tools, base, stock, stock_dir, verdicts)) for s in sandboxes]

    def _settled(self, case, tools, env, base, sandbox):
        """Runs a case again whose runs differ in sizes on disk alone, on copies
        that are on disk: a file's blocks change while it is being written."""
        base = os.path.join(base, sandbox, "again")
        outcomes = []
        for name, program, where in (
            ("stock", tools.qemu_img, tools.environment()),
            ("ours", self.ours.qemu_img, env),
        ):
            folder = os.path.join(base, name, "dir")
            os.makedirs(os.path.dirname(folder))
            self.inputs.copy(case, folder)
            os.sync()
            outcomes += [self._held(case, tools, program, folder, where), folder]
        # Where the file system laid the copies out differently, so be it.
        key = SIZES if workdir.blocks(outcomes[1]) != workdir.blocks(outcomes[3]) else case
        return judge.printed(key, *outcomes)

    def _ours(self, case, version, sandbox, tools, base, stock, stock_dir, verdicts):
        our_dir = os.path.join(base, sandbox, "dir")
        os.makedirs(os.path.dirname(our_dir))
        env = tools.environment(
            {"QEMU_IMG": self.ours.qemu_img, "INSTAR_SANDBOX": sandbox, "INSTAR_QEMU_PROFILE": version}
        )
        env.pop("LD_PRELOAD", None)
        env["PATH"] = self.ours.folder + ":" + env["PATH"]
        if "auto" in case.keys:
            env["INSTAR_SANDBOX"] = "auto"
        if "env" in case.keys:
            name, _, value = case.keys["env"].partition("=")
            env[name] = value
        beside = workdir.Canary(os.path.join(base, sandbox, "canary"))
        try:
            self.inputs.copy(case, our_dir)
            before = judge.files_below(our_dir)
            ours = self._held(case, tools, self.ours.qemu_img, our_dir, env)
        except workdir.SetupFailed as failed:
            return ["input: %s" % failed]
        found = self.canary.harmed() + beside.harmed()
        if b"command is not built yet in instar" in ours.err:
            return found + [NOT_BUILT]
        if "ours" in case.keys:
            return found + refusal(case, ours) + beside.shown(our_dir, ours)
        if stock.code == "timeout" and ours.code != "timeout":
            return found + [STOCK_LATE]
        found += judge.printed(case, stock, stock_dir, ours, our_dir)
        if found and not judge.printed(SIZES, stock, stock_dir, ours, our_dir):
            found = self._settled(case, tools, env, base, sandbox)
        # What a command that fails had begun to write is not compared.
        only = before if stock.code != 0 else None
        return found + judge.left_behind(case, tools, stock_dir, our_dir, verdicts, only)


def refusal(case, ours):
    """Differences from a refusal that is ours alone."""
    text = judge.readable(ours.err)
    found = []
    expected = int(case.keys.get("code", 1))
    if ours.code != expected:
        found.append("exit code: expected %d, ours %s" % (expected, ours.code))
    if not re.search(case.keys["ours"], text):
        found.append("stderr does not match %s: %s" % (case.keys["ours"], text[:500]))
    return found


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("-k", default="")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    if not os.access(ours, os.X_OK):
        print("1..0 # SKIP %s is not built" % ours)
        return 0
    cases = [c for f in options.files for c in casefile.read(f) if re.search(options.k, c.title)]
    known = known_failures()

    sandboxes, missing = usable_sandboxes(os.environ.get("INSTAR_TEST_SANDBOXES", "kvm process").split())
    profiles = os.environ.get("INSTAR_TEST_PROFILES", "7.2 10.0 11.1").split()
    jobs = int(os.environ.get("INSTAR_TEST_JOBS", min(4, os.cpu_count() or 1)))

    # The prefix keeps shared-folder names short: they appear in messages.
    top = tempfile.mkdtemp(prefix="instar-diff.")
    os.chmod(top, 0o755)  # some cases run as another user
    failed = False
    try:
        suite = Suite(workdir.Tools(os.path.join(top, "ours"), {"qemu-img": [ours]}), profiles, sandboxes, top, options.v)
        missing += suite.missing
        if not suite.oracles or not sandboxes:
            print("1..0 # SKIP " + "; ".join(missing))
            return 0
        total = sum(len(kinds) for c in cases for _, kinds in suite.runs(c))
        print("1..%d" % (total + len(missing)))
        number = 0
        for why in missing:
            number += 1
            print("ok %d # SKIP %s" % (number, why))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            work = [pool.submit(lambda n, c: list(suite.one(n, c)), n, c) for n, c in enumerate(cases)]
            for case, job in zip(cases, work):
                for where, found in job.result():
                    number += 1
                    title = "[%s] %s" % (where, case.title)
                    why = open_work(known, case.title, found)
                    todo = " # TODO " + why if why else ""
                    failed = failed or bool(found and not todo)
                    print("%sok %d - %s%s" % ("not " if found else "", number, title, todo))
                    for line in found:
                        print("\n".join("#   " + part for part in line.splitlines()))
                    sys.stdout.flush()
    finally:
        if not (options.v and failed):
            judge.removed(top)
    return 0  # a failure is in the TAP; an exit code would only count it twice


def open_work(known, title, found):
    """Why a failure is open work rather than a defect, or None."""
    if NOT_BUILT in found:
        return "not built yet"
    if found == [STOCK_LATE]:
        return STOCK_LATE
    return "known" if found and known.search(title) else None


def known_failures():
    """The file "known": regular expressions, one per line, for the titles of
    cases that fail because something is open work."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known")
    with open(path, encoding="utf-8") as lines:
        wanted = [line.rstrip("\n") for line in lines if line.strip() and not line.startswith("#")]
    return re.compile("|".join(wanted) or "(?!)")


if __name__ == "__main__":
    sys.exit(main())
