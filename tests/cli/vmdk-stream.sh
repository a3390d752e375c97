#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# streamOptimized images as other programs take them: read front to back without seeking, by libvmdk
# where that is there; and VMDK images that want much work or lead in circles.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires python3
plan 15

walks() {
    python3 -B "$test_lib/vmdk_walk.py" "$1" walked.raw 2>walk.err && cmp -s walked.raw "$2"
}

mixed m.raw 70M
for options in "" zeroed_grain=on compat6=on adapter_type=lsilogic,hwversion=13; do
    run convert -O vmdk -o "subformat=streamOptimized${options:+,$options}" m.raw a.vmdk
    exits 0 && walks a.vmdk m.raw
    ok "a stream can be read front to back ${options:+($options)}"
done
run create -q -f vmdk -o subformat=streamOptimized e.vmdk 70M
truncate -s 70M e.raw
exits 0 && walks e.vmdk e.raw
ok "so can an empty one"
run bench -q -w -d 1 -c 20 -s 64k -S 3M --pattern 7 e.vmdk
"$stock" convert -O raw e.vmdk e.raw
exits 0 && walks e.vmdk e.raw
ok "and one that was written to"
"$stock" create -q -f raw h.raw 70M
"$stock_io" -f raw -c 'write -q -P 9 65M 64k' -c 'write -q -P 8 1M 64k' h.raw
run convert -n --target-is-zero -O vmdk h.raw e.vmdk
"$stock" convert -O raw e.vmdk e.raw
exits 0 && walks e.vmdk e.raw && "$stock_io" -r -f raw -c 'read -P 9 65M 64k' e.raw | grep -q 'read 65536'
ok "twice"
truncate -s 1000k s.raw
noise n 5k
put n s.raw 995k
run convert -O vmdk -o subformat=streamOptimized s.raw s.vmdk
exits 0 && walks s.vmdk s.raw
ok "a disk that ends inside a grain"
if command -v vmdkinfo >/dev/null; then
    vmdkinfo a.vmdk >info.txt 2>&1 && grep -q 'Stream optimized' info.txt && grep -q '70 MiB' info.txt
    ok "libvmdk knows a stream"
    "$QEMU_IMG" create -q -f vmdk -o subformat=twoGbMaxExtentSparse t.vmdk 3G
    "$QEMU_IMG" resize -q t.vmdk 5G
    vmdkinfo t.vmdk >info.txt 2>&1 && grep -q 'Number of extents:[[:space:]]*3' info.txt && grep -q '5.0 GiB' info.txt
    ok "libvmdk knows an image of several files that was resized"
else
    skip "libvmdk's tools are not installed"
    skip "libvmdk's tools are not installed"
fi

# In bounded time, with the words of a failure.
head='# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="vmfs"\n'
{ printf '%b' "$head"; head -c 1000000 /dev/zero | tr '\0' '\n'; } >lines.vmdk
limited 5 map lines.vmdk
exits 0 || exits 1
ok "a million blank lines do not take long"
printf '%b' "$head" >many.vmdk
yes 'RW 1 FLAT "many.vmdk" 0' | head -40000 >>many.vmdk
run info many.vmdk
exits 1
ok "forty thousand extents are refused"
"$stock" create -q -f vmdk l.vmdk 1M
"$stock" create -q -f vmdk -b l.vmdk -F vmdk k.vmdk
"$stock" create -q -f vmdk -b k.vmdk -F vmdk j.vmdk
cp j.vmdk l.vmdk
run info --backing-chain l.vmdk
exits 1
ok "parents that lead in a circle are refused (info)"
run convert -O raw l.vmdk o.raw
exits 1
ok "parents that lead in a circle are refused (convert)"
printf '%b' "$head" >p.vmdk
echo 'RW 2048 FLAT "f.raw" 0' >>p.vmdk
truncate -s 1M f.raw
INSTAR_POLICY=strict run convert -O raw p.vmdk o.raw
exits 1 && says 'the policy is strict' && [ ! -e o.raw ]
ok "an extent is opened only if the policy lets it"
