# SPDX-License-Identifier: Apache-2.0
"""Inputs, copies of inputs, and running one command in such a copy."""

import dataclasses
import os
import shutil
import stat
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(os.path.dirname(HERE), "lib")
TIMEOUT_SECONDS = 60
QUICK_CPU = os.path.abspath("tests/lib/quick_cpu.so")  # see quick_cpu.c


class SetupFailed(Exception):
    pass


@dataclasses.dataclass
class Outcome:
    code: object  # the exit code, "signal N", or "timeout"
    out: bytes
    err: bytes


class Tools:
    """A folder with a qemu-img, a qemu-io and a qemu-nbd, to be first in PATH."""

    def __init__(self, folder, programs, preload=None):
        os.makedirs(folder)
        self.folder = folder
        self.preload = preload and shutil.copy(preload, folder)
        for name, words in programs.items():
            path = os.path.join(folder, name)
            if len(words) == 1:
                os.symlink(words[0], path)
            else:
                quoted = " ".join("'%s'" % w for w in words)
                with open(path, "w", encoding="utf-8") as script:
                    script.write('#!/bin/sh\nexec %s "$@"\n' % quoted)
                os.chmod(path, 0o755)
        self.qemu_img = os.path.join(folder, "qemu-img")
        self.qemu_io = os.path.join(folder, "qemu-io")

    def environment(self, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("INSTAR_")}
        env.update(LC_ALL="C.UTF-8", TZ="UTC", PATH=self.folder + ":" + env["PATH"])
        env.update(QEMU_IMG=self.qemu_img, STOCK=self.qemu_img)
        if self.preload:
            env["LD_PRELOAD"] = self.preload
        env.update(extra or {})
        return env


def oracle(version, folder):
    """The stock tools of that version, or None where this machine has none."""
    programs = {}
    for tool in ("qemu-img", "qemu-io", "qemu-nbd"):
        found = subprocess.run(
            [os.path.join(LIB, "oracle"), version, tool], capture_output=True, text=True
        )
        if found.returncode != 0:
            return None
        programs[tool] = found.stdout.splitlines()
    return Tools(folder, programs, QUICK_CPU if os.path.exists(QUICK_CPU) else None)


