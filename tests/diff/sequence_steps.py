# SPDX-License-Identifier: Apache-2.0
"""Random qcow2 images and random commands that change them in place.

An input is a list of setup lines as in a case file; a step is ("img", words) for the qemu-img under
test or ("io", words) for stock qemu-io on both images. The same generator gives the same ones.
"""

NAMES = ("s0", "s1", "s2", "1", "2", "a longer name of a snapshot")
BITMAPS = ("b0", "b1", "b2")
SIZES = (1 << 20, (1 << 20) + 512, 3 << 20, 5000 * 512, (6 << 20) - 1024, 700 * 512)


def shape(r):
    """Creation options of a qcow2 image: (its cluster bits, its version, the options)."""
    bits = r.choice((9, 9, 10, 12, 12, 13, 14, 15, 16, 16, 18, 21))
    options = ["cluster_size=%d" % (1 << bits)]
    if r.random() < 0.2:
        return bits, 2, options + ["compat=0.10"]
    if bits >= 14 and r.random() < 0.35:
        options.append("extended_l2=on")
    options.append("refcount_bits=%d" % r.choice((1, 2, 4, 8, 16, 16, 16, 32, 64)))
    options.append("compression_type=%s" % r.choice(("zlib", "zstd")))
    if r.random() < 0.1:
        options.append("lazy_refcounts=on")
    return bits, 3, options


