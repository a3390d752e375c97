# SPDX-License-Identifier: Apache-2.0
"""Random command lines: each subcommand's options with values that fit, values
that do not, options left out, given twice, glued, abbreviated or unknown.

compose(seed, number, version) gives the same words for the same arguments.
"""

import random

import argv_names
from argv_names import FORMATS, IMAGES, chance, pick

# Per subcommand: kind of value (flag: none), then spellings; @10 and @11 name
# the first version that has one.
COMMON = "object --object"
FORMAT = ("fmt -f --format@10", "flag --image-opts")
SHARE = "flag -U --force-share"
OUTPUT = "output --output"
QUIET = "flag -q --quiet@10"
PROGRESS = "flag -p --progress@11"
OPTIONS = {
    "amend": FORMAT + ("keys -o --options@10", "cache -t --cache@10", "flag --force", PROGRESS, QUIET),
    "bench": FORMAT
    + ("cache -t --cache@10", "depth -d --depth@10", "size -o --offset@10", "piece -s --buffer-size@10")
    + ("piece -S --step-size@10", "flag -w --write@10", "number --pattern", "number --flush-interval")
    + ("flag --no-drain", "aio -i --aio@10", "flag -n --native@10", SHARE, "flag -q"),
    "bitmap": ("fmt -f --format@11", "flag --image-opts", "flag --add", "flag --remove", "flag --clear")
    + ("flag --enable", "flag --disable", "bitmap --merge", "size -g --granularity", "name -b --source-file")
    + ("fmt -F --source-format", "flag --remove-all@11"),
    "check": ("fmt -f --format", "flag --image-opts", "cache -T --cache@10", "repair -r --repair", SHARE, OUTPUT, QUIET),
    "commit": FORMAT + ("cache -t --cache@10", "name -b --base@10", "flag -d --drop@10", "size -r --rate-limit@11")
    + (PROGRESS, QUIET),
    "compare": ("fmt -f --a-format@10", "fmt -F --b-format@10", "flag --image-opts", "flag -s --strict@10")
    + ("cache -T --cache@10", SHARE, PROGRESS, QUIET),
    "convert": ("fmt -f --source-format@10", "flag --image-opts", "cache -T --source-cache@10", "snap -l --snapshot@10")
    + ("flag --bitmaps", "flag --skip-broken-bitmaps", "flag --salvage", "out -O --target-format@11")
    + ("flag --target-image-opts", "keys -o --target-format-options@11", "cache -t --target-cache@11")
    + ("name -B --backing@10", "fmt -F --backing-format@10", "piece -S --sparse-size@10", "flag -n --no-create@11")
    + ("flag --target-is-zero", "flag -c", SHARE, "size -r --rate-limit@11", "number -m --parallel@10")
    + ("flag -W --oob-writes@10", "flag -C --copy-range-offloading@10", PROGRESS, QUIET),
    "create": ("out -f --format@10", "keys -o --options@10", "name -b --backing@10", "fmt -F", "flag -u --backing-unsafe@10")
    + (QUIET, "fmt -B@11 --backing-format@11"),
    "dd": FORMAT + ("out -O --output-format@10", SHARE),
    "info": ("fmt -f --format", "flag --image-opts", "flag --backing-chain", SHARE, OUTPUT, "cache -t@11 --cache@11"),
    "map": ("fmt -f --format", "flag --image-opts", "size -s --start-offset", "size -l --max-length", SHARE, OUTPUT),
    "measure": ("fmt -f --format@10", "flag --image-opts", "snap -l --snapshot@10", "out -O --target-format@10")
    + ("keys -o --options@10", SHARE, OUTPUT, "size --size -s@11"),
    "rebase": FORMAT + ("cache -t --cache@10", "name -b --backing@10", "fmt -F", "fmt -B@11 --backing-format@10")
    + ("cache -T --backing-cache@10", "flag -u --backing-unsafe@10", "flag -c@10 --compress@10", SHARE, PROGRESS, QUIET),
    "resize": FORMAT + ("prealloc --preallocation", "flag --shrink", QUIET),
    "snapshot": ("flag --image-opts", "fmt -f@10 --format@10", "flag -l --list@10", "newsnap -c --create@11")
    + ("snap -a --apply@11", "snap -d --delete@11", SHARE, QUIET),
}
AGE = {"7.2": 7, "10.0": 10, "11.1": 11}

