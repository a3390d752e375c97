#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What changes an image in place, killed at any moment: the image opens, nothing in it is corrupt, and
# the disk reads as before or as afterwards. INSTAR_TEST_KILLS: how often each is killed (default 12;
# `./dev soak kills` asks for 200).
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires setsid
kills=${INSTAR_TEST_KILLS:-12}
plan 12

mkdir clean
noise clean/base.raw 24M 1
noise clean/new.raw 24M 2
(
    cd clean || exit
    "$stock" create -q -f qcow2 -b base.raw -F raw mid.qcow2
    "$stock" create -q -f qcow2 -o cluster_size=4k -b mid.qcow2 -F qcow2 top.qcow2
    "$stock_io" -c 'write -P 7 1M 9M' -c 'write -z 12M 3M' top.qcow2 >/dev/null
    "$stock" convert -O raw top.qcow2 ../top.want

    # An image of its own: two snapshots, a bitmap, and room for much to be counted.
    "$stock" create -q -f qcow2 -o cluster_size=4k own.qcow2 64M
    "$stock_io" -c 'write -P 8 1M 9M' -c 'write -z 12M 3M' own.qcow2 >/dev/null
    "$stock" snapshot -c one own.qcow2
    "$stock" convert -O raw own.qcow2 ../own.one
    "$stock_io" -c 'write -P 9 5M 9M' own.qcow2 >/dev/null
    cp own.qcow2 snaps.qcow2 # one with bitmaps cannot go back
    "$stock" bitmap --add -g 64k own.qcow2 b0
    "$stock" convert -O raw own.qcow2 ../own.want
    "$stock" create -q -f qcow2 -o cluster_size=4k plain.qcow2 64M
    "$stock_io" -c 'write -P 8 1M 9M' -c 'write -z 12M 3M' plain.qcow2 >/dev/null
    "$stock" convert -O raw plain.qcow2 ../plain.want
    head -c 8M ../plain.want >../plain.short
    # counts of the first clusters are gone
    cp plain.qcow2 broken.qcow2
    "$stock_io" -f raw -c 'write -P 0 8192 64' broken.qcow2 >/dev/null
    cp ../plain.want ../broken.want
)

# sound FILE...: no corruption; leaks are allowed.
sound() {
    for file; do
        [ "$file" != broken.qcow2 ] || "$QEMU_IMG" check -q -r all "$file" >/dev/null
        "$stock" check -q "$file"
        case $? in
        0 | 3) ;;
        *) return 1 ;;
        esac
    done
}

# renewed: a copy of everything.
renewed() {
    rm -rf now
    cp -r --sparse=auto clean now
}

# reads_as IMAGE CONTENT...: one of these.
reads_as() {
    local image=$1 content
    shift
    for content; do
        "$stock" compare -q "$image" "$content" && return
    done
    return 1
}

# killed IMAGE CONTENTS ARG...: how long it takes is measured, then it is killed again and again on new
# copies, at random moments of that time.
killed() {
    local image=$1 turn ended=0 begin time
    local -a contents command
    read -ra contents <<<"$2"
    command=("${@:3}")
    renewed
    begin=$(date +%s%N)
    (cd now && "$QEMU_IMG" "${command[@]}") >/dev/null 2>&1 || return 1
    time=$(($(date +%s%N) - begin))
    for ((turn = 0; turn < kills; turn++)); do
        renewed
        (cd now && exec setsid "$QEMU_IMG" "${command[@]}") >/dev/null 2>&1 &
        sleep "$(awk -v seed="$RANDOM" -v time="$time" 'BEGIN { srand(seed); print rand() * time / 1e9 }')"
        kill -KILL $! 2>/dev/null
        wait $! 2>/dev/null && ended=$((ended + 1))
        (cd now && sound "$image" mid.qcow2) || return 1
        reads_as "now/$image" "${contents[@]}" || return 1
    done 2>/dev/null
    echo "# $ended of $kills came to their end"
}

killed top.qcow2 top.want commit top.qcow2
ok "commit"
killed top.qcow2 top.want commit -b base.raw top.qcow2
ok "commit through a layer"
killed top.qcow2 top.want rebase -b new.raw -F raw top.qcow2
ok "rebase"
killed own.qcow2 own.want snapshot -c two own.qcow2
ok "snapshot -c"
killed snaps.qcow2 "own.want own.one" snapshot -a one snaps.qcow2
ok "snapshot -a"
killed own.qcow2 own.want snapshot -d one own.qcow2
ok "snapshot -d"
killed plain.qcow2 plain.want resize --preallocation=metadata plain.qcow2 1G
ok "resize"
killed plain.qcow2 "plain.want plain.short" resize --shrink plain.qcow2 8M
ok "resize --shrink"
killed own.qcow2 own.want amend -o refcount_bits=64 own.qcow2
ok "amend, refcounts"
killed plain.qcow2 plain.want amend -o compat=0.10 plain.qcow2
ok "amend, version"
killed own.qcow2 own.want bitmap --add --merge b0 -g 4k own.qcow2 b1
ok "bitmap"
killed broken.qcow2 broken.want check -r all broken.qcow2
ok "check -r"