class Image:
    """What a sequence works on: a.qcow2, perhaps over base.img, perhaps that over low.img."""

    def __init__(self, r):
        self.r = r
        self.bits, self.version, options = shape(r)
        self.size = r.choice(SIZES)
        self.depth = r.choice((0, 0, 0, 1, 1, 2))
        self.data_file = self.version == 3 and self.depth == 0 and r.random() < 0.12
        if self.data_file:
            options.append("data_file=a.data")
            if r.random() < 0.5:
                options.append("data_file_raw=on")
        elif self.depth == 0 and r.random() < 0.15:
            options.append("preallocation=" + r.choice(("metadata", "falloc", "full")))
        self.options = ",".join(options)

    def writes(self, number, packed=True):
        """Arguments of qemu-io: writes here and there, mostly near edges."""
        r, cluster = self.r, 1 << self.bits
        words = []
        edges = [e for e in (0, cluster, 64 * cluster, 65536, 1 << 20, 2 << 20, self.size) if e <= self.size]
        for _ in range(number):
            at = max(0, min(self.size - 512, r.choice(edges) + r.randrange(-16, 17) * 512))
            if r.random() < 0.3:
                at = r.randrange(self.size // 512) * 512
            count = min(self.size - at, r.choice((512, 4096, 65536, 131072, 200 * 512, 1 << 20)))
            if packed and r.random() < 0.15:
                at = at // cluster * cluster
                verb, count = "write -q -c -P %d" % r.randrange(1, 256), min(cluster, self.size - at)
            else:
                pattern = "write -q -P %d" % r.randrange(1, 256)
                verb = r.choice((pattern, pattern, pattern, "write -q -z", "write -q -z -u", "discard -q"))
            words += ["-c", "%s %d %d" % (verb, at, count)]
        return words

    def setup(self):
        """Lines that make the input."""
        r = self.r
        lines = ["$! qemu-img create -q -f raw other.raw %d" % r.choice(SIZES)]
        lines.append("$! qemu-io -f raw -c 'write -q -P 77 64k 512k' -c 'write -q -P 78 200k 50k' other.raw || true")
        below = ""
        for level in range(self.depth, 0, -1):
            name = "base.img" if level == 1 else "low.img"
            kind = "raw" if level == self.depth and r.random() < 0.5 else "qcow2"
            options = "-o " + ",".join(shape(r)[2]) if kind == "qcow2" else ""
            lines.append("$! qemu-img create -q -f %s %s %s %s %d" % (kind, options, below, name, r.choice(SIZES)))
            lines.append("$! qemu-io -f %s %s %s || true" % (kind, quoted(self.writes(4, False)), name))
            below = "-b %s -F %s" % (name, kind)
        lines.append("$! qemu-img create -q -f qcow2 -o %s %s a.qcow2 %d" % (self.options, below, self.size))
        lines.append("$! qemu-io -f qcow2 %s a.qcow2 || true" % quoted(self.writes(r.randint(1, 6))))
        return [("shell", line[3:]) for line in lines]

    def unseen(self):
        """Of a data file that is not raw, what lies under zeros is nobody's affair."""
        return set() if "data_file_raw" in self.options else {"a.data"}

    # ---- steps ----

    def io(self):
        return ("io", ["-f", "qcow2"] + self.writes(self.r.randint(1, 4)) + ["a.qcow2"])

    def snapshot(self):
        verb = self.r.choice(("-c", "-c", "-c", "-a", "-a", "-d", "-d"))
        return ("img", ["snapshot", verb, self.r.choice(NAMES), "a.qcow2"])

    def listed(self):
        return ("img", self.r.choice((["snapshot", "-l", "a.qcow2"], ["check", "a.qcow2"])))

    def resize(self):
        r, options = self.r, []
        by = r.choice((512, 4096, 65536, 1 << 20, 3 << 20, 1000 * 512))
        if r.random() < 0.25:
            options.append("--preallocation=" + r.choice(("off", "metadata", "falloc", "full")))
        if r.random() < 0.45:
            return ("img", ["resize", "--shrink"] + options + ["a.qcow2", r.choice(("-%d" % by, str(by)))])
        if r.random() < 0.1:
            by = 1 << 30
        return ("img", ["resize"] + options + ["a.qcow2", r.choice(("+%d" % by, str(max(SIZES) + by)))])

    def amend(self):
        r = self.r
        option = r.choice(
            (
                "compat=" + r.choice(("0.10", "1.1", "v2", "v3")),
                "refcount_bits=%d" % r.choice((1, 2, 4, 8, 16, 32, 64)),
                "lazy_refcounts=" + r.choice(("on", "off")),
                "size=%d" % r.choice(SIZES),
                "refcount_bits=%d,lazy_refcounts=off,compat=1.1" % r.choice((1, 16, 64)),
            )
        )
        return ("img", ["amend", "-o", option, "a.qcow2"])

    def bitmap(self):
        r, words, name = self.r, [], self.r.choice(BITMAPS)
        for _ in range(r.choice((1, 1, 1, 2, 3))):
            action = r.choice(("--add", "--add", "--remove", "--clear", "--enable", "--disable", "--merge"))
            if action in words:
                continue
            words += [action, r.choice(BITMAPS)] if action == "--merge" else [action]
        if "--add" in words and r.random() < 0.7:
            words += ["-g", str(r.choice((512, 4096, 65536, 1 << 20)))]
        return ("img", ["bitmap"] + words + ["a.qcow2", name])

    def rebase(self):
        words = self.r.choice(
            (
                ["-b", "other.raw", "-F", "raw"],
                ["-b", "./././././././././././././././other.raw", "-F", "raw"],
                ["-b", ""],
                ["-u", "-b", "other.raw", "-F", "raw"],
                ["-u", "-b", ""],
            )
        )
        return ("img", ["rebase"] + words + ["a.qcow2"])

    def commit(self):
        words = self.r.choice(([], [], ["-d"], ["-b", "low.img"], ["-b", "base.img"]))
        return ("img", ["commit"] + words + ["a.qcow2"])

    def repair(self):
        return ("img", ["check", "-r", self.r.choice(("leaks", "all")), "a.qcow2"])

    def copied_to(self):
        r = self.r
        if r.random() < 0.5:
            return ("img", ["convert", "-n", "-f", "raw", "-O", "qcow2", "other.raw", "a.qcow2"])
        return ("img", ["bench", "-q", "-w", "-f", "qcow2", "-c", "9", "-d", "1", "-s", "4096", "-S", "70000",
                        "--pattern", str(r.randrange(1, 256)), "a.qcow2"])

    def steps(self, number):
        """What is done, one after the other."""
        kinds = [self.io] * 4 + [self.snapshot] * 5 + [self.resize] * 3 + [self.amend] * 3 + [self.bitmap] * 4
        kinds += [self.listed, self.repair, self.copied_to]
        kinds += [self.rebase] * 2 + [self.commit] * (2 if self.depth else 0)
        return [self.r.choice(kinds)() for _ in range(number)]


def quoted(words):
    return " ".join("'%s'" % w for w in words)