SIZES = ("1M", "64k", "1048576", "0", "512", "3M", "2097152", "65536", "4k", "100k")
ODD_SIZES = ("513", "1.5M", ".5M", "1.5", "0x100000", "0x10k", "-1", "+1M", "8E", "16E", "9223372036854775807")
ODD_SIZES += ("1KB", "abc", "", " 1M", "1M ", "1e3", "1T", "99999999999999999999", "7.9E", "1b", "010", "1.M", "0x", "++1M")
ODD_SIZES += ("9223372036854775808", "18446744073709551615", "-1M", "nan", "1,5G", "1m", "1P", "512b", "1.00001k")
PIECES = ("4k", "512", "64k", "1M", "0", "1000", "-5", "3G", "x", "513", "16M", "17M", "4096")
NUMBERS = ("1", "2", "8", "16", "17", "0", "-1", "255", "256", "0x10", "010", "4k", "", "x", "2147483648", "1 ", "+3")
CACHES = ("none", "off", "writeback", "unsafe", "writethrough", "directsync", "NONE", "", "default")
SNAPSHOTS = ("s1", "s2", "1", "2", "nosuch", "", "snapshot.name=s1", "snapshot.id=1", "snapshot.id=1,snapshot.name=s1")
SNAPSHOTS += ("snapshot.x=1", "snapshot.name", "snapshot.id=9", "snapshot.name=s1,snapshot.id=2")
OBJECTS = ("secret,id=sec,data=abc", "secret,id=sec,data=abc,format=raw", "secret,id=sec,file=pass")
OBJECTS += ("secret,id=sec,data=YWJj,format=base64", "secret,qom-type=secret,id=sec,data=abc", "secret,id=bad,data=wrong")
ODD_OBJECTS = ("secret", "secret,id=sec", "secret,data=abc", "nosuch,id=sec", "", "id=sec", "secret,id=1x,data=abc")
ODD_OBJECTS += ("secret,id=sec,data=abc,file=pass", "secret,id=sec,file=nosuch", "secret,id=sec,data=***,format=base64")
ODD_OBJECTS += ("secret,id=sec,data=abc,format=odd", "secret,id=sec,data=abc,x=y", "secret,,id=sec", "secret,id=sec,data=a,,b")
ODD_OBJECTS += ("{'qom-type':'secret','id':'sec','data':'abc'}", '{"qom-type":"secret","id":"sec","data":"abc"}', "{")
ODD_OBJECTS += ("secret,id=sec,data=abc,keyid=bad", "iothread,id=t", "throttle-group,id=tg", "throttle-group,id=tg,x-iops-total=5")
ODD_OBJECTS += ("qom-type=secret,id=sec,data=abc", "secret,id=,data=abc", "secret,id=sec,data", "{'qom-type':'secret'}")
BITMAPS = ("b0", "b1", "nosuch", "", "new", "b" * 1024)

