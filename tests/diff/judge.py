# SPDX-License-Identifier: Apache-2.0
"""Says how two runs of the same command line differ: what they printed and
returned, and what they left in their folders."""

import difflib
import json
import os
import re
import shutil

import bitmaps
from workdir import run

# An image of ours may be this much longer than stock's: compressors differ, and stock does not
# fill the last cluster.
SLACK_BYTES = 64 << 10
SLACK_RATIO = 1.02
# One that was changed in place, or got bitmaps, also by what is written anew beside the old, so
# that a crash finds either.
BESIDE_BYTES = 512 << 10
BESIDE_CLUSTERS = 8


def readable(data):
    return data.decode("utf-8", "backslashreplace")


STEP = r"    \((\d+\.\d\d)/100%\)\r"


def without_steps(text, polled=False):
    """Progress without the values between the first and the last, if they only
    grow: which values are seen depends on the sizes and order of the copies.
    Where stock polls, how often it tells one depends on time."""

    def shortened(found):
        values = re.findall(STEP, found.group())
        if [float(v) for v in values] != sorted(float(v) for v in values):
            return found.group()
        kept = dict.fromkeys((values[0], values[-1]))
        if polled:
            kept = sorted(set(kept), key=float)
        return "".join("    (%s/100%%)\r" % v for v in kept)

    return re.sub("(?:%s)+" % STEP.replace("(\\d", "(?:\\d"), shortened, text)


def normalised(text, folder, case):
    text = without_steps(readable(text).replace(folder, "<dir>"), "polled" in case.keys)
    text = re.sub(r"#block\d+", "#block<n>", text)
    text = re.sub(r"(Run completed in) \d+\.\d{3} seconds", r"\1 <time> seconds", text)
    if "sizes" in case.keys:
        text = re.sub(r"(disk size|file length): .*", r"\1: <size>", text)
        text = re.sub(r'"actual-size": \d+', '"actual-size": <size>', text)
    return text


def difference(name, stock, ours):
    if stock == ours:
        return []
    lines = difflib.unified_diff(
        stock.replace("\r", "\\r").splitlines(),
        ours.replace("\r", "\\r").splitlines(),
        "stock " + name,
        "our " + name,
        lineterm="",
    )
    return list(lines)[:60] or ["%s: only line ends differ" % name]


def printed(case, stock, stock_dir, ours, our_dir):
    """Differences in exit code, standard output and standard error."""
    found = []
    if stock.code != ours.code:
        found.append("exit code: stock %s, ours %s" % (stock.code, ours.code))
    found += difference("stdout", normalised(stock.out, stock_dir, case), normalised(ours.out, our_dir, case))
    if "loose" not in case.keys:
        found += difference("stderr", normalised(stock.err, stock_dir, case), normalised(ours.err, our_dir, case))
    elif found and ours.err:
        found.append("our stderr: " + readable(ours.err))
    return found


def files_below(folder):
    found = set()
    for root, _, names in os.walk(folder):
        for name in names:
            found.add(os.path.relpath(os.path.join(root, name), folder))
    return found


def _facts(tools, folder, name, env):
    """What stock says about an image, but for its size on disk."""
    told = run([tools.qemu_img, "info", "--output=json", name], folder, env)
    if told.code != 0:
        return {"error": readable(told.err)}, ""
    facts = json.loads(told.out.replace(folder.encode(), b"<dir>"))
    for key in ("actual-size", "children"):
        facts.pop(key, None)
    if facts.get("format") == "vmdk":
        facts["format-specific"]["data"].pop("cid")  # random
    for bitmap in facts.get("snapshots", []):
        for key in ("date-sec", "date-nsec"):
            bitmap.pop(key)
    return facts, facts.get("format")


def _map(tools, folder, name, env):
    told = run([tools.qemu_img, "map", "--output=json", name], folder, env)
    if told.code != 0:
        return readable(told.err)
    merged = []
    for part in json.loads(told.out):
        part.pop("offset", None)
        kind = {k: v for k, v in part.items() if k not in ("start", "length")}
        if merged and merged[-1][2] == kind:
            merged[-1][1] += part["length"]
        else:
            merged.append([part["start"], part["length"], kind])
    return "\n".join(str(m) for m in merged)


class Verdicts:
    """What was found about the files that one stock run left, and about those
    that ours left in one kind of cell: in the next kind they are the same
    mostly, and then nothing is looked at twice."""

    def __init__(self):
        self.answers = {}  # (question, name) -> what a stock tool said of stock's file
        self.files = {}  # name -> [(path of ours, differences)]

    def of_stock(self, question, name, ask):
        key = (question, name)
        if key not in self.answers:
            self.answers[key] = ask()
        return self.answers[key]

    def of_ours(self, name, path, judge):
        known = self.files.setdefault(name, [])
        for other, found in known:
            if same_bytes(other, path):
                return found
        known.append((path, judge()))
        return known[-1][1]


