#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another size for a VMDK, which stock cannot give: its content afterwards is
# what a raw file of that size would have, for stock as well.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
kinds="monolithicSparse monolithicSparse,zeroed_grain=on monolithicFlat"
sizes="3000K 4M 70M 40G 1M 100K 512"
plan $((3 * 7 * 2 + 2 * 7 + 8 + 7))

mixed src.raw 3000K
for kind in $kinds; do
    for size in $sizes; do
        [ "$kind $size" = "monolithicFlat 40G" ] && size=1G
        rm -f a.vmdk a-flat.vmdk
        "$stock" convert -O vmdk -o "subformat=$kind" src.raw a.vmdk
        cp src.raw expected.raw
        truncate -s "$size" expected.raw
        run resize --shrink a.vmdk "$size"
        exits 0 && "$stock" compare -q -f vmdk -F raw a.vmdk expected.raw && "$stock" check -q a.vmdk &&
            "$stock" info --output=json a.vmdk | grep -q "\"virtual-size\": $(stat -c %s expected.raw)"
        ok "$kind: to $size"
        truncate -s 100M expected.raw
        run resize --shrink a.vmdk 100M
        exits 0 && "$stock" compare -q -f vmdk -F raw a.vmdk expected.raw && "$stock" check -q a.vmdk &&
            "$stock_io" -f vmdk -c 'write -q -P 5 90M 1M' a.vmdk &&
            "$stock_io" -f vmdk -c 'read -q -P 5 90M 1M' a.vmdk >read.out && [ ! -s read.out ]
        ok "$kind: and from $size to 100M, without anything old coming to light"
    done
done
"$stock" create -q -f vmdk -o subformat=streamOptimized s.vmdk 1M
cp s.vmdk before
run resize s.vmdk 2M
exits 1 && says 'a VMDK image of this kind' && cmp -s s.vmdk before
ok "a stream keeps its size"

# Images of several files. holds SIZE: t.vmdk is what a raw disk of that size would be.
holds() {
    truncate -s "$1" expected.raw
    exits 0 && "$stock" compare -q -f vmdk -F raw t.vmdk expected.raw && "$stock" check -q t.vmdk &&
        "$stock" info --output=json t.vmdk | grep -q "\"virtual-size\": $(stat -c %s expected.raw)" &&
        [ "$(find . -name 't-[sf]0*' | wc -l)" = "$(grep -c ^RW t.vmdk)" ] && [ ! -e t.vmdk.resize ]
}
for kind in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
    rm -f t.vmdk t-*
    "$stock" convert -O vmdk -o "subformat=$kind" src.raw t.vmdk
    cp src.raw expected.raw
    for size in 100M 2G 5G 11G 4100M 1M 30M; do
        run resize --shrink t.vmdk "$size"
        holds "$size"
        ok "$kind: to $size"
        last=$(($(stat -c %s expected.raw) - 1048576))
        "$stock_io" -f vmdk -c "write -q -P 6 $last 1M" t.vmdk
        "$stock_io" -f raw -c "write -q -P 6 $last 1M" expected.raw
    done
done
"$stock" create -q -f vmdk -o subformat=twoGbMaxExtentFlat u.vmdk 1G
echo mine >u-f002.vmdk
cp u.vmdk before
run resize u.vmdk 3G
exits 1 && says "u-f002.vmdk': File exists" && cmp -s u.vmdk before && [ "$(cat u-f002.vmdk)" = mine ]
ok "a file that is there is not taken for a new extent"
run resize u.vmdk 4097G
exits 1 && says 'extents' && cmp -s u.vmdk before
ok "there are no more than 2048"
rm -f u-f002.vmdk
INSTAR_EXPLAIN=plan run resize u.vmdk 3G
exits 0 && cmp -s u.vmdk before && [ ! -e u-f002.vmdk ]
ok "a plan that is only explained makes no files"
ln -s t.vmdk l.vmdk
run resize l.vmdk 3G
[ -L l.vmdk ] && holds 3G
ok "a link to a descriptor stays a link"
printf 'RW 2048 FLAT "f.raw" 0\nRW 2048 FLAT "f.raw" 2048\n' >lines
{ printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'; cat lines; } >v.vmdk
truncate -s 2M f.raw
run resize --shrink v.vmdk 1M
exits 1 && [ "$(stat -c %s f.raw)" = 2097152 ]
ok "extents that share a file keep their size"
run resize --preallocation=full a.vmdk 200M
exits 1 && says 'not preallocate'
ok "there is no preallocation"
run resize a.vmdk 1M
exits 1 && says 'shrink'
ok "shrinking must be asked for"

# What a resize that was killed has left behind is listed in a record by device and inode.
rm -f w*.vmdk
"$stock" create -q -f vmdk -o subformat=twoGbMaxExtentSparse w.vmdk 1G
record() { printf 'instar resize\n%s' "$(for f; do stat -c '%d %i' "$f"; done)" >w.vmdk.resizing && echo >>w.vmdk.resizing; }
in_the_way() { # refused, and nothing has changed
    cp w.vmdk before
    run resize w.vmdk 3G
    exits 1 && says "w-s002.vmdk': File exists" && cmp -s w.vmdk before && cmp -s w-s002.vmdk mine
}
echo mine >mine
cp mine w-s002.vmdk
record w-s001.vmdk
in_the_way && [ ! -e w.vmdk.resizing ]
ok "a file that the record does not list is no leftover"
record w-s002.vmdk
ln w-s002.vmdk second
in_the_way
ok "nor is one with two names"
rm w-s002.vmdk
ln -s second w-s002.vmdk
record second
in_the_way && [ -L w-s002.vmdk ]
ok "nor a link"
rm w-s002.vmdk second
cp mine w-s002.vmdk
record w-s002.vmdk
sed -i 1s/.*/other/ w.vmdk.resizing
in_the_way
ok "nor what some other record lists"
rm -f w-s002.vmdk w.vmdk.resizing
: >w-s002.vmdk
cp w-s002.vmdk mine
in_the_way && [ ! -e w.vmdk.resizing ]
ok "nor an empty file without a record; none is left either"
truncate -s 1M w-s002.vmdk
record w-s002.vmdk
run resize w.vmdk 3G
exits 0 && [ ! -e w.vmdk.resizing ] && "$stock" check -q w.vmdk && holds 3G w.vmdk
ok "one that is listed is taken over"
# an extent of the image itself stays, whatever a record says
"$stock_io" -f vmdk -c 'write -q -P 5 2100M 64k' w.vmdk
record w-s001.vmdk w-s002.vmdk
run resize w.vmdk 7G
exits 0 && [ ! -e w.vmdk.resizing ] && "$stock_io" -f vmdk -c 'read -q -P 5 2100M 64k' w.vmdk
ok "the image's own extents stay"
