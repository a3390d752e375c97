#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/compatibility.md: every option of every subcommand, tried on every format.

usage: compatibility.py > docs/compatibility.md     (from a build folder)

Each cell is a command that was run with stock qemu-img 11.1 and with ours on copies
of the same image. Options come from the program's own help, so that none is forgotten: an option
without a sample below is an error.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "diff"))

import workdir  # noqa: E402

FORMATS = ("raw", "qcow2", "qed", "qcow", "vdi", "vmdk", "vpc", "vhdx", "parallels", "luks")
SECRET = "--object secret,id=s,data=abc"

# What the image needs to be opened by name alone, where -f FMT is not enough.
KEYED = {"luks": SECRET + " --image-opts driver=luks,key-secret=s,file.filename=%s"}

# The arguments of each subcommand: {i} the image, {f} its format, {I} "-f FMT image".
BASE = {
    "amend": "-f {f} -o size=2M {i}",
    "bench": "-c 10 {I}",
    "bitmap": "-f {f} --add {i} bm",
    "check": "{I}",
    "commit": "{I}",
    "compare": "{I} {i}",
    "convert": "-O {f} {I} out",
    "create": "-f {f} new 1M",
    "dd": "-f {f} -O {f} if={i} of=out bs=64k",
    "info": "{I}",
    "map": "{I}",
    "measure": "-O {f} {I}",
    "rebase": "-u -b '' {I}",
    "resize": "-f {f} {i} 2M",
    "snapshot": "-l {i}",
}

# One sample for each option; a string replaces the whole line when it names a placeholder.
SAMPLE = {
    "*": {
        "-f": "=", "-F": "-F {f}", "-O": "=", "-o": "-o ''", "-t": "-t none", "-T": "-T none", "-q": "-q", "-p": "-p",
        "-U": "-U", "--object": SECRET, "--image-opts": "={opts}", "--output": "--output json", "-h": "-h",
        "--force": "--force",
    },
    "amend": {"-o": "="},
    "bench": {
        "-c": "=", "-d": "-d 2", "-i": "-i threads", "-n": "-t none -n", "-o": "-o 64k", "-s": "-s 8k", "-S": "-S 64k",
        "-w": "-w", "--pattern": "-w --pattern 5", "--flush-interval": "-d 1 -w --flush-interval 2",
        "--no-drain": "-d 1 -w --flush-interval 2 --no-drain", "-t": "-t none", "-U": "-U",
    },
    "bitmap": {
        "--add": "=", "--remove": "=-f {f} --add --remove {i} bm", "--clear": "=-f {f} --add --clear {i} bm",
        "--enable": "=-f {f} --add --enable {i} bm", "--disable": "=-f {f} --add --disable {i} bm",
        "--merge": "=-f {f} --add --merge bm {i} bm", "-g": "-g 64k", "--remove-all": "=-f {f} --remove-all {i}", "-b": "=-f {f} --add -b {i} -F {f} --merge x {i} bm",
        "-F": "=-f {f} --add -b {i} -F {f} --merge x {i} bm",
    },
    "check": {"-r": "-r leaks"},
    "commit": {"-b": "-b {i}", "-d": "-d", "-r": "-r 1M"},
    "compare": {"-s": "-s", "--a-format": "=", "-f": "=", "-F": "={I} -F {f} {i}", "-p": "-p"},
    "convert": {
        "-B": "=-O {f} -B base -F raw {I} out", "-b": "=-O {f} -B base -F raw {I} out", "-F": "=-O {f} -B base -F raw {I} out",
        "-c": "-c", "-C": "-C", "-l": "-l snap", "-m": "-m 4", "-n": "-n", "-r": "-r 100M", "-S": "-S 0", "-W": "-W",
        "--salvage": "--salvage", "--target-is-zero": "-n --target-is-zero", "--target-image-opts": "={target}",
        "--bitmaps": "--bitmaps", "--skip-broken-bitmaps": "--bitmaps --skip-broken-bitmaps", "-o": "-o size=1M",
    },
    "create": {"-b": "=-f {f} -b base -F raw new", "-F": "=-f {f} -b base -F raw new", "-B": "=-f {f} -b base -F raw new",
               "-u": "=-f {f} -u -b base -F raw new 1M",
               "-o": "=-f {f} -o size=1M new"},
    "dd": {"bs=": "=", "count=": "count=1", "skip=": "skip=1", "if=": "=", "of=": "="},
    "info": {"-t": "-t none", "--backing-chain": "--backing-chain", "--limits": "--limits"},
    "map": {"-s": "-s 64k", "--start-offset": "-s 64k", "-l": "-l 64k", "--max-length": "-l 64k"},
    "measure": {"-l": "-l snap", "--snapshot": "-l snap", "-s": "=-O {f} --size 1M", "--size": "=-O {f} --size 1M",
                "-o": "-o size=1M"},
    "rebase": {"-b": "=", "-u": "=", "-F": "=-u -b base -F raw {I}", "-B": "=-u -b base -F raw {I}", "-c": "=-c -b '' {I}"},
    "resize": {"--preallocation": "--preallocation off", "--shrink": "=-f {f} --shrink {i} 512k"},
    "snapshot": {"-l": "=", "-c": "=-c s {i}", "-a": "=-a snap {i}", "-d": "=-d snap {i}"},
}

