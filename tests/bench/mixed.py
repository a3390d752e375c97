# SPDX-License-Identifier: Apache-2.0
"""Images of mixed content: holes, text, random bytes."""

import os
import random

MIB = 1 << 20
TEXT_FROM = ("/usr/include", "/usr/share/common-licenses", "/usr/share/perl")


def read_text(limit):
    """Real text: C headers and the like, as much as is wanted or there is."""
    parts, size = [], 0
    for top in TEXT_FROM:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        parts.append(file.read())
                except OSError:
                    continue
                size += len(parts[-1])
                if size >= limit:
                    return b"".join(parts)[:limit]
    return b"".join(parts)


def make_mixed(path, size):
    """A raw image in pieces of 1 MiB: 40 % holes, 30 % text, 30 % random, shuffled."""
    dice = random.Random(1)
    pieces = size // MIB
    kinds = ["hole"] * (pieces * 40 // 100) + ["text"] * (pieces * 30 // 100)
    kinds += ["random"] * (pieces - len(kinds))
    dice.shuffle(kinds)
    text = read_text(min(64 * MIB, size // 4))
    at = 0
    with open(path, "wb") as file:
        file.truncate(pieces * MIB)
        for index, kind in enumerate(kinds):
            if kind == "hole":
                continue
            file.seek(index * MIB)
            if kind == "random":
                file.write(dice.randbytes(MIB))
                continue
            if at + MIB > len(text):
                at = dice.randrange(4096)
            file.write(text[at : at + MIB])
            at += MIB
