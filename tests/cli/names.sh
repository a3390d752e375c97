#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program's own name, and how file names are taken.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 14

mixed src.raw 2M
"$stock" convert -O qcow2 src.raw base.qcow2
mkdir -p d/e
"$stock" create -q -f qcow2 -u -b ../../base.qcow2 -F qcow2 d/e/top.qcow2 2M
"$stock" create -q -f qcow2 -u -b base.qcow2 -F qcow2 d/lost.qcow2 2M

ln -s "$QEMU_IMG" link-img
mkdir bin
ln -s "$QEMU_IMG" bin/qemu-img
run_any bin/qemu-img info nosuch
exits 1 && says "^qemu-img: Could not open 'nosuch'"
ok "messages begin with the base name of argv[0]"
run_any ./link-img info nosuch
exits 1 && says "^link-img: Could not open 'nosuch'"
ok "which may be another"
run_any env PATH="$PWD/bin:$PATH" qemu-img info base.qcow2
exits 0
ok "the program runs when found in PATH"
run_any bash -c 'exec -a "" "$QEMU_IMG" info base.qcow2'
exits 0
ok "an empty argv[0] is no problem"

run convert -O raw d/e/top.qcow2 o.raw
exits 0 && cmp -s src.raw o.raw
ok "a backing name is relative to the image, not to the current folder"
(
    cd d/e || exit 1
    run convert -O raw top.qcow2 ../../o2.raw
    exits 0 && cmp -s ../../src.raw ../../o2.raw
)
ok "from inside the image's folder"
(
    cd d || exit 1
    run compare ../d/e/../e/top.qcow2 "$OLDPWD/base.qcow2"
    exits 0
)
ok "through .. and an absolute name"
run map d/lost.qcow2
printf "qemu-img: Could not open 'd/lost.qcow2': Could not open backing file: Could not open 'd/base.qcow2': No such file or directory\n" >expected
exits 1 && said expected
ok "a backing file beside the current folder only is not found"
ln -s d/e/top.qcow2 top-link.qcow2
run info --backing-chain --output=json top-link.qcow2
"$stock" info --backing-chain --output=json top-link.qcow2 >expected 2>expected-error
exits $? || { [ ! -s expected ] && exits 1; }
ok "an image behind a link resolves its backing name as stock does"

cp base.qcow2 ./-f
run info -- -f
exits 0 && prints '^image: -f$'
ok "a name that begins with a dash, behind --"
cp base.qcow2 ./a:b.qcow2
run info ./a:b.qcow2
exits 0
ok "a name with a colon, behind ./"
run info file:a:b.qcow2
exits 0
ok "a name with a colon, behind file:"
cp base.qcow2 'a b,c"d.qcow2'
run convert -O raw 'a b,c"d.qcow2' o3.raw
exits 0 && cmp -s src.raw o3.raw
ok "a name with blanks, commas and quotes"
run create -f qcow2 "$(printf 'x%.0s' $(seq 300))" 1M
exits 1 && says 'File name too long'
ok "a name that is too long"
