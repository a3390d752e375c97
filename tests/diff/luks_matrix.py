#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LUKS in every cipher, mode, IV generator and hash that stock offers: what
either program makes the other reads, or both refuse to make it.

One combination for each cipher and mode, the rest by turns; all of them with
INSTAR_TEST_ALL=1. Of the sample every fourth has key slots added by the other
program and another size, every fourth a header in a file of its own.
"""

import itertools
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import workdir  # noqa: E402

CIPHERS = "aes-128 aes-192 aes-256 cast5-128 serpent-128 serpent-192 serpent-256 twofish-128 twofish-192 twofish-256 sm4"
MODES = "xts cbc ctr ecb"
HASHES = "md5 sha1 sha224 sha256 sha384 sha512 ripemd160"
IVGENS = ["ivgen-alg=plain64", "ivgen-alg=plain"] + ["ivgen-alg=essiv,ivgen-hash-alg=" + h for h in HASHES.split()]
SECRETS = ["--object", "secret,id=s,data=x", "--object", "secret,id=t,data=y"]
SIZE = 70 * 1024


def combinations():
    """(cipher, mode, ivgen, hash); the sample has each cipher with each mode, each ivgen, each hash."""
    pairs = list(itertools.product(CIPHERS.split(), MODES.split()))
    if os.environ.get("INSTAR_TEST_ALL"):
        return [(*p, i, h) for p in pairs for i in IVGENS for h in HASHES.split()]
    hashes = HASHES.split()
    return [(*p, IVGENS[n % len(IVGENS)], hashes[n * 3 % len(hashes)]) for n, p in enumerate(pairs)]


class Pair:
    """Stock of one version and ours with the words of that version, in one folder."""

    def __init__(self, stock, version, ours, folder):
        self.folder = folder
        self.modern = float(version) >= 10
        kind = os.environ.get("INSTAR_TEST_SANDBOXES", "auto").split()[0]
        env = {**os.environ, "INSTAR_QEMU_PROFILE": version, "INSTAR_SANDBOX": kind}
        self.programs = {"stock": (stock.qemu_img, stock.environment()), "ours": (ours, env)}
        self.why = ""
        self.crashed = False

    def run(self, who, *words):
        program, env = self.programs[who]
        done = workdir.run([program, *words], self.folder, env)
        self.crashed = who == "stock" and str(done.code).startswith("signal")
        if done.code != 0:
            self.why = "%s: %s: %s" % (who, " ".join(words), (done.err or done.out).decode(errors="replace").strip())
        return done.code == 0

    def reads(self, who, key, spec, raw):
        words = "driver=luks,key-secret=%s,%s" % (key, spec)
        return self.run(who, "compare", "-q", *SECRETS, "--image-opts", words, "driver=raw,file.filename=" + raw)

    def made(self, who, options):
        return self.run(who, "convert", "-O", "luks", *SECRETS, "-o", options, "r.raw", who + ".luks")

    def amended(self, who, other):
        """`who` adds a slot to what `other` made and makes it longer; both read it with the new key."""
        name = other + ".luks"
        spec = "file.filename=" + name
        where = ["--image-opts", "driver=luks,key-secret=s," + spec]
        return (
            self.run(who, "amend", *SECRETS, "-o", "state=active,new-secret=t,iter-time=10", *where)
            and self.run(who, "resize", *SECRETS, *where, "128k")
            and self.run(who, "resize", "--shrink", *SECRETS, *where, str(SIZE))
            and self.reads(who, "t", spec, "r.raw")
            and self.reads(other, "t", spec, "r.raw")
            and self.reads(other, "s", spec, "r.raw")
        )

    def detached(self, who, other, options):
        """`who` makes a header alone, `other` fills what it describes, `who` reads it."""
        header, data = who + ".header", who + ".data"
        spec = "file.filename=%s,header.filename=%s" % (data, header)
        with open(os.path.join(self.folder, data), "wb") as out:
            out.truncate(SIZE)
        target = "driver=luks,key-secret=s," + spec
        return (
            self.run(who, "create", "-q", "-f", "luks", *SECRETS, "-o", options + ",detached-header=on", header)
            and self.run(other, "convert", "-n", "-f", "raw", *SECRETS, "--target-image-opts", "r.raw", target)
            and self.reads(who, "s", spec, "r.raw")
        )


def agree(pair, number, combination):
    """Why the two do not agree, or None."""
    options = "key-secret=s,iter-time=10,cipher-alg=%s,cipher-mode=%s,%s,hash-alg=%s" % combination
    with open(os.path.join(pair.folder, "r.raw"), "wb") as out:
        out.write(bytes(i * 7 & 255 for i in range(SIZE - 4096)) + bytes(4096))
    made = {"stock": pair.made("stock", options)}
    crashed = pair.crashed
    made["ours"] = pair.made("ours", options)
    if crashed:  # 192 bits in blocks of 128, which ours can do
        return None if made["ours"] and pair.reads("ours", "s", "file.filename=ours.luks", "r.raw") else pair.why
    if made["stock"] != made["ours"]:
        return "only one makes it: " + pair.why
    if not made["stock"]:
        return None
    for who, other in (("stock", "ours"), ("ours", "stock")):
        if not pair.reads(who, "s", "file.filename=%s.luks" % other, "r.raw"):
            return pair.why or "%s reads other bytes" % who
        if number % 4 == 0 and not pair.amended(who, other):
            return pair.why or "other bytes after amend and resize"
        if number % 4 == 1 and pair.modern and not pair.detached(who, other, options):
            return pair.why or "other bytes with a detached header"
    return None


def main():
    ours = os.path.abspath(os.environ.get("QEMU_IMG", "./qemu-img"))
    versions = os.environ.get("INSTAR_TEST_PROFILES", "7.2 10.0 11.1").split()
    with tempfile.TemporaryDirectory(prefix="instar-luks.") as top:
        found = ((v, workdir.oracle(v, os.path.join(top, "tools-" + v))) for v in versions)
        stocks = [(v, tools) for v, tools in found if tools]
        if not stocks or not os.access(ours, os.X_OK):
            print("1..0 # SKIP neither stock nor ours, or one of them alone, is there")
            return
        work = combinations()
        print("1..%d" % len(work))
        for number, combination in enumerate(work):
            version, stock = stocks[number // 2 % len(stocks)]
            folder = os.path.join(top, str(number))
            os.mkdir(folder)
            why = agree(Pair(stock, version, ours, folder), number, combination)
            print("%sok %d - [%s] %s" % ("not " if why else "", number + 1, version, " ".join(combination)), flush=True)
            if why:
                print("#   " + why.replace("\n", "\n#   "))


if __name__ == "__main__":
    main()
