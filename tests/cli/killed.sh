#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What changes an image in place, killed at any moment: the image opens, nothing in it is corrupt, and
# the disk reads as before or as afterwards; of a copy, each sector does. INSTAR_TEST_KILLS: how often
# each is killed (default 6; `./dev soak kills` asks for 200).
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires setsid python3
kills=${INSTAR_TEST_KILLS:-6}
plan 22

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
    truncate -s 64M ../nothing
    head -c 8M ../plain.want >../plain.short
    # counts of the first clusters are gone
    cp plain.qcow2 broken.qcow2
    "$stock_io" -f raw -c 'write -P 0 8192 64' broken.qcow2 >/dev/null
    cp ../plain.want ../broken.want
)

# is_image FILE: a new one is none before its first sector is there.
is_image() {
    [ "$(head -c 4 "$1" 2>/dev/null | od -An -tx1 | tr -d ' ')" = 514649fb ]
}

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

# is_mixed IMAGE OLD NEW: each sector is that of either.
is_mixed() {
    "$stock" convert -O raw "$1" seen && python3 -c '
import sys
seen, old, new = (open(name, "rb") for name in sys.argv[1:])
while piece := seen.read(512):
    if piece not in (old.read(512), new.read(512)):
        sys.exit(f"sector {seen.tell() // 512 - 1} is of neither")
' seen "$2" "$3"
}

# judged IMAGE CONTENT...: what a kill has left; HOW says what of.
#   whole: an image that is changed    new: one that is made    mixed: one that is copied to
judged() {
    local image=$1
    shift
    if [ "$how" != whole ] && ! is_image "now/$image"; then
        [ "$how" = new ]
        return
    fi
    (cd now && sound "$image" mid.qcow2) || return
    if [ "$how" = whole ]; then
        reads_as "now/$image" "$@"
    else
        is_mixed "now/$image" "$1" ran
    fi
}

# killed IMAGE CONTENTS ARG...: how long it takes is measured, then it is killed again and again on new
# copies, at random moments of a time that one in four does not outlive.
killed() {
    local image=$1 turn ended=0 begin time at pause
    local -a contents command
    read -ra contents <<<"$2"
    command=("${@:3}")
    renewed
    begin=$(date +%s%N)
    (cd now && "$QEMU_IMG" "${command[@]}") >"$scratch/stdout" 2>"$scratch/stderr" || return 1
    time=$(($(date +%s%N) - begin))
    "$stock" convert -O raw "now/$image" ran || return 1
    for ((turn = 0; turn < kills; turn++)); do
        renewed
        at=$((time * (RANDOM % 1000) / 1000))
        printf -v pause '%d.%09d' $((at / 1000000000)) $((at % 1000000000))
        (cd now && exec setsid "$QEMU_IMG" "${command[@]}") >/dev/null 2>&1 &
        read -rt "$pause" -u 9
        kill -KILL $! 2>/dev/null
        if wait $! 2>/dev/null; then
            ended=$((ended + 1))
            time=$((time * 9 / 10))
        else
            time=$((time * 31 / 30))
        fi
        judged "$image" "${contents[@]}" >"$scratch/stdout" 2>"$scratch/stderr" || return 1
    done 2>/dev/null
    echo "# $ended of $kills came to their end"
}

mkfifo nobody
exec 9<>nobody # a read from it is a sleep without a process
how=whole
killed top.qcow2 top.want commit top.qcow2
ok "commit"
killed top.qcow2 top.want commit -b base.raw top.qcow2
ok "commit through a layer"
killed top.qcow2 top.want rebase -b new.raw -F raw top.qcow2
ok "rebase"
killed top.qcow2 top.want rebase -b "" top.qcow2
ok "rebase, to nothing"
killed top.qcow2 top.want rebase -u -b ./././././././././././././././././././././mid.qcow2 -F qcow2 top.qcow2
ok "rebase -u"
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
killed own.qcow2 own.want bitmap --clear --disable own.qcow2 b0
ok "bitmap --clear"
killed own.qcow2 own.want bitmap --remove own.qcow2 b0
ok "bitmap --remove"
killed broken.qcow2 broken.want check -r all broken.qcow2
ok "check -r"

how=mixed
killed plain.qcow2 plain.want convert -n -O qcow2 own.qcow2 plain.qcow2
ok "convert -n"
killed snaps.qcow2 own.want convert -n -O qcow2 plain.qcow2 snaps.qcow2
ok "convert -n, over what a snapshot shares"
killed plain.qcow2 plain.want bench -w -t none -c 4000 -s 4096 -S 12288 --pattern 33 plain.qcow2
ok "bench -w"

how=new
killed out.qcow2 nothing convert -O qcow2 -o cluster_size=4k own.qcow2 out.qcow2
ok "convert"
killed out.qcow2 nothing dd if=own.qcow2 of=out.qcow2 -O qcow2 bs=64k
ok "dd"
killed out.qcow2 nothing create -f qcow2 -o cluster_size=4k,preallocation=metadata out.qcow2 64M
ok "create"
