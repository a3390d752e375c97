#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check -r all of a VMDK, which stock cannot do: tables are restored from each other, and what stock
# reads and checks afterwards is what was there.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 12

# An image of 3 MiB: the redundant directory is sector 21, its table 22; the directory 26, 27.
rgd=$((21 * 512)) rgt=$((22 * 512)) gd=$((26 * 512)) gt=$((27 * 512))
fresh() {
    "$stock" create -q -f vmdk "$@" a.vmdk 3M
    "$stock_io" -f vmdk -c 'write -q -P 1 0 1M' -c 'write -q -P 2 2M 100k' a.vmdk
    "$stock" convert -O raw a.vmdk expected.raw
    cp a.vmdk sound.vmdk
}
# restored FIXED: so many corruptions are gone, both tables are alike, and the content is back.
restored() {
    exits 0 && prints "$1 corruptions" && "$stock" check -q a.vmdk &&
        "$stock" compare -q -f vmdk -F raw a.vmdk expected.raw
}
same_tables() {
    cmp -s <(tail -c +$((rgt + 1)) a.vmdk | head -c 2048) <(tail -c +$((gt + 1)) a.vmdk | head -c 2048)
}

fresh
run check -r all a.vmdk
exits 0 && prints 'No errors were found' && cmp -s a.vmdk sound.vmdk
ok "a sound image stays as it is"
poke a.vmdk $((gt + 8)) ffffff7f
run check -r all a.vmdk
restored 1 && same_tables && cmp -s a.vmdk sound.vmdk
ok "an entry past the end is taken from the redundant table"
poke a.vmdk $((rgt + 12)) ffffff7f 00000000 01020304
run check -r all a.vmdk
restored 3 && cmp -s a.vmdk sound.vmdk
ok "a redundant table is made from the table"
poke a.vmdk $gd ffffff7f
run check -r all a.vmdk
restored 1
ok "a directory entry past the end leads to the redundant table"
cp sound.vmdk a.vmdk
poke a.vmdk $gd 00000000
run check -r all a.vmdk
restored 1
ok "so does one that leads nowhere"
cp sound.vmdk a.vmdk
poke a.vmdk $rgd ffffff7f
run check -r all a.vmdk
restored 1
ok "and the other way round"
cp sound.vmdk a.vmdk
poke a.vmdk $((gt + 4)) ffffff7f
poke a.vmdk $((rgt + 4)) ffffff6f
"$stock_io" -f raw -c 'write -q -z 64k 64k' expected.raw
run check -r all a.vmdk
restored 1 && same_tables
ok "what is bad in both is a hole"
run check --output=json -r all a.vmdk
exits 0 && ! prints corruptions-fixed
ok "then nothing is left to repair"
fresh -o zeroed_grain=on
"$stock_io" -f vmdk -c 'write -q -z 0 128k' a.vmdk
"$stock" convert -O raw a.vmdk expected.raw
poke a.vmdk $((gt + 16)) ffffff7f
run check -r all a.vmdk
restored 1
ok "marks of zeros are no bad entries"
cp a.vmdk before
run check -r leaks a.vmdk
exits 63 && says 'does not support checks' && cmp -s a.vmdk before
ok "there are no leaks to repair"
# Every entry of a large directory leads to one table.
"$stock" create -q -f vmdk b.vmdk 1T
python3 - b.vmdk <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(48)
    rgd, gd = struct.unpack("<QQ", f.read(16))
    f.seek(gd * 512)
    table = f.read(4)
    f.truncate((gd + 4096) * 512)
    for at in (rgd, gd):
        f.seek(at * 512)
        f.write(table * 32768)
    f.seek(64)
    f.write(struct.pack("<Q", 1))
END
start=$(date +%s)
run check -r all b.vmdk
[ $(($(date +%s) - start)) -lt 20 ]
ok "a directory that leads to one table again and again does not take long"
"$stock" create -q -f vmdk -o subformat=twoGbMaxExtentSparse t.vmdk 3M
run check -r all t.vmdk
exits 63
ok "images of several files are not repaired"