def written_image(case, tools, name, stock_dir, our_dir, verdicts):
    """Compares one image that the command wrote or changed, with stock tools."""
    env = tools.environment()
    facts, kind = verdicts.of_stock("info", name, lambda: _facts(tools, stock_dir, name, env))
    our_facts, _ = _facts(tools, our_dir, name, env)
    found = difference(
        "info " + name, json.dumps(facts, indent=1, sort_keys=True), json.dumps(our_facts, indent=1, sort_keys=True)
    )
    if found:
        return found

    paths = [os.path.join(folder, name) for folder in (stock_dir, our_dir)]
    if kind == "raw":
        return ["content of %s differs" % name]
    if not kind:
        return []  # neither opens; what each printed has been compared
    both = run([tools.qemu_img, "compare", "-U", "-f", kind, "-F", kind] + paths, stock_dir, env)
    if both.code != 0:
        found.append("stock compare of %s: %s%s" % (name, readable(both.out), readable(both.err)))
    for snapshot in facts.get("snapshots", []):
        found += _snapshot(tools, name, snapshot["name"], kind, stock_dir, our_dir, env)
    if kind == "qcow2":
        found += _bitmaps(name, facts, *paths)
        checked = run([tools.qemu_img, "check", "-U", paths[1]], stock_dir, env)
        if checked.code != 0 and run([tools.qemu_img, "check", "-U", paths[0]], stock_dir, env).code != checked.code:
            found.append("stock check of our %s: %s%s" % (name, readable(checked.out), readable(checked.err)))
        lengths = [os.path.getsize(p) for p in paths]
        slack = max(facts["cluster-size"], SLACK_BYTES)
        if not case.argv or case.argv[0] not in ("convert", "create") or "--bitmaps" in case.argv:
            slack += BESIDE_BYTES + BESIDE_CLUSTERS * facts["cluster-size"]
        if lengths[1] > lengths[0] * SLACK_RATIO + slack:
            found.append("our %s has %d bytes, stock's %d" % (name, lengths[1], lengths[0]))
    if "map" in case.keys:
        of_stock = verdicts.of_stock("map", name, lambda: _map(tools, stock_dir, name, env))
        found += difference("map " + name, of_stock, _map(tools, our_dir, name, env))
    return found


def _bitmaps(name, facts, stock_path, our_path):
    """Compares the bits of all bitmaps."""
    if "bitmaps" not in facts.get("format-specific", {}).get("data", {}):
        return []
    stock, ours = bitmaps.read(stock_path), bitmaps.read(our_path)
    found = []
    for one, two in zip(stock, ours):
        if one != two:
            found.append("bitmap %r of %s: stock %r, ours %r" % (one[0], name, one[1:], two[1:]))
    return found if len(stock) == len(ours) else ["number of bitmaps of %s" % name]


def _snapshot(tools, name, snapshot, kind, stock_dir, our_dir, env):
    """Compares the content of one internal snapshot, by way of raw files."""
    raws = []
    for folder in (stock_dir, our_dir):
        raws.append(folder + ".snapshot")
        run([tools.qemu_img, "convert", "-U", "-f", kind, "-l", snapshot, "-O", "raw", name, raws[-1]], folder, env)
    same = same_bytes(*raws)
    for raw in raws:
        os.unlink(raw)
    return [] if same else ["snapshot %s of %s differs" % (snapshot, name)]


def _data_ranges(fd, size):
    """Yields (start, end) of what is not a hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, at


def same_bytes(one, two):
    """Whether two files hold the same bytes; holes are not read."""
    with open(one, "rb") as a, open(two, "rb") as b:
        size = os.fstat(a.fileno()).st_size
        if size != os.fstat(b.fileno()).st_size:
            return False
        for fd in (a.fileno(), b.fileno()):
            for start, end in _data_ranges(fd, size):
                for at in range(start, end, 1 << 20):
                    length = min(end - at, 1 << 20)
                    if os.pread(a.fileno(), length, at) != os.pread(b.fileno(), length, at):
                        return False
    return True


def left_behind(case, tools, stock_dir, our_dir, verdicts, only=None):
    """Differences between the folders after the two runs; of the files named
    in only, if that is given, and files that ours has too many."""

    def judged(name, path):
        return verdicts.of_ours(
            name, path, lambda: written_image(case, tools, name, stock_dir, our_dir, verdicts)
        )

    found = []
    stock_files, our_files = files_below(stock_dir), files_below(our_dir)
    for name in sorted(stock_files - our_files):
        if only is None or name in only:
            found.append("stock leaves a file %s, ours does not" % name)
    for name in sorted(our_files - stock_files):
        found.append("ours leaves a file %s, stock does not" % name)
    for name in sorted(stock_files & our_files):
        one, two = os.path.join(stock_dir, name), os.path.join(our_dir, name)
        if only is not None and name not in only:
            continue
        if not (os.path.isfile(one) and os.path.isfile(two)):
            continue
        if not same_bytes(one, two):
            found += judged(name, two)
    return found


def removed(*folders):
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
