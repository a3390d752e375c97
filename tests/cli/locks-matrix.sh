#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2206 # lists of words are split on purpose
# QEMU's image locks, each subcommand beside each holder, with the words of stock 7.2; and each way in
# which ours holds an image, seen by stock as if stock held it.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
export INSTAR_QEMU_PROFILE=7.2

stock_nbd=$("$test_lib/oracle" 7.2 qemu-nbd)
stock_daemon=$(command -v qemu-storage-daemon)

noise seed.raw 1M # without holes, whose place is the file system's
noise large.raw 5M # more than stock copies at once, whatever the rate
fresh() { # [RAW]
    rm -f socket
    cp "${1:-seed.raw}" r.raw
    $stock convert -O qcow2 r.raw a.qcow2
    $stock snapshot -c one a.qcow2
    $stock bitmap --add a.qcow2 b0
    $stock create -q -f qcow2 -b a.qcow2 -F qcow2 o.qcow2
    $stock create -q -f qcow2 other.qcow2 1M
}

# ---- stock holds, each subcommand asks ----

# a.qcow2 is what is held, as qcow2; o.qcow2 stands over it
commands=(
    'info a.qcow2' 'info -U a.qcow2' 'info o.qcow2' 'info --backing-chain o.qcow2' 'info -U --backing-chain o.qcow2'
    'map a.qcow2' 'map -U a.qcow2' 'map o.qcow2' 'map -U o.qcow2'
    'check a.qcow2' 'check -U a.qcow2' 'check -r all a.qcow2' 'check o.qcow2'
    'compare a.qcow2 seed.raw' 'compare -U a.qcow2 seed.raw' 'compare o.qcow2 seed.raw' 'compare -U o.qcow2 seed.raw'
    'measure -O raw a.qcow2' 'measure -U -O raw a.qcow2'
    'snapshot -l a.qcow2' 'snapshot -U -l a.qcow2' 'snapshot -c two a.qcow2' 'snapshot -a one a.qcow2' 'snapshot -d one a.qcow2'
    'convert -O raw a.qcow2 n' 'convert -U -O raw a.qcow2 n' 'convert -O raw o.qcow2 n' 'convert -U -O raw o.qcow2 n'
    'convert -O qcow2 seed.raw a.qcow2' 'convert -n -O qcow2 seed.raw a.qcow2'
    'convert -O qcow2 -B a.qcow2 -F qcow2 seed.raw n'
    'create -f qcow2 a.qcow2 1M' 'create -f qcow2 -b a.qcow2 -F qcow2 n' 'create -f qcow2 -b o.qcow2 -F qcow2 n' 'create -f qcow2 -u -b a.qcow2 -F qcow2 n 1M'
    'resize a.qcow2 2M' 'amend -o lazy_refcounts=on a.qcow2' 'bitmap --disable a.qcow2 b0'
    'bitmap --add o.qcow2 x' 'bitmap --merge b0 -b a.qcow2 -F qcow2 other.qcow2 x'
    'commit o.qcow2' 'commit -d o.qcow2' 'rebase -b seed.raw -F raw o.qcow2' 'rebase -u -b a.qcow2 -F qcow2 o.qcow2'
    'rebase -b a.qcow2 -F qcow2 other.qcow2' 'rebase -U -b a.qcow2 -F qcow2 other.qcow2'
    'bench -c 1 a.qcow2' 'bench -U -c 1 a.qcow2' 'bench -w -c 1 a.qcow2' 'bench -c 1 o.qcow2'
    'dd if=a.qcow2 of=n' 'dd -U if=a.qcow2 of=n' 'dd -O qcow2 if=seed.raw of=a.qcow2'
    'info --image-opts file.filename=a.qcow2,file.locking=off'
    'resize --image-opts driver=qcow2,file.filename=a.qcow2,file.locking=off 2M'
)

hold_io() { # [-r]
    mkfifo commands
    $stock_io "$@" -f qcow2 a.qcow2 <commands >held 2>&1 &
    holder=$!
    exec 9>commands
    echo 'read 0 512' >&9
    for _ in $(seq 400); do
        grep -q 'read 512' held && return
        sleep 0.05
    done
}

hold_nbd() { # [-r]
    $stock_nbd "$@" -t -f qcow2 -k "$PWD/socket" a.qcow2 >held 2>&1 &
    holder=$!
    wait_for_socket
}