KEYS = {
    "raw": {"preallocation": ("off", "falloc", "full", "metadata", "odd"), "nocow": ("on", "off", "odd"), "extent_size_hint": ("1M", "0")},
    "qcow2": {
        "compat": ("0.10", "1.1", "v2", "v3", "1.2", ""),
        "cluster_size": ("512", "64k", "2M", "4M", "0", "1000", "4k", "x"),
        "preallocation": ("off", "metadata", "falloc", "full", "odd"),
        "lazy_refcounts": ("on", "off", "yes", "true", "n", "maybe", ""),
        "refcount_bits": ("1", "16", "64", "3", "0", "128", "-1", "x", "16k"),
        "encryption": ("on", "off"),
        "encrypt.format": ("luks", "aes", "odd"),
        "encrypt.key-secret": ("sec", "bad", "nosuch", ""),
        "encrypt.iter-time": ("10", "0", "-1", "x"),
        "encrypt.cipher-alg": ("aes-128", "aes-256", "odd"),
        "compression_type": ("zlib", "zstd", "lzma", ""),
        "extended_l2": ("on", "off", "2"),
        "data_file": ("new.data", "data.raw", "", "nodir/x"),
        "data_file_raw": ("on", "off"),
    },
    "luks": {
        "key-secret": ("sec", "bad", "nosuch", ""),
        "cipher-alg": ("aes-128", "aes-256", "serpent-256", "odd"),
        "cipher-mode": ("xts", "cbc", "odd"),
        "ivgen-alg": ("plain64", "essiv", "odd"),
        "ivgen-hash-alg": ("sha256", "odd"),
        "hash-alg": ("sha1", "sha256", "odd"),
    },
    "qcow": {"encryption": ("off",), "encrypt.format": ("odd",)},
    "qed": {"cluster_size": ("64k", "4k", "1000", "128M"), "table_size": ("4", "1", "3", "32")},
    "vdi": {"static": ("on", "off", "odd")},
    "vmdk": {
        "adapter_type": ("ide", "lsilogic", "buslogic", "legacyESX", "odd"),
        "subformat": ("monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "streamOptimized", "odd"),
        "hwversion": ("4", "6", "odd"),
        "compat6": ("on", "off", "odd"),
        "zeroed_grain": ("on", "off"),
        "toolsversion": ("9", "2147483647"),
    },
    "vpc": {"subformat": ("dynamic", "fixed", "odd"), "force_size": ("on", "off", "x")},
    "vhdx": {
        "subformat": ("dynamic", "fixed", "odd"),
        "block_size": ("1M", "0", "3M", "512M", "x"),
        "log_size": ("1M", "0", "1000", "2M"),
        "block_state_zero": ("on", "off"),
    },
    "parallels": {"cluster_size": ("1M", "64k", "1000", "0")},
}
ODD_KEYS = ("foo=bar", "foo", "nofoo", "", ",", ",x=y", "size=1M,", "size=1M,,", "=", "=x", "help", "?", "help=on", "size=", "size")
ODD_KEYS += ("backing_file", "nosize", "foo.bar=1", "encrypt.foo=1", "lazy_refcounts", "nolazy_refcounts", "a,,b=c")

BIG = ("E", "P", "T", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551615")


def keys(r, fmt):
    """An -o string for that format, or for another one."""
    if chance(r, 0.12):
        return pick(r, ODD_KEYS)
    table = KEYS.get(fmt) if chance(r, 0.93) else None
    table = table or KEYS[pick(r, sorted(KEYS))]
    parts = []
    for _ in range(1 + min(int(r.expovariate(1.3)), 4)):
        key = pick(r, sorted(table))
        parts.append("%s=%s" % (key, pick(r, table[key])))
    if chance(r, 0.2):
        extra = ["size=" + size(r), "backing_file=" + argv_names.plain(r), "backing_fmt=" + pick(r, FORMATS)]
        parts.insert(r.randrange(len(parts) + 1), pick(r, extra))
    if chance(r, 0.08):
        parts.insert(r.randrange(len(parts) + 1), pick(r, ODD_KEYS))
    return ",".join(parts)


def size(r):
    return pick(r, SIZES if chance(r, 0.75) else ODD_SIZES)


def value(r, kind, line):
    """A word for an option's value."""
    if kind == "fmt":
        near = IMAGES.get(line.image)
        if near and chance(r, 0.75):
            return near
        return pick(r, FORMATS + ("nosuch", "", "file", "RAW", "qcow2,x", "host_device", "blkdebug", "throttle"))
    if kind == "out":
        line.target = pick(r, sorted(KEYS)) if chance(r, 0.85) else pick(r, ("nosuch", "", "bochs", "dmg", "file", "null-co"))
        return line.target
    if kind == "keys":
        return keys(r, line.target or line.default_target())
    if kind == "name":
        return argv_names.plain(r) if chance(r, 0.8) else argv_names.odd(r)
    if kind == "object":
        return pick(r, OBJECTS if chance(r, 0.75) else ODD_OBJECTS)
    if kind == "size":
        return size(r)
    table = {
        "cache": CACHES,
        "depth": ("1", "2", "8", "x", "-1", "1k"),
        "piece": PIECES,
        "number": NUMBERS,
        "aio": ("threads", "native", "io_uring", "odd", ""),
        "bitmap": BITMAPS,
        "repair": ("leaks", "all", "odd", "", "ALL"),
        "snap": SNAPSHOTS,
        "newsnap": ("new", "s1", "", "n" * 300),
        "output": ("human", "json", "json", "xml", "", "JSON"),
        "prealloc": ("off", "metadata", "falloc", "full", "odd", ""),
    }[kind]
    if kind == "cache":
        return pick(r, table[:6] if chance(r, 0.85) else table)
    return pick(r, table)


class Line:
    """A command line while it is being put together."""

    def __init__(self, r, verb, version):
        self.r, self.verb, self.version = r, verb, version
        self.image = argv_names.image(r)
        self.target = None
        self.image_opts = self.target_opts = False
        self.options = []

    def default_target(self):
        return IMAGES.get(self.image, "raw") if self.verb == "amend" else "raw"

    def rows(self):
        common = () if self.verb == "bench" and self.version != "11.1" else (COMMON,)
        for row in OPTIONS[self.verb] + common:
            kind, *names = row.split()
            known = [n.split("@")[0] for n in names if AGE[self.version] >= int((n.split("@") + ["7"])[1])]
            if known:
                yield kind, known

    def spelled(self, name, arg):
        """The words of one option; a short one may have its value glued on."""
        r = self.r
        if name.startswith("--"):
            # Names that only the newest version has make other words ambiguous.
            if self.version == "11.1" and len(name) > 7 and chance(r, 0.06):
                name = name[: r.randrange(4, len(name))]
            if arg is None:
                return [name + "=x"] if chance(r, 0.02) else [name]
            return [name + "=" + arg] if chance(r, 0.5) else [name, arg]
        if arg is None:
            return [name]
        return [name + arg] if arg and chance(r, 0.15) else [name, arg]

    def add(self, kind, names):
        name = pick(self.r, names)
        if name == "--image-opts":
            self.image_opts = True
        if name == "--target-image-opts":
            self.target_opts = True
        self.options.append(self.spelled(name, None if kind == "flag" else value(self.r, kind, self)))


ESSENTIAL = {"amend": "-o", "snapshot": "-l", "rebase": "-b", "bitmap": "--add", "resize": "--shrink"}


def bundled(r, options):
    """Joins short flags into one word, now and then."""
    out = []
    for words in options:
        short = len(words) == 1 and len(words[0]) == 2 and words[0][0] == "-" != words[0][1]
        if short and out and len(out[-1]) == 1 and out[-1][0][0:2] != "--" and out[-1][0][2:].isalpha() | (len(out[-1][0]) == 2):
            if chance(r, 0.3):
                out[-1] = [out[-1][0] + words[0][1]]
                continue
        out.append(list(words))
    return out


def operands(r, line):
    verb = line.verb
    first = argv_names.options_string(r, line.image) if line.image_opts and chance(r, 0.85) else argv_names.spelled(r, line.image)
    target = pick(r, ("new", "new", "new", "new.img", argv_names.plain(r), "nodir/new", "dir", "-", "file:new"))
    if line.target_opts and chance(r, 0.85):
        target = argv_names.options_string(r, argv_names.image(r))
    if verb == "create":
        words = [target, size(r)] if chance(r, 0.85) else [target]
    elif verb == "convert":
        words = [first, target]
        if chance(r, 0.08):
            words.insert(1, argv_names.plain(r))
    elif verb == "compare":
        second = argv_names.image(r) if chance(r, 0.6) else line.image
        words = [first, argv_names.options_string(r, second) if line.image_opts else argv_names.spelled(r, second)]
    elif verb == "resize":
        words = [first, pick(r, ("", "+", "-", "")) + size(r)]
    elif verb == "bitmap":
        words = [first, pick(r, BITMAPS)]
    elif verb == "dd":
        words = ["if=" + first, "of=" + target]
        for key, table in (("bs", PIECES), ("count", SIZES[2:6] + PIECES), ("skip", ("0", "1", "1k", "-1", "x", "", "5", "9E"))):
            if chance(r, 0.35):
                words.insert(r.randrange(len(words) + 1), key + "=" + pick(r, table))
        if chance(r, 0.06):
            words.append(pick(r, ("seek=1", "foo", "if", "bs", "=x", "if=a.raw", "conv=x", "bs=")))
    elif verb == "measure" and chance(r, 0.35):
        words = ["--size", size(r)]
        if chance(r, 0.8):
            line.image_opts = False
    else:
        words = [first]
    if chance(r, 0.04):
        words = words[:-1]
    if chance(r, 0.04) and (verb, line.version) != ("resize", "7.2"):
        words.append(pick(r, ("extra", "", "a.raw")))
    return words


def tamed(words):
    """Whether both programs end soon, and no disk is filled."""
    text = " ".join(words)
    if any(word in text for word in ("metadata", "falloc", "full", "fixed", "static", "Flat", "twoGb", "fill")):
        return not any(word.rstrip("b").upper().endswith(b) or "7.9" in word for word in words for b in BIG) and "G" not in text
    return True


def compose(seed, number, version):
    r = random.Random("%s %s %s" % (seed, number, version))
    while True:
        words = line(r, version)
        if tamed(words):
            return words


def line(r, version):
    if chance(r, 0.01):
        return pick(r, ([], ["nosuch"], ["--nosuch"], ["-x", "info"], ["-T"], ["-T", "nosuch", "info", "a.raw"], ["INFO", "a.raw"], ["--vers"], [""], ["--trace=help=x"], ["--", "info", "a.raw"], ["-Tx", "info", "a.raw"], ["in"]))
    verb = pick(r, sorted(OPTIONS))
    made = Line(r, verb, version)
    rows = list(made.rows())
    for kind, names in rows:
        if ESSENTIAL.get(verb) in names and chance(r, 0.6):
            made.add(kind, names)
    if verb == "bench":
        made.options.append([pick(r, ("-c", "-c")), pick(r, ("1", "4", "9", "x", "-1", "2147483648"))])
        if made.options[-1][1] in ("x", "-1") and chance(r, 0.9):
            made.options[-1][1] = "3"
    for _ in range(min(int(r.expovariate(0.6)), 5)):
        made.add(*pick(r, rows))
    if any(names == ["--object"] for _, names in rows) and made.image in argv_names.LOCKED and chance(r, 0.85):
        made.options.append(["--object", pick(r, OBJECTS)])
    if chance(r, 0.03):
        odd = ("-x", "--nosuch", "--nosuch=1", "-Z", "--", "-", "-=") + (("--f", "--o") if version == "11.1" else ())
        made.options.append([pick(r, odd)])
    r.shuffle(made.options)
    options = [w for words in bundled(r, made.options) for w in words]
    if chance(r, 0.015) and options:
        options = options[:-1]
    rest = operands(r, made)
    if verb == "resize" and version == "7.2":
        return [verb] + options + rest
    if chance(r, 0.05):
        return [verb] + rest + options
    if chance(r, 0.04):
        return [verb] + options + ["--"] + rest
    return [verb] + options + rest
