#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another size for a VMDK, which stock cannot give: its content afterwards is
# what a raw file of that size would have, for stock as well.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
kinds="monolithicSparse monolithicSparse,zeroed_grain=on monolithicFlat"
sizes="3000K 4M 70M 40G 1M 100K 512"
plan $((3 * 7 * 2 + 4))

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
exits 1 && says 'one sparse or flat extent' && cmp -s s.vmdk before
ok "a stream keeps its size"
"$stock" create -q -f vmdk -o subformat=twoGbMaxExtentSparse t.vmdk 1M
run resize t.vmdk 2M
exits 1 && says 'one sparse or flat extent'
ok "an image that may have many extents as well"
run resize --preallocation=full a.vmdk 200M
exits 1 && says 'not preallocate'
ok "there is no preallocation"
run resize a.vmdk 1M
exits 1 && says 'shrink'
ok "shrinking must be asked for"
