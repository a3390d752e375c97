#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What commit and rebase write is in the dirty bitmaps that record changes, as stock has it there.
. "$(dirname "$0")/../lib/libtest.sh"
requires qemu-nbd
requires_stock
plan 6

# dirty FILE BITMAP: its ranges, as stock serves them.
dirty() {
    qemu-nbd -r -f qcow2 -B "$2" -k "$PWD/socket" "$1" --fork --pid-file="$PWD/pid" || return 1
    "$stock" map --output=json --image-opts \
        "driver=nbd,server.type=unix,server.path=$PWD/socket,x-dirty-bitmap=qemu:dirty-bitmap:$2"
    kill "$(cat pid)"
    while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.05; done
}

# inputs FOLDER
inputs() {
    mkdir "$1"
    cd "$1" || exit
    "$stock" create -q -f qcow2 b.qcow2 4M
    "$stock" bitmap --add b.qcow2 on
    "$stock" bitmap --add -g 4k b.qcow2 fine
    "$stock" bitmap --add --disable b.qcow2 off
    "$stock" create -q -f qcow2 -b b.qcow2 -F qcow2 a.qcow2
    "$stock_io" -c 'write -P 2 1M 300k' -c 'write -z 3M 64k' a.qcow2 >/dev/null
    "$stock" create -q -f qcow2 -b b.qcow2 -F qcow2 c.qcow2
    "$stock" bitmap --add c.qcow2 on
    "$stock" create -q -f qcow2 n.qcow2 4M
    cd ..
}
inputs theirs
inputs ours
(cd theirs && "$stock" commit -q a.qcow2 && "$stock" rebase -b n.qcow2 -F qcow2 c.qcow2)
run_any env -C ours "$QEMU_IMG" commit -q a.qcow2
exits 0 && silent
ok "commit into an image with bitmaps"
run_any env -C ours "$QEMU_IMG" rebase -b n.qcow2 -F qcow2 c.qcow2
exits 0 && silent
ok "rebase of one"

for bitmap in on off; do
    [ "$(dirty theirs/b.qcow2 $bitmap)" = "$(dirty ours/b.qcow2 $bitmap)" ]
    ok "the bits of '$bitmap' are stock's after the commit"
done
[ "$(dirty theirs/c.qcow2 on)" = "$(dirty ours/c.qcow2 on)" ]
ok "and after the rebase"
"$stock" check -q ours/b.qcow2 && "$stock" check -q ours/c.qcow2 &&
    "$stock" compare -q ours/c.qcow2 theirs/c.qcow2 && "$stock" compare -q ours/b.qcow2 theirs/b.qcow2
ok "nothing is wrong with either image"
