# SPDX-License-Identifier: Apache-2.0
"""Reads case files: which command lines are compared, and on which inputs.

A case file is read line by line; the first word of a line says what it is.

    # text              a comment
    always KEY[=VALUE]  from here on every case has these keys
    given NAME          starts a named input
    with NAME...        starts a group of cases on the named inputs (or none)
    each VAR: A B C     repeats the input or group, {VAR} replaced by each word
    $ words             an input line: arguments of the oldest stock qemu-img
    $! script           an input line: a shell script (poke, cut_to and what
                        else tests/lib/inputs.sh has; qemu-img is the stock one)
    hold FILE [WORD..]  while the case runs, a stock qemu-io has FILE open
                        for writing
    @ KEY[=VALUE]...    holds for the next case only
    > words             a case: arguments of the qemu-img under test
    >! script           a case: a shell script around the qemu-img under test
                        ($QEMU_IMG; $STOCK is the stock one)

Keys of "@":
    agree           the stock versions behave alike: the case is compared with
                    the first that it is for, not with each
    from=V until=V  only for stock versions V or newer, V or older
    turns           the case is compared with one stock version, in one kind of
                    cell, in turn with its neighbours (for long files;
                    INSTAR_TEST_ALL=1 compares with all)
    fresh           the input is made twice instead of copied (preallocated and
                    unwritten extents do not survive a copy)
    sizes           sizes on disk are not compared in what the case prints,
                    because the images it prints about were written by itself
    map             the allocation of the written images is compared as well
    polled          one value of progress may be told once or often
    loose           of standard error only the exit code counts; say why in a
                    comment beside it
    auto            ours chooses its kind of cell (the case is run by a user who
                    may not open /dev/kvm)
    env=K=V         ours runs with this in its environment
    limits          ours runs with 1 GiB of address space and 5 s of processor
    ours=REGEX      stock's answer is not ours by decision: ours must fail and
                    its standard error must match; stock is not run
    code=N          with ours: the exit code, if it is not 1

In every case a canary, a file outside the folder that hostile images name, must
be left as it is; with "ours" none of its content may appear anywhere.
"""

import dataclasses
import itertools
import shlex


@dataclasses.dataclass
class Case:
    title: str  # what TAP shows
    setup: list  # of ("words", [..]) or ("shell", text)
    holds: list  # of [file, qemu-io words...]
    argv: list  # words, or None
    script: str  # or shell text
    keys: dict
    turn: int = 0  # its place in the file

    def setup_id(self):
        return repr(self.setup)

    def wanted_for(self, version):
        number = float(version)
        if number < float(self.keys.get("from", 0)):
            return False
        return number <= float(self.keys.get("until", 99))


class CaseFileError(Exception):
    pass


class _Block:
    def __init__(self, lines=(), each=(), holds=()):
        self.lines = list(lines)  # (kind, text)
        self.each = list(each)  # (variable, [word, ...])
        self.holds = list(holds)

    def add(self, other):
        self.lines += other.lines
        self.each += other.each
        self.holds += other.holds


def _keys(text):
    """KEY[=VALUE]... as a dictionary."""
    pairs = (item.partition("=") for item in shlex.split(text))
    return {key: value for key, _, value in pairs}


def _setup_line(kind, text):
    return ("shell", text) if kind == "$!" else ("words", shlex.split(text))


def _expand(block, kind, text, keys):
    """Yields one Case per combination of the block's variables."""
    names = [name for name, _ in block.each]
    for values in itertools.product(*[words for _, words in block.each]):
        pairs = list(zip(names, values))

        def fill(string):
            for name, value in pairs:
                string = string.replace("{%s}" % name, value)
            return string

        body = fill(text)
        made = "; ".join(fill(t) for k, t in block.lines)
        title = body if not made else "%s  <- %s" % (body, made)
        yield Case(
            title=" ".join(title.split())[:230].replace("#", "\\#"),
            setup=[_setup_line(k, fill(t)) for k, t in block.lines],
            holds=[shlex.split(fill(h)) for h in block.holds],
            argv=None if kind == ">!" else shlex.split(body),
            script=body if kind == ">!" else None,
            keys=keys,
        )


def read(path):
    """Returns the cases of one file, in order."""
    cases, givens = [], {}
    block, keys, always = _Block(), {}, {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            kind, _, text = line.rstrip("\n").strip().partition(" ")
            text = text.strip()
            if not kind or kind.startswith("#"):
                continue
            if kind == "given":
                block = givens[text] = _Block()
            elif kind == "with":
                block = _Block()
                for name in text.split():
                    if name not in givens:
                        raise CaseFileError("%s:%d: no given '%s'" % (path, number, name))
                    block.add(givens[name])
            elif kind == "always":
                always.update(_keys(text))
            elif kind == "each":
                name, _, words = text.partition(":")
                block.each.append((name.strip(), shlex.split(words)))
            elif kind == "include":
                block.add(givens[text])
            elif kind == "hold":
                block.holds.append(text)
            elif kind in ("$", "$!"):
                block.lines.append((kind, text))
            elif kind == "@":
                keys.update(_keys(text))
            elif kind in (">", ">!"):
                cases.extend(_expand(block, kind, text, {**always, **keys}))
                keys = {}
            else:
                raise CaseFileError("%s:%d: '%s' is not a line" % (path, number, kind))
    for turn, case in enumerate(cases):
        case.turn = turn
    return cases
