# SPDX-License-Identifier: Apache-2.0
"""Transcripts: command lines with what stock qemu-img of each version said.

    input $ words        arguments of a qemu-img that makes part of the input
    input $! script      a shell script that does (see tests/lib/inputs.sh)
    run > words          the command: arguments of the qemu-img under test
    run >! script        or a shell script around it
    [7.2 10.0] exit N    what these versions gave; the lines below are their output
    out TEXT             a line of standard output
    err TEXT             a line of standard error
    out. TEXT, err. TEXT the last line, without a line end
    err?                 standard error is not compared

A case ends where the next begins. TEXT is printable ASCII and UTF-8; a backslash starts an escape as
in Python. What differs from run to run is replaced: <dir>, <size>, <time>, <date>, <random>.
"""

import dataclasses
import os
import re
import shlex
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "diff"))

import casefile  # noqa: E402
import judge  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Said:
    code: str
    out: str
    err: str  # None: not compared


# Sizes on disk, times and identifiers are the machine's or chance.
VARYING = (
    (r"(disk size|file length): .*", r"\1: <size>"),
    (r'"(actual-size|date-sec|date-nsec)": \d+', r'"\1": <size>'),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<date>"),
    (r"\d+\.\d{3} seconds", "<time> seconds"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<random>"),
    (r"((parent )?cid): \d+", r"\1: <random>"),
    (r'"((parent-)?cid)": \d+', r'"\1": <random>'),
    (r", \d+\.\d+ [kMGT]iB/sec|\(\d+\.\d+ \w+/sec.*\)", "<time>"),
)


def settled(data, folder):
    text = judge.without_steps(judge.readable(data).replace(folder, "<dir>"))
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return text


def said(outcome, folder, loose):
    err = None if loose else settled(outcome.err, folder)
    return Said(str(outcome.code), settled(outcome.out, folder), err)


def _lines(name, text):
    pieces = text.split("\n")
    for piece in pieces[:-1]:
        yield "%s %s" % (name, _escaped(piece)) if piece else name
    if pieces[-1]:
        yield "%s. %s" % (name, _escaped(pieces[-1]))


def _escaped(text):
    shown = "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text)
    return shown[:-1] + "\\x20" if shown.endswith(" ") else shown


def _plain(text):
    return re.sub(
        r"\\(x..|u....|U........|.)",
        lambda m: m.group().encode("ascii").decode("unicode_escape"),
        text,
    )


def write(path, entries):
    """entries: (Case, {version: Said}) in order."""
    with open(path, "w", encoding="utf-8") as out:
        out.write("# SPDX-License-Identifier: Apache-2.0\n")
        out.write("# Recorded from stock qemu-img by record.py; see transcript.py.\n")
        for case, answers in entries:
            out.write("\n")
            for kind, what in case.setup:
                out.write("input $! %s\n" % what if kind == "shell" else "input $ %s\n" % shlex.join(what))
            out.write("run >! %s\n" % case.script if case.script else "run > %s\n" % shlex.join(case.argv))
            for answer in dict.fromkeys(answers.values()):
                versions = [v for v, a in answers.items() if a == answer]
                out.write("[%s] exit %s\n" % (" ".join(versions), answer.code))
                for line in _lines("out", answer.out):
                    out.write(line + "\n")
                for line in ["err?"] if answer.err is None else _lines("err", answer.err):
                    out.write(line + "\n")


def read(path):
    """Returns [(Case, {version: Said})]."""
    entries, setup, answer = [], [], None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith("input $! "):
                setup.append(("shell", line[9:]))
            elif line.startswith("input $ "):
                setup.append(("words", shlex.split(line[8:])))
            elif line.startswith("run >"):
                script = line[7:] if line.startswith("run >! ") else None
                argv = None if script else shlex.split(line[6:])
                title = "%s  <- %s" % (line[4:], "; ".join(str(s[1]) for s in setup)) if setup else line[4:]
                case = casefile.Case(" ".join(title.split())[:230].replace("#", "\\#"), setup, [], argv, script, {})
                entries.append((case, {}))
                setup = []
            elif line.startswith("["):
                versions, _, code = line[1:].partition("] exit ")
                answer = {"code": code, "out": "", "err": ""}
                for version in versions.split():
                    entries[-1][1][version] = answer
            elif line == "err?":
                answer["err"] = None
            elif line[:4] in ("out ", "err ", "out", "err"):
                answer[line[:3]] += _plain(line[4:]) + "\n"
            elif line[:5] in ("out. ", "err. "):
                answer[line[:3]] += _plain(line[5:])
            elif line and not line.startswith("#"):
                raise ValueError("%s: '%s' is not a line" % (path, line))
    for _, answers in entries:
        for answer in answers.values():
            answer["out"] = judge.without_steps(answer["out"])
    return [(case, {v: Said(**a) for v, a in answers.items()}) for case, answers in entries]
