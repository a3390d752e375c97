#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# commit and rebase, killed at any moment: the image opens, nothing in it is corrupt, and the disk
# reads as before. INSTAR_TEST_KILLS: how often each is killed (default 12).
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires setsid
kills=${INSTAR_TEST_KILLS:-12}
plan 3

mkdir clean
noise clean/base.raw 24M 1
noise clean/new.raw 24M 2
(
    cd clean || exit
    "$stock" create -q -f qcow2 -b base.raw -F raw mid.qcow2
    "$stock" create -q -f qcow2 -o cluster_size=4k -b mid.qcow2 -F qcow2 top.qcow2
    "$stock_io" -c 'write -P 7 1M 9M' -c 'write -z 12M 3M' top.qcow2 >/dev/null
    "$stock" convert -O raw top.qcow2 ../want.raw
)

# sound FILE...: no corruption; leaks are allowed.
sound() {
    for file; do
        "$stock" check -q "$file"
        case $? in
        0 | 3) ;;
        *) return 1 ;;
        esac
    done
}

# killed ARG...: runs it again and again on new copies, and kills it after longer and longer.
killed() {
    local turn ended=0
    for turn in $(seq "$kills"); do
        rm -rf now
        cp -r --sparse=auto clean now
        (cd now && exec setsid "$QEMU_IMG" "$@") >/dev/null 2>&1 &
        sleep "$(awk "BEGIN { print 0.6 * $turn * $turn / $kills / $kills }")"
        kill -KILL $! 2>/dev/null
        wait $! 2>/dev/null && ended=$((ended + 1))
        (cd now && sound mid.qcow2 top.qcow2) || return 1
        "$stock" compare -q now/top.qcow2 want.raw || return 1
    done 2>/dev/null
    echo "# $ended of $kills came to their end"
}

killed commit top.qcow2
ok "commit"
killed commit -b base.raw top.qcow2
ok "commit through a layer"
killed rebase -b new.raw -F raw top.qcow2
ok "rebase"
