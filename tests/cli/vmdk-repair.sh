#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check -r all of a VMDK, which stock cannot do: tables are restored from each other, and what stock
# reads and checks afterwards is what was there.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 37

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

# What two use: each grain gets a place of its own, and nothing else changes.
fresh
poke a.vmdk $((gt + 4)) 80
poke a.vmdk $((rgt + 4)) 80
"$stock" convert -O raw a.vmdk expected.raw
run check a.vmdk
exits 2 && says 'ERROR: the grain of sector 256 lies over another' && prints '1 errors were found'
ok "two entries with one grain are found"
run check -r all a.vmdk
restored 1 && same_tables && "$stock_io" -f vmdk -c 'write -q -P 9 64k 64k' a.vmdk &&
    "$stock_io" -f raw -c 'write -q -P 9 64k 64k' expected.raw && "$stock" compare -q -f vmdk -F raw a.vmdk expected.raw
ok "they are separated: a write to one leaves the other as it was"
for over in 14 1b 16 1a; do # descriptor, table, redundant table, directory
    fresh
    poke a.vmdk $((gt + 4)) ${over}000000
    poke a.vmdk $((rgt + 4)) ${over}000000
    "$stock" convert -O raw a.vmdk expected.raw
    cp a.vmdk before
    run check a.vmdk
    exits 2 && says 'ERROR: the grain of sector 128 lies over metadata' && cmp -s a.vmdk before
    ok "a grain over metadata is found (sector 0x$over)"
    run check -r all a.vmdk
    # what the grain showed of the tables has changed with them
    exits 0 && prints '1 corruptions' && "$stock" check -q a.vmdk && run check a.vmdk && exits 0
    ok "and moved"
done
fresh
poke a.vmdk $((gt + 8)) 8100
poke a.vmdk $((rgt + 8)) 8100
"$stock" convert -O raw a.vmdk expected.raw
run check -r all a.vmdk
restored 1
ok "a grain that lies across two others is moved"
"$stock" create -q -f vmdk b.vmdk 100M
"$stock_io" -f vmdk -c 'write -q 0 64k' -c 'write -q 40M 64k' b.vmdk
python3 - b.vmdk <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(48)
    for at in struct.unpack("<QQ", f.read(16)):
        f.seek(at * 512)
        first = f.read(4)
        f.seek(at * 512 + 4)
        f.write(first)
END
cp b.vmdk before
run check -r all b.vmdk
exits 2 && says 'ERROR: grain table 1 lies over other metadata' && cmp -s b.vmdk before
ok "a table that two entries name is reported and stays"

# Streams: markers and tables must say the same.
vmdkfab stream s.vmdk
run check s.vmdk
exits 0 && prints 'No errors'
ok "a sound stream"
vmdkfab stream s.vmdk lba=128
run check s.vmdk
exits 2 && says 'ERROR: the marker of the grain of sector 0 is wrong'
ok "a marker of another grain"
vmdkfab stream s.vmdk size=4294967295
run check s.vmdk
exits 2 && says 'ERROR: the marker of the grain of sector 0 is wrong'
ok "a marker with more bytes than there are"
vmdkfab stream s.vmdk
table=$(grep -abo -m1 -P '\x04\0{7}\0{4}\x01\0{3}' s.vmdk | head -1 | cut -d: -f1)
poke s.vmdk "$table" 05
cp s.vmdk before
run check s.vmdk
exits 2 && says 'ERROR: the marker of grain table 0 is wrong'
ok "a table's marker"
run check -r all s.vmdk
exits 2 && says 'marker of grain table 0' && cmp -s s.vmdk before
ok "of markers nothing is repaired"
"$QEMU_IMG" convert -O vmdk -o subformat=streamOptimized expected.raw s.vmdk
run check s.vmdk
exits 0
ok "our own streams are sound"
"$stock" convert -O vmdk -o subformat=streamOptimized expected.raw s.vmdk
run check s.vmdk
exits 0
ok "and stock's"

# Images of several files: each is mended as a single one is.
split() {
    rm -f t*.vmdk
    "$stock" create -q -f vmdk -o subformat=twoGbMaxExtentSparse t.vmdk 2100M
    "$stock_io" -f vmdk -c 'write -q -P 1 0 256k' -c 'write -q -P 2 2060M 256k' t.vmdk
    # Of each extent: where its table and its redundant table are, bytes.
    read -r gt rgt < <(python3 -c '
import struct, sys
with open(sys.argv[1], "rb") as f:
    f.seek(48)
    for at in reversed(struct.unpack("<QQ", f.read(16))):
        f.seek(at * 512)
        print(struct.unpack("<I", f.read(4))[0] * 512, end=" ")
' "t-s00$1.vmdk")
}
# mended FIXED SECTOR-OF-FINDING: and stock finds the content that it found before
mended() {
    "$stock" convert -O qcow2 t.vmdk expected.qcow2
    run check -r all t.vmdk
    exits 0 && prints "$1 corruptions" && says "sector $2\b" && "$stock" check -q t.vmdk && run check t.vmdk && exits 0 &&
        "$stock" compare -q t.vmdk expected.qcow2
}
for extent in 1 2; do
    start=$(((extent - 1) * 4194304))
    used=$(((extent - 1) * 195)) # the first grain that is written to: 2060M is 12M into the second
    [ $extent = 1 ] || used=192
    split $extent
    poke t-s00$extent.vmdk $((rgt + used * 4)) ffffff7f 00000001
    mended 2 $((start + used * 128))
    ok "extent $extent: a redundant table is made from the table"
    split $extent
    entry=$(od -An -tx1 -N4 -j $((gt + used * 4)) t-s00$extent.vmdk)
    # shellcheck disable=SC2086 # bytes
    for table in $gt $rgt; do poke t-s00$extent.vmdk $((table + used * 4 + 4)) $entry; done
    mended 1 $((start + used * 128 + 128))
    ok "extent $extent: two entries with one grain"
    split $extent
    for table in $gt $rgt; do poke t-s00$extent.vmdk $((table + used * 4 + 4)) 01000000; done
    mended 1 $((start + used * 128 + 128))
    ok "extent $extent: a grain over the descriptor's place"
done
"$stock" create -q -f vmdk -o subformat=twoGbMaxExtentFlat f.vmdk 3M
run check -r all f.vmdk
exits 63
ok "in flat files there is nothing to mend"
