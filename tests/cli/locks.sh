#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2046 # lists of words are split on purpose
# QEMU's image locks, against stock tools in both directions: what one of them
# holds the other respects, with the same words.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 36
export INSTAR_QEMU_PROFILE=7.2

$stock create -q -f qcow2 a.qcow2 64M
$stock create -q -f qcow2 -b a.qcow2 -F qcow2 o.qcow2
$stock create -q -f raw a.raw 1M

# hold WORD...: a stock qemu-io has an image open until release.
hold() {
    mkfifo commands
    $stock_io "$@" <commands >held 2>&1 &
    holder=$!
    exec 9>commands
    echo 'read 0 512' >&9
    for _ in $(seq 200); do
        grep -q 'read 512' held && break
        sleep 0.05
    done
}

release() {
    exec 9>&-
    wait $holder
    rm -f commands
}

# agrees ARG...: stock and ours end alike, with the same words on stderr.
agrees() {
    run_any $stock "$@"
    cp "$scratch/stderr" want
    stock_code=$code
    run "$@"
    exits $stock_code && said want
}

# ---- stock holds, we ask ----

hold -f qcow2 a.qcow2
for command in 'info a.qcow2' 'map a.qcow2' 'info --output=json a.qcow2' 'map o.qcow2' 'info o.qcow2' \
    'info --backing-chain o.qcow2'; do
    agrees $command
    ok "$command, while stock writes a.qcow2"
done
agrees info -U a.qcow2 && exits 0
ok "info -U, while stock writes"
agrees map -U a.qcow2 && exits 0
ok "map -U, while stock writes"
agrees map -U o.qcow2 && exits 0
ok "map -U of an overlay, while stock writes the backing file"
agrees info --image-opts file.filename=a.qcow2,file.locking=off && exits 0
ok "file.locking=off, while stock writes"
agrees create -f qcow2 a.qcow2 1M
ok "create over an image that stock writes"
cmp -s <(head -c 4 a.qcow2) <(printf 'QFI\373')
ok "and the image is still there"
release

hold -r -f qcow2 a.qcow2
agrees info a.qcow2 && exits 0
ok "info, while stock reads"
agrees map a.qcow2 && exits 0
ok "map, while stock reads"
agrees create -f qcow2 a.qcow2 1M
ok "create over an image that stock reads"
release

hold -f raw a.raw
for command in 'info a.raw' 'map a.raw' 'info -f raw a.raw' 'map -f raw a.raw'; do
    agrees $command && exits 0
    ok "$command, while stock writes it as raw"
done
release

# ---- we hold, stock asks ----

# stop_while_locked FILE ARG...: our program, stopped while it holds FILE.
stop_while_locked() {
    inode=$(stat -c %i "$1")
    shift
    $QEMU_IMG "$@" >/dev/null 2>&1 &
    ours=$!
    for _ in $(seq 500); do
        if grep -q "OFDLCK.*:$inode " /proc/locks; then
            kill -STOP $ours
            return
        fi
        kill -0 $ours 2>/dev/null || return
    done
}

go_on() {
    kill -CONT $ours 2>/dev/null
    wait $ours
}

$stock_io -f qcow2 -c 'write -P 3 0 64M' a.qcow2 >/dev/null
stop_while_locked a.qcow2 convert -r 32M -O raw a.qcow2 out.raw
if grep -q "OFDLCK.*:$inode " /proc/locks; then
    run_any $stock resize a.qcow2 65M
    exits 1 && says 'Failed to get "write" lock'
    ok "stock does not write what our convert reads"
    run_any $stock info a.qcow2
    exits 0
    ok "stock reads what our convert reads"
else
    skip "stock against our convert" "it was over too soon" 2
fi
go_on

head -c 8M /dev/urandom >big.raw
stop_while_locked big.raw convert -r 4M -f raw -O raw big.raw out.raw
if grep -q "OFDLCK.*:$inode " /proc/locks; then
    run_any $stock resize -f raw big.raw 9M
    exits 1 && says 'Failed to get "write" lock'
    ok "a raw source of our convert is not written by stock"
else
    skip "stock against our convert of raw" "it was over too soon"
fi
go_on

# ---- who writes must wait for who reads ----

hold -r -f qcow2 a.qcow2
run resize a.qcow2 65M
exits 1 && says 'Failed to get "write" lock' && says 'Is another process using the image \[a.qcow2\]\?'
ok "resize does not write what stock reads"
release

# ---- the daemons that keep images open ----

stock_nbd=$("$test_lib/oracle" 7.2 qemu-nbd)
stock_daemon=$(command -v qemu-storage-daemon)

# serve NAME [ro]: a daemon opens a.qcow2 to serve it on a socket.
serve() {
    local name=$1 readonly=${2:-}
    rm -f socket
    case $name in
    qemu-nbd) $stock_nbd ${readonly:+-r} -t -f qcow2 -k "$PWD/socket" a.qcow2 >served 2>&1 & ;;
    *)
        $stock_daemon --blockdev "driver=file,node-name=f,filename=a.qcow2${readonly:+,read-only=on}" \
            --blockdev "driver=qcow2,node-name=q,file=f${readonly:+,read-only=on}" \
            --nbd-server "addr.type=unix,addr.path=$PWD/socket" \
            --export "nbd,id=e,node-name=q,writable=$([ "$readonly" ] && echo off || echo on)" >served 2>&1 &
        ;;
    esac
    server=$!
    for _ in $(seq 200); do
        [ -S socket ] || ! kill -0 $server 2>/dev/null || { sleep 0.05; continue; }
        break
    done
}

stop_serving() {
    kill $server 2>/dev/null
    wait $server 2>/dev/null
}

for name in qemu-nbd qemu-storage-daemon; do
    if ! command -v $name >/dev/null; then
        skip "$name" "it is not installed" 6
        continue
    fi
    serve $name
    agrees info a.qcow2 && exits 1
    ok "info, while $name may write"
    agrees info -U a.qcow2 && exits 0
    ok "info -U, while $name may write"
    agrees resize a.qcow2 66M && exits 1
    ok "resize, while $name may write"
    stop_serving
    serve $name ro
    agrees map a.qcow2 && exits 0
    ok "map, while $name reads"
    agrees resize a.qcow2 66M && exits 1
    ok "resize, while $name reads"
    stop_serving
    stop_while_locked a.qcow2 convert -r 32M -O raw a.qcow2 out.raw
    if grep -q "OFDLCK.*:$inode " /proc/locks; then
        serve $name
        stop_serving
        grep -q 'Failed to get "write" lock' served
        ok "$name does not open for writing what our convert reads"
    else
        skip "$name against our convert" "it was over too soon"
    fi
    go_on
done

run info a.qcow2
exits 0
ok "no lock is left behind"
