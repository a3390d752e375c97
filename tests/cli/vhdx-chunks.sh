#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differencing VHDX of several chunks: a sector bitmap serves 4 GiB, its entry
# stands in the BAT behind those of the chunk's blocks, and in the file bitmap
# blocks come to lie between payload blocks.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires python3

sizes="1M 16M 256M"
plan 18

G=$((1 << 30))
# By turns in one chunk and another: around each border, and at both ends.
places="$((4 * G - 1536)) 512 $((12 * G + 4096)) $((8 * G - 512)) $((13 * G - 2048)) $((4 * G + 1024)) $((2 * G + 7 * 512))"

# both PATTERN OFFSET LENGTH: the same write to child and model
both() {
    run bench -f vhdx -c 1 -w -s "$3" -o "$2" --pattern "$1" c.img
    exits 0 && "$stock" bench -f raw -c 1 -w -s "$3" -o "$2" --pattern "$1" m.raw >/dev/null
}
same() {
    run compare -q -f vhdx -F raw c.img m.raw
    exits 0
}

# Says which BAT entries are sector bitmaps in use, by where the specification puts them
# ([MS-VHDX] 2.5.1), and that nothing in the file lies over anything else.
bitmaps() {
    python3 - "$1" <<'END'
import struct, sys
block = int(sys.argv[1]) << 20
data = open("c.img", "rb")
def at(offset, form):
    data.seek(offset)
    return struct.unpack(form, data.read(struct.calcsize(form)))
guid = bytes.fromhex("6677c22d23f600429d64115e9bfd4a08")
count, = at(196608 + 8, "<I")
entries = [at(196608 + 16 + i * 32, "<16sQII") for i in range(count)]
start, = [offset for name, offset, _, _ in entries if name == guid]
ratio = (512 << 23) // block
blocks = -(-(13 << 30) // block)
chunks = -(-blocks // ratio)
bat = at(start, "<%dQ" % (chunks * (ratio + 1)))
used, found = [], []
for i, entry in enumerate(bat):
    state, offset = entry & 7, entry >> 20
    if i % (ratio + 1) == ratio:
        if state == 6:
            found.append(i // (ratio + 1))
            used.append((offset, 1))
        assert state in (0, 6), (i, state)
    else:
        assert state in (0, 6, 7), (i, state)
        if state in (6, 7):
            used.append((offset, block >> 20))
used.sort()
assert all(a + n <= b for (a, n), (b, _) in zip(used, used[1:])), used
between = [n for _, n in used]
assert 1 in between[1:-1] or block == 1 << 20, between
print(*found)
END
}

for size in $sizes; do
    rm -f -- *.img *.raw
    truncate -s 13G p.raw
    for at in 0 $((4 * G - 65536)) $((8 * G)) $((13 * G - 65536)); do
        "$stock" bench -f raw -c 1 -w -s 65536 -o "$at" --pattern 90 p.raw >/dev/null
    done
    "$stock" convert -f raw -O vhdx -o block_size=1M p.raw p.img
    cp --sparse=always p.raw m.raw
    run create -q -f vhdx -o "block_size=$size" -b p.img -F vhdx c.img
    exits 0 && same
    ok "$size: an empty child of four chunks"
    good=1 pattern=1
    for at in $places; do
        both $pattern "$at" 1024 || good=
        pattern=$((pattern + 1))
    done
    [ -n "$good" ] && same
    ok "$size: parts of blocks on both sides of each border"
    [ "$(bitmaps "${size%M}")" = "0 1 2 3" ]
    ok "$size: four bitmaps, each behind the entries of its chunk"
    run check -f vhdx c.img
    exits 0
    ok "$size: check agrees"
    good=
    run resize --shrink -q -f vhdx c.img 5G
    exits 0 && truncate -s 5G m.raw && same && good=1
    run resize -q -f vhdx c.img 13G
    exits 0 && truncate -s 13G m.raw && same && both 99 $((9 * G)) 512 && same && [ -n "$good" ]
    ok "$size: shrunk to two chunks and grown again"
    run commit -q -f vhdx c.img
    exits 0 && run compare -q -f vhdx -F raw p.img m.raw && exits 0 && "$stock" check -q -f vhdx p.img
    ok "$size: committed, and the parent is sound to stock"
done
