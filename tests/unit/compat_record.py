#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records what the stock qemu-img answers to the command lines of a file.

usage: compat_record.py RECORDED > RECORDED.new

Reads the command lines of a recorded file and records them anew. For each there is

    $ the command line
    ? its exit status, or "open" when stock went as far as opening (or creating) a file
    1|a line of stdout
    2|a line of stderr

Names in it are such that nothing exists: `nosuch`, `no/such`. To add cases, add "$ " lines.
"""
import re
import shlex
import subprocess
import sys
import tempfile

OPENED = re.compile(r"qemu-img: (Could not open '.*|no/such.*: Could not create '.*)\n")


def record(line, folder):
    run = subprocess.run(
        ["qemu-img"] + shlex.split(line), capture_output=True, text=True, stdin=subprocess.DEVNULL,
        cwd=folder, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    opened = OPENED.search(run.stderr)
    status = "open" if opened else str(run.returncode)
    stderr = OPENED.sub("", run.stderr) if opened else run.stderr
    # A progress line is printed while opening; it belongs to the verb.
    stdout = re.sub(r" *\(0\.00/100%\)[\r\n]*", "", run.stdout)
    print(f"$ {line}\n? {status}")
    for number, text in ((1, stdout), (2, stderr)):
        for part in text.splitlines():
            print(f"{number}|{part}")


def main():
    print("# qemu-img 7.2 as recorded by compat_record.py; see there for the form.")
    with open(sys.argv[1], encoding="utf-8") as cases:
        for line in cases:
            if line.startswith("$ "):
                with tempfile.TemporaryDirectory() as folder:
                    record(line[2:].rstrip("\n"), folder)


main()