def run(argv, folder, env, timeout=TIMEOUT_SECONDS):
    """Runs a command there, with nothing on its standard input."""
    try:
        done = subprocess.run(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as late:
        return Outcome("timeout", late.stdout or b"", late.stderr or b"")
    code = done.returncode
    return Outcome(code if code >= 0 else "signal %d" % -code, done.stdout, done.stderr)


def run_script(script, folder, env, timeout=TIMEOUT_SECONDS):
    preamble = "test_lib='%s'\n. '%s/inputs.sh'\n" % (LIB, LIB)
    return run(["bash", "-c", preamble + script], folder, env, timeout)


class Canary:
    """A file that hostile images name and no command may touch or show."""

    MARK = b"the canary sings\n"

    def __init__(self, path):
        self.path = path
        self.set_up()

    def set_up(self):
        with open(self.path, "wb") as out:
            out.write(self.MARK * 16384)
        os.utime(self.path, (10**9, 10**9))

    def harmed(self):
        """Says what was done to it, and sets it up again."""
        with open(self.path, "rb") as now:
            unchanged = now.read() == self.MARK * 16384
        if unchanged and os.stat(self.path).st_mtime == 10**9:
            return []
        self.set_up()
        return ["the canary %s was written to" % self.path]

    def shown(self, folder, outcome):
        """Whether its content got into what was printed or written."""
        if self.MARK in outcome.out + outcome.err:
            return ["the canary was printed"]
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                found = subprocess.run(["grep", "-qF", self.MARK.decode().strip(), path])
                if found.returncode == 0:
                    return ["the canary was copied to " + name]
        return []


class Inputs:
    """Makes each different input once, and copies it for whoever runs on it."""

    def __init__(self, folder, tools, canary):
        self.folder = folder
        self.tools = tools
        self.canary = canary
        self.made = {}
        self.lock = threading.Lock()

    def make(self, case, folder):
        os.makedirs(folder)
        env = self.tools.environment({"CANARY": self.canary.path})
        for kind, what in case.setup:
            if kind == "shell":
                done = run_script("set -e\n" + what, folder, env)
            else:
                done = run([self.tools.qemu_img] + what, folder, env)
            if done.code != 0:
                raise SetupFailed("%s: %s %s" % (what, done.code, done.err.decode(errors="replace")))
        return folder

    def _original(self, case):
        key = case.setup_id()
        with self.lock:
            number, guard = self.made.setdefault(key, (len(self.made), threading.Lock()))
        folder = os.path.join(self.folder, "input-%d" % number)
        with guard:
            if not os.path.isdir(folder):
                building = folder + ".part"
                shutil.rmtree(building, ignore_errors=True)
                self.make(case, building)
                os.rename(building, folder)
        return folder

    def copy(self, case, target):
        """Fills the folder target, which does not exist yet."""
        if "fresh" in case.keys:
            self.make(case, target)
            return
        original = self._original(case)
        if not copied(original, target):
            subprocess.run(["cp", "-a", "--sparse=auto", original, target], check=True)


BLOCK = 4096
ZEROS = bytes(BLOCK)


def _copy_data(here, there, at, stop):
    """[at, stop) of a file, without its blocks of zeros."""
    while at < stop:
        data = os.pread(here, min(stop - at, 256 * BLOCK), at)
        if not data:
            return
        runs = [(k, data[k : k + BLOCK]) for k in range(0, len(data), BLOCK)]
        runs = [k for k, block in runs if block != ZEROS]
        while runs:
            first = runs.pop(0)
            end = first + BLOCK
            while runs and runs[0] == end:
                end = runs.pop(0) + BLOCK
            os.pwrite(there, data[first:end], at + first)
        at += len(data)


def _copy_file(source, target, facts):
    """One file as "cp --sparse=auto" does it: where there are holes, blocks of
    zeros become holes as well."""
    with open(source, "rb") as here, open(target, "xb") as there:
        one, other, end, at = here.fileno(), there.fileno(), facts.st_size, 0
        if facts.st_blocks * 512 >= end:
            while at < end:
                at += os.copy_file_range(one, other, end - at, at, at)
        while at < end:
            try:
                at = os.lseek(one, at, os.SEEK_DATA)
            except OSError:
                break
            stop = os.lseek(one, at, os.SEEK_HOLE)
            _copy_data(one, other, at, stop)
            at = stop
        os.truncate(other, end)
        os.fchmod(other, stat.S_IMODE(facts.st_mode))
        os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))


COPY_ENTRIES = 16
COPY_BYTES = 2 << 20


def copied(original, target):
    """Copies a folder of a few small files here, which is cheaper than a cp for
    each run; False, and nothing done, where there is anything else in it."""
    entries = [(e, e.stat(follow_symlinks=False)) for e in os.scandir(original)]
    for _, facts in entries:
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_uid != os.geteuid():
            return False
    if len(entries) > COPY_ENTRIES or sum(f.st_blocks * 512 for _, f in entries) > COPY_BYTES:
        return False
    os.mkdir(target)
    for entry, facts in entries:
        _copy_file(entry.path, os.path.join(target, entry.name), facts)
    shutil.copystat(original, target)
    return True


def blocks(folder):
    """What each file of a folder takes on disk."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            found[os.path.relpath(path, folder)] = os.lstat(path).st_blocks
    return found


class Holder:
    """A stock qemu-io that has a file open for writing until released."""

    def __init__(self, words, folder, tools):
        self.child = subprocess.Popen(
            [tools.qemu_io] + words[1:] + [words[0]],
            cwd=folder,
            env=tools.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.child.stdin.write(b"length\n")
        self.child.stdin.flush()
        answer = b""
        while b"iB" not in answer and b"bytes" not in answer:
            got = self.child.stdout.read1(4096)
            if not got:
                raise SetupFailed("hold %s: %s" % (words, answer.decode(errors="replace")))
            answer += got

    def release(self):
        self.child.stdin.close()
        self.child.stdout.read()
        self.child.wait()