MAKE = """
qemu-img create -q -f raw base 1M
qemu-img create -q -f raw data.raw 1M
printf 'instar' | dd of=data.raw bs=1 seek=4096 conv=notrunc status=none
"""


def sh(line, folder, program, profile=None):
    env = dict(os.environ, LC_ALL="C.UTF-8")
    env.pop("INSTAR_SANDBOX", None)
    if profile:
        env["INSTAR_QEMU_PROFILE"] = profile
    done = subprocess.run(
        ["bash", "-c", "qemu-img() { '%s' \"$@\"; }\n%s" % (program, line)],
        cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL,
    )
    text = done.stderr.decode("utf-8", "replace").replace(folder, "<dir>").strip()
    lines = [line for line in text.split("\n") if line.startswith("qemu-img")] or text.split("\n")
    return done.returncode, lines[0]


def help_options(program, verb):
    """The options that the program's own help lists, shortest spelling first."""
    text = subprocess.run([program, verb, "--help"], capture_output=True, text=True).stdout
    found = []
    for line in text.splitlines():
        match = re.match(r"  (-\w|--[a-z-]+)(?:, (--[a-z-]+))?(?:[ =|,(]|$)", line)
        if match:
            found.append([w for w in match.groups() if w])
    if verb == "dd":
        found += [[w] for w in ("if=", "of=", "bs=", "count=", "skip=")]
    return found


def command(verb, sample, fmt, image):
    base = BASE[verb]
    opts = KEYED.get(fmt, "--image-opts driver=%s,file.filename=%%s" % fmt) % image
    if sample == "=":
        line = base
    elif sample == "={target}":
        line = "-n --target-image-opts {I} driver=%s,file.filename=out" % fmt
        if fmt in KEYED:
            line = "-n --target-image-opts {I} driver=%s,key-secret=s,file.filename=out" % fmt
    elif sample == "={opts}":
        line = base.replace("-f {f} ", "").replace("{I}", opts)
        if "{I}" not in base:
            line = line.replace("{i}", opts, 1) if verb != "dd" else line
    elif sample[0] == "=":
        line = sample[1:]
    else:
        line = sample + " " + base
    if fmt in KEYED and "{I}" in line:
        line = line.replace("{I}", opts)
    made = "new" in line or verb in ("convert", "dd", "measure")
    if fmt == "luks" and made and "-o" not in line:
        line = (SECRET if SECRET not in line else "") + " -o key-secret=s,iter-time=10 " + line
    return "qemu-img %s %s" % (verb, line.replace("{I}", "-f %s %s" % (fmt, image)).format(i=image, f=fmt))


class Table:
    def __init__(self, ours, stock, top):
        self.ours, self.stock, self.top = ours, stock, top
        self.notes = {}
        self.number = 0

    def image_folder(self, fmt):
        folder = os.path.join(self.top, "input-" + fmt)
        os.makedirs(folder)
        options = SECRET + " -o key-secret=s,iter-time=10" if fmt == "luks" else ""
        script = "set -e\n" + MAKE
        script += "for try in 1 2 3 4 5 6 7 8 9 10 11 12; do qemu-img convert -f raw -O %s %s data.raw image && break; done\n" % (fmt, options)
        script += "cp image out\n"
        if fmt == "qcow2":
            script += "qemu-img snapshot -c snap image; cp image out\n"
        code, text = sh(script, folder, self.stock)
        if code:
            sys.exit("%s: %s" % (fmt, text))
        return folder

    def run(self, line, fmt):
        """(stock's code and first line, ours)"""
        told = []
        for program, profile in ((self.stock, None), (self.ours, "11.1")):
            folder = tempfile.mkdtemp(dir=self.top)
            shutil.copytree(os.path.join(self.top, "input-" + fmt), folder, dirs_exist_ok=True)
            if "convert" in line and "-n" not in line.split():
                os.unlink(os.path.join(folder, "out"))
            told.append(sh(line, folder, program, profile))
            shutil.rmtree(folder)
        return told

    def cell(self, line, fmt):
        (stock_code, stock_text), (code, text) = self.run(line, fmt)
        if fmt == "luks" and stock_code and "CPU usage" in stock_text:
            return self.cell(line, fmt)
        if code == 0:
            return "yes" if stock_code == 0 else "yes+"
        if stock_code != 0 and stock_text == text:
            return "no" + self.note(text)
        if stock_code != 0:
            return "no*" + self.note(text)
        return "**missing**" + self.note(text)

    def note(self, text):
        text = text.replace("|", "\\|")
        return " [%d]" % self.notes.setdefault(text, len(self.notes) + 1)


