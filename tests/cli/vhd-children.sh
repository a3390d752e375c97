#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # options are split on purpose
# Differencing VHD and VHDX, which stock refuses or reads wrong: what goes into
# one goes into a raw image as well, and both stay the same.
lib=$(cd "$(dirname "$0")/../lib" && pwd)
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

plan 76

# both PATTERN COUNT SIZE STEP OFFSET: the same writes to child and model
both() {
    "$stock" bench -f raw -c "$2" -w -s "$3" -S "$4" -o "$5" --pattern "$1" m.raw >/dev/null
    run bench -f "$format" -c "$2" -w -s "$3" -S "$4" -o "$5" --pattern "$1" c.img
    exits 0
}
# same IMAGE [MODEL]
same() { run compare -q -f "$format" -F raw "$1" "${2:-m.raw}" && exits 0; }

for format in vpc vhdx; do
    rm -f -- *.img *.raw
    exact=
    [ "$format" = vpc ] && exact="-o force_size=on"
    mixed p.raw 21M
    "$stock" convert -f raw -O "$format" $exact p.raw p.img
    cp p.raw m.raw
    run create -f "$format" -b p.img -F "$format" c.img
    exits 0 && prints 'backing_file=p.img'
    ok "$format: a child is made"
    same c.img
    ok "$format: an empty child prints its parent"
    run info c.img
    exits 0 && prints '^backing file: p.img$'
    ok "$format: info names the parent"
    run info --backing-chain --output=json c.img
    exits 0 && prints '"full-backing-filename": "p.img"'
    ok "$format: the chain is followed"
    both 7 40 700 5000 3000001 && same c.img
    ok "$format: small writes"
    both 8 3000 512 1536 4096 && same c.img
    ok "$format: every third sector"
    both 9 5 2097152 2097152 2097152 && same c.img
    ok "$format: whole blocks"
    run map --output=json c.img
    exits 0 && prints '"depth": 1' && prints '"depth": 0'
    ok "$format: map tells the layers apart"
    run check c.img
    exits 0
    ok "$format: a child is sound"
    run convert -f "$format" -O raw c.img flat.raw
    exits 0 && cmp -s flat.raw m.raw
    ok "$format: a child is flattened"
    run create -q -f "$format" -b c.img -F "$format" d.img
    exits 0 && same d.img
    ok "$format: a child of a child"
    mkdir -p sub
    cp p.img sub/q.img
    run rebase -u -b sub/q.img -F "$format" c.img
    exits 0 && same c.img && run info c.img && prints 'backing file: sub/q.img'
    ok "$format: rebase -u names another parent"
    mv sub/q.img sub/gone.img
    run compare -f "$format" -F raw c.img m.raw
    exits 2
    run info c.img
    exits 0
    ok "$format: info needs no parent"
    mv sub/gone.img sub/q.img
    run rebase -b "$PWD/p.img" -F "$format" c.img
    exits 0 && same c.img && run info c.img && prints "backing file: $PWD/p.img"
    ok "$format: an absolute name"
    mixed o.raw 21M
    "$stock" bench -f raw -c 300 -w -s 4096 -S 70000 --pattern 5 o.raw >/dev/null
    "$stock" convert -f raw -O "$format" $exact o.raw o.img
    run rebase -b o.img -F "$format" c.img
    exits 0 && same c.img
    ok "$format: rebase copies what differs"
    run rebase -u -b p.raw -F raw c.img
    exits 1 && says 'must be a'
    ok "$format: a parent of another format is refused"
    run rebase -u -b '' c.img
    exits 1 && says 'always has a backing file'
    ok "$format: a child keeps a parent"
    run commit c.img
    exits 0 && same c.img && same o.img
    ok "$format: commit"
    run_any "$stock" compare -f "$format" -F raw o.img m.raw
    exits 0
    ok "$format: commit, says stock"
    run map --output=json c.img
    exits 0 && ! prints '"depth": 0'
    ok "$format: commit leaves the child empty"
    run convert -f raw -O "$format" -B o.img -F "$format" p.raw e.img
    exits 0 && same e.img p.raw
    ok "$format: convert into a child"
    run create -q -f "$format" -b p.raw -F raw z.img
    exits 1 && says "must be a $format image"
    ok "$format: no child of a raw image"
    run create -q -f "$format" -o subformat=fixed -b p.img -F "$format" z.img
    exits 1 && says 'has no backing file'
    ok "$format: a fixed disk has no parent"
    run create -q -f "$format" -b 'a\b.img' -F "$format" -u z.img 1M
    exits 1
    ok "$format: a name with a backslash is refused"
    cp p.img 'a:b ä.img'
    run create -q -f "$format" -b './a:b ä.img' -F "$format" z.img
    exits 0 && same z.img p.raw
    ok "$format: an odd name"
    # Other sizes. The parent holds data behind the end of the child, which never shows.
    for size in 3000K 21M 11M 40M 15500K; do
        rm -f c.img
        cp p.raw m.raw
        truncate -s "$size" m.raw
        run create -q -f "$format" -b p.img -F "$format" $exact c.img "$size"
        good=
        both 7 40 700 5000 300001 && both 8 60 4096 40000 1000 && same c.img && good=1
        for other in 21M 2500K 5M 9000K 512 64M; do
            run resize --shrink -q -f "$format" c.img "$other"
            exits 0 && truncate -s "$other" m.raw && same c.img && run check -f "$format" c.img &&
                { exits 0 || exits 3; } || good= # what was there may leave a hole
        done
        both 9 60 4096 700000 1000 && same c.img && [ -n "$good" ]
        ok "$format: a child of $size is resized, six times"
    done
    INSTAR_POLICY=strict run compare -f "$format" -F raw z.img p.raw
    exits 2 && says 'policy is strict'
    ok "$format: the strict policy follows no parent"