hold_daemon() { # [-r]
    local only=${1:+,read-only=on}
    $stock_daemon --blockdev "driver=file,node-name=f,filename=a.qcow2$only" \
        --blockdev "driver=qcow2,node-name=q,file=f$only" \
        --nbd-server "addr.type=unix,addr.path=$PWD/socket" \
        --export "nbd,id=e,node-name=q,writable=$([ "$only" ] && echo off || echo on)" >held 2>&1 &
    holder=$!
    wait_for_socket
}

wait_for_socket() {
    for _ in $(seq 400); do
        [ -S socket ] && return
        sleep 0.05
    done
}

let_go() {
    exec 9>&-
    kill $holder 2>/dev/null
    wait $holder 2>/dev/null
    rm -f commands
}

# told PROGRAM WORD...: its words and exit code; times are nobody's business
told() {
    rm -f n
    "$@" 2>&1 | sed 's/in [0-9.]* seconds/in TIME/; s/20[0-9-]* [0-9:]*/DATE/; /disk size/d'
    echo "exit ${PIPESTATUS[0]}"
}

# One holder, all commands, stock's answers first: then ours, on an image like the first.
beside() { # NAME FUNCTION [-r]
    local name=$1 each
    shift
    for who in stock ours; do
        program=$stock
        [ $who = ours ] && program=$QEMU_IMG
        fresh
        "$@"
        for each in "${!commands[@]}"; do
            told $program ${commands[$each]} >"$who.$each"
        done
        let_go
    done
    for each in "${!commands[@]}"; do
        cp ours.$each "$scratch/stdout"
        cp stock.$each "$scratch/stderr"
        cmp -s stock.$each ours.$each
        ok "${commands[$each]}, while $name"
    done
}

# ---- ours holds, stock asks: as where stock holds in the same way ----

# each is slow, or never ends, so that it can be stopped while it holds
ways=(
    'bench -c 100000000 a.qcow2' 'bench -w -c 100000000 a.qcow2' 'bench -U -c 100000000 a.qcow2'
    'bench -c 100000000 o.qcow2' 'bench -w -c 100000000 o.qcow2' 'bench -f raw -w -c 100000000 r.raw'
    'convert -r 64k -O raw a.qcow2 n' 'convert -U -r 64k -O raw a.qcow2 n' 'convert -r 64k -O raw o.qcow2 n'
    'convert -n -r 64k -O qcow2 -f raw large.raw a.qcow2' 'commit -r 64k o.qcow2'
)
asks=(
    'info a.qcow2' 'info -U a.qcow2' 'resize a.qcow2 +1M' 'info o.qcow2' 'resize o.qcow2 +1M'
    'bench -w -c 1 -f raw r.raw' 'resize -f raw r.raw +1M'
)

held_by() { # PROGRAM WORD...: says what stock is told while the program holds
    local inodes each
    fresh large.raw
    $stock bitmap --remove a.qcow2 b0 # in use while somebody writes
    $stock_io -f qcow2 -c 'write -P 5 0 1M' o.qcow2 >/dev/null
    inodes=$(stat -c ':%i ' a.qcow2 o.qcow2 r.raw)
    "$@" >/dev/null 2>&1 &
    holder=$!
    for _ in $(seq 100); do # with -U there is nothing to see
        grep -qF "$inodes" /proc/locks && break
        sleep 0.02
    done
    sleep 0.3 # to the end of opening
    kill -STOP $holder
    for each in "${asks[@]}"; do
        echo "$each"
        told $stock $each
    done
    kill -KILL $holder
    wait $holder 2>/dev/null
}

plan $((6 * ${#commands[@]} + ${#ways[@]}))
beside 'qemu-io writes' hold_io
beside 'qemu-io reads' hold_io -r
beside 'qemu-nbd may write' hold_nbd
beside 'qemu-nbd reads' hold_nbd -r
if [ -n "$stock_daemon" ]; then
    beside 'qemu-storage-daemon may write' hold_daemon
    beside 'qemu-storage-daemon reads' hold_daemon -r
else
    skip 'qemu-storage-daemon' 'it is not installed' $((2 * ${#commands[@]}))
fi
for way in "${ways[@]}"; do
    held_by $stock $way >want 2>/dev/null
    held_by $QEMU_IMG $way >"$scratch/stdout" 2>/dev/null
    cp want "$scratch/stderr"
    printed want
    ok "what stock is told while ours runs $way"
done