def rows(table, verb):
    for names in help_options(table.ours, verb):
        samples = {**SAMPLE["*"], **SAMPLE.get(verb, {})}
        sample = next((samples[n] for n in names if n in samples), None)
        if sample is None:
            sys.exit("compatibility.py: %s has no sample for %s" % (verb, ", ".join(names)))
        yield ", ".join(names), [command(verb, sample, fmt, "image") for fmt in FORMATS]


def create_rows(table):
    keys = {}
    for fmt in FORMATS:
        text = subprocess.run([table.ours, "create", "-f", fmt, "-o", "help"], capture_output=True, text=True).stdout
        for key in re.findall(r"^  ([\w.-]+)=<", text, re.M):
            keys.setdefault(key, set()).add(fmt)
    values = {
        "size": "1M", "backing_file": "base,backing_fmt=raw", "backing_fmt": "raw,backing_file=base", "cluster_size": "64k",
        "table_size": "4", "data_file": "ext", "data_file_raw": "on,data_file=ext", "compat": "1.1", "compat6": "on",
        "compression_type": "zlib", "extended_l2": "on", "lazy_refcounts": "on", "refcount_bits": "16", "preallocation": "off",
        "static": "on", "subformat": None, "adapter_type": "ide", "hwversion": "6", "toolsversion": "1", "zeroed_grain": "on",
        "block_size": "1M", "block_state_zero": "off", "log_size": "1M", "force_size": "on", "encryption": "off",
        "encrypt.format": "luks,encrypt.key-secret=s,encrypt.iter-time=10", "encrypt.key-secret": "s,encrypt.format=luks,encrypt.iter-time=10",
        "key-secret": "s", "cipher-alg": "aes-256", "cipher-mode": "xts", "ivgen-alg": "plain64", "ivgen-hash-alg": "sha256",
        "hash-alg": "sha256", "iter-time": "10", "detached-header": None, "keep_data_file": None, "extent_size_hint": "1M", "nocow": "off",
    }
    subformat = {"vmdk": "streamOptimized", "vpc": "fixed", "vhdx": "fixed"}
    for key in sorted(keys):
        lines = []
        for fmt in FORMATS:
            value = subformat.get(fmt) if key == "subformat" else values.get(key, "?")
            if value == "?":
                if not key.startswith("encrypt."):
                    sys.exit("compatibility.py: no value for creation option " + key)
                value = values[key[8:]] + ",encrypt.format=luks,encrypt.key-secret=s"
            if fmt not in keys[key] or value is None:
                lines.append(None)
                continue
            extra = SECRET if fmt == "luks" or key.startswith("encrypt.") else ""
            if fmt == "luks" and key != "key-secret":
                value += ",key-secret=s"
            if fmt == "luks" and key != "iter-time":
                value += ",iter-time=10"
            if fmt == "qcow" and key.startswith("encrypt."):
                value = value.replace("luks", "aes").replace(",encrypt.iter-time=10", "")
            lines.append("qemu-img create -q -f %s %s -o %s=%s new 1M" % (fmt, extra, key, value) if key != "size"
                         else "qemu-img create -q -f %s %s -o %s=%s new" % (fmt, extra, key, value))
        yield key, lines


def print_table(table, title, entries):
    print("\n### %s\n" % title)
    print("| | " + " | ".join(FORMATS) + " |")
    print("| --- |" + " --- |" * len(FORMATS))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, lines in entries:
            cells = pool.map(lambda pair: table.cell(*pair) if pair[0] else "", zip(lines, FORMATS))
            print("| `%s` | %s |" % (name, " | ".join(cells)), flush=True)


def main():
    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    top = tempfile.mkdtemp(prefix="instar-compat.")
    tools = workdir.oracle("11.1", os.path.join(top, "stock"))
    if tools is None:
        sys.exit("compatibility.py: stock qemu-img 11.1 is not on this machine (tests/lib/fetch-oracles)")
    stock = tools.qemu_img
    table = Table(ours, stock, top)
    for fmt in FORMATS:
        table.image_folder(fmt)
    print("""# Compatibility

Generated by `tests/lib/compatibility.py`; do not edit. Every cell is a command that was run with stock
qemu-img 11.1 and with instar on the same image.

| | |
| --- | --- |
| yes | works in both |
| yes+ | works here, stock refuses |
| no [n] | refused by both, with the same words (notes at the end) |
| no* [n] | refused by both, the words here differ |
| **missing** [n] | stock works, instar refuses |

## Options by subcommand and format""")
    for verb in sorted(BASE):
        print_table(table, verb, rows(table, verb))
    print("\n## Creation options")
    print_table(table, "create -o", create_rows(table))
    print("\n## Notes\n")
    for text, number in table.notes.items():
        print("%d. `%s`" % (number, text))
    shutil.rmtree(top)


if __name__ == "__main__":
    main()