done


# What Windows and others write: the name in each of its forms.
mixed p.raw 5M
"$stock" convert -f raw -O vpc -o force_size=on p.raw p.img
# named FORM TEXT EXPECTED
named() {
    run create -q -f vpc -b p.img -F vpc w.img
    python3 "$lib/vhd_child.py" w.img "$1" "$2"
    run info w.img
    exits 0 && prints "^backing file: $3\$"
    ok "vpc: $1 $2"
}
named W2ru '.\p.img' 'p.img'
named W2ru '..\base\p.img' '../base/p.img'
named W2ru 'C:\disks\p.img' 'p.img'
named W2ku 'C:\disks\p.img' 'p.img'
named W2ku '\\server\share\p.img' 'p.img'
named W2ku '\disks\p.img' '/disks/p.img'
named W2ru 'json:{"driver":"nbd"}' './json:\{"driver":"nbd"\}'
named W2ru 'nbd:unix:x' './nbd:unix:x'
named MacX 'file://localhost/Disks/a%20b.vhd' '/Disks/a b.vhd'
named name 'p.img' 'p.img'
run create -q -f vpc -b p.img -F vpc w.img
python3 "$lib/vhd_child.py" w.img W2ru ''
run info w.img
exits 1 && says 'does not name its parent'
ok "vpc: a child without any name is refused"
run create -q -f vpc -b p.img -F vpc w.img
python3 "$lib/vhd_edit.py" w.img 'dynamic.parent_id=@0123456789abcdef'
run compare -f vpc -F raw w.img p.raw
exits 2 && says 'not the disk that the differencing disk was made from'
ok "vpc: another disk of the same name is refused"
run check w.img
exits 0
ok "vpc: which is no matter for check"

"$stock" convert -f raw -O vhdx p.raw p.img
run create -q -f vhdx -b p.img -F vhdx w.img
"$stock" bench -f vhdx -c 1 -w -s 512 p.img >/dev/null
run compare -f vhdx -F raw w.img p.raw
exits 2 && says 'has changed since'
ok "vhdx: a parent that was written to is refused"
test_end
