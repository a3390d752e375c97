#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2046 # lists of words are split on purpose
# Formats that are not built yet are recognised and refused by name: taken for
# raw, their metadata would be handed out as content.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
formats="vmdk vdi vhdx qed qcow parallels luks vpc"
shared="virtualpc-dynamic.vhd:vpc hyperv2012r2-dynamic.vhd:vpc d2v-zerofilled.vhd:vpc
    iotest-dynamic-1G.vhdx:vhdx iotest-dirtylog-10G-4M.vhdx:vhdx test-disk2vhd.vhdx:vhdx
    iotest-version3.vmdk:vmdk parallels-v1:parallels parallels-v2:parallels
    empty.bochs:bochs simple-pattern.cloop:cloop simple-dmg.dmg:dmg"
plan $((8 * 7 + 12 * 2 + 3))

# known FORMAT: built by now, so that its own tests say more.
known() {
    prints "^file format: $1\$"
}

for format in $formats; do
    option=
    [ $format = luks ] && option="--object secret,id=s,data=x -o key-secret=s,iter-time=10"
    for _ in $(seq 200); do # stock 7.2 times LUKS's key derivation, and gives up more often than not
        "$stock" create -q -f $format $option a.$format 1M 2>"$scratch/stderr" && break
        rm -f a.$format
    done
    if [ ! -e a.$format ]; then
        skip "images of $format" "stock qemu-img could not make one" 7
        continue
    fi
    run info a.$format
    known $format || { exits 1 && says "$format"; }
    ok "info of $format names the format"
    known $format || {
        run info --output=json a.$format
        exits 1 && says "$format"
    }
    ok "in JSON as well"
    built=1
    if ! known $format; then built=; fi
    for verb in check map "convert -O raw" "measure -O qcow2"; do
        target=
        [ "$verb" = "convert -O raw" ] && target=o.$format
        if [ -n "$built" ]; then
            skip "$verb of $format is refused" "$format is built"
            continue
        fi
        run $verb a.$format $target
        exits 1 && says "$format" && [ ! -e o.$format ]
        ok "$verb of $format is refused by name"
    done
    run convert -f raw -O raw a.$format raw.$format
    "$stock" convert -f raw -O raw a.$format expected.raw
    exits 0 && cmp -s expected.raw raw.$format
    ok "-f raw takes the bytes of $format as they are"
done

for pair in $shared; do
    file=${pair%:*}
    format=${pair#*:}
    if [ ! -f "${INSTAR_SHARED_IMAGES:-/nonexistent}/$file.bz2" ]; then
        skip "$file" "INSTAR_SHARED_IMAGES has no $file.bz2" 2
        continue
    fi
    bzcat "$INSTAR_SHARED_IMAGES/$file.bz2" >"$file"
    run info "$file"
    { exits 1 && says "$format"; } || known $format
    ok "$file is recognised as $format"
    if known $format; then
        skip "$file is not converted as raw" "$format is built"
    else
        run convert -O raw "$file" o.raw
        exits 1 && says "$format" && [ ! -e o.raw ]
        ok "$file is not converted as raw"
    fi
    rm -f "$file" o.raw
done

printf '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n' >d.vmdk
run info d.vmdk
exits 1 && says vmdk
ok "a bare vmdk descriptor is vmdk"
run convert -O raw d.vmdk o.raw
exits 1 && ! grep -q root: o.raw 2>/dev/null
ok "and the extent that it names is not read"
"$stock" create -q -f vdi back.vdi 1M
"$stock" create -q -f qcow2 -u -b back.vdi -F vdi over.qcow2 1M
run convert -O raw over.qcow2 o.raw
exits 1 && says vdi || exits 0
ok "a backing file of a format that is not built is refused by name"
