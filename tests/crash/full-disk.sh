#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that is full, in a tmpfs with so much room left: a command ends well, or with 1 and words that stock
# has for such a disk (which of them depends on what is written first); then what was changed is no more
# corrupt than before, and the disk reads as before or as after it.
#
# INSTAR_TEST_ROOMS: how many KiB are left, one run each (default: one of 0, 8 and 100 by turns).
if [ -z "${INSTAR_FULL_DISK:-}" ]; then
    own=(unshare -m)
    [ "$(id -u)" = 0 ] || own=(unshare -rm)
    "${own[@]}" true 2>/dev/null || { echo "1..0 # SKIP no mounts of its own"; exit 0; }
    exec env INSTAR_FULL_DISK=1 "${own[@]}" "$0" "$@"
fi
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires mount
mkdir tiny
mount -t tmpfs -o size=24M tmpfs tiny 2>/dev/null || skip_all "a tmpfs cannot be mounted"
trap 'umount "$scratch/work/tiny"; test_end' EXIT
read -ra rooms <<<"${INSTAR_TEST_ROOMS:-0 8 100}"
turn=0
growing="qed vdi vhdx vmdk vpc parallels"
made="raw qcow2 qcow qed vdi vhdx vmdk vpc parallels"

# What each command starts from.
make_inputs() {
    mkdir base
    (
        cd base || exit
        text body 700k
        "$stock" create -q -f qcow2 -o cluster_size=4k a.qcow2 2M
        "$stock" convert -f raw -O raw body b.raw
        "$stock_io" -f qcow2 -c 'write -P 17 0 300k' -c 'write -P 18 1M 200k' -c 'write -z 1500k 64k' a.qcow2
        "$stock" snapshot -c one a.qcow2
        "$stock_io" -f qcow2 -c 'write -P 19 100k 300k' a.qcow2
        cp a.qcow2 marked.qcow2
        "$stock" bitmap --add -g 512 marked.qcow2 b0
        "$stock_io" -f qcow2 -c 'write -P 20 0 2M' marked.qcow2
        "$stock" create -q -f qcow2 -o cluster_size=4k -b a.qcow2 -F qcow2 top.qcow2
        "$stock_io" -f qcow2 -c 'write -P 21 64k 400k' -c 'write -z 1200k 64k' top.qcow2
        "$stock" create -q -f qcow2 -o cluster_size=8k other.qcow2 2M
        "$stock_io" -f qcow2 -c 'write -P 17 0 200k' -c 'write -P 33 1M 100k' other.qcow2
        "$stock" create -q -f qcow2 -o compat=0.10 old.qcow2 2M
        "$stock_io" -f qcow2 -c 'write -P 17 0 300k' old.qcow2
        cp a.qcow2 broken.qcow2
        "$stock_io" -f raw -c 'write -P 0 8192 64' broken.qcow2
        "$stock" create -f raw plain.raw 2M
        for format in $made; do
            "$stock" create -q -f "$format" "to.$format" 2M
            "$stock_io" -f "$format" -c 'write -P 17 0 100k' "to.$format"
        done
    ) >/dev/null
}

# fresh ROOM: the inputs, and a file that leaves so much of the disk.
fresh() {
    rm -rf tiny/*
    cp -a --sparse=always base tiny/work
    local free
    free=$(df --output=avail -k tiny | tail -1)
    fallocate -l $(((free - $1) * 1024)) tiny/ballast
}

# reads_as IMAGE RAW: the disk reads as that.
reads_as() {
    "$stock" compare -q -f "$(kind "$1")" -F raw "tiny/work/$1" "$2" >"$scratch/compared" 2>&1
}

kind() {
    case $1 in
    *.*) echo "${1##*.}" ;;
    esac
}

# corruptions IMAGE: how many stock finds; of a format without a check, or of what is no image, none. That a
# vdi counts more blocks than it has is its way to have leaks.
corruptions() {
    if [ "$(kind "$1")" = vdi ]; then
        "$stock" check -f vdi "tiny/work/$1" 2>&1 | grep ERROR | grep -vc 'allocated blocks mismatch'
        return
    fi
    "$stock" check -f "$(kind "$1")" --output=json "tiny/work/$1" 2>/dev/null |
        sed -n 's/.*"corruptions": \([0-9]*\).*/\1/p' | grep . || echo 0
}

# words FILE: its last line, but for places.
words() {
    tail -n 1 "$1" | sed -E 's/at byte [0-9]+/at byte N/'
}

# said_by_stock ROOM ARG...: whether stock has these words, with that room or with another one; it may also
# need none, or not notice.
said_by_stock() {
    local room ever=0
    for room in "$1" 0 4 8 16 40 100 300 1500; do
        fresh "$room"
        (cd tiny/work && exec "$stock" "${@:2}") >/dev/null 2>"$scratch/stock.err"
        [ $? -eq 1 ] || continue
        ever=1
        [ "$(words "$scratch/stock.err")" != "$(words "$scratch/stderr")" ] || return 0
    done
    return $ever
} 2>/dev/null

# one ROOM HOW IMAGE ARG...: ours; old, new and broken are what there was and will be.
one() {
    local room=$1 how=$2 image=$3
    shift 3
    fresh "$room"
    (cd tiny/work && INSTAR_QEMU_PROFILE=7.2 run "$@"; exit $code)
    code=$?
    if [ $code -eq 0 ]; then
        reads_as "$image" new || { diag "$room KiB: exit 0, and other content"; return 1; }
    else
        full=$((full + 1))
        exits 1 || { diag "$room KiB: exit $code"; return 1; }
        says 'No space left on device' || [ "$who" = stock ] || { diag "$room KiB: says something else"; return 1; }
    fi
    if [ "$how" = whole ] && ! reads_as "$image" old && ! reads_as "$image" new; then
        diag "$room KiB: the disk reads as neither before nor after"
        return 1
    fi
    [ "$(corruptions "$image")" -le "$broken" ] || { diag "$room KiB: it is corrupt"; return 1; }
    [ $code -eq 0 ] || [ "$who" = own ] || said_by_stock "$room" "$@" ||
        { diag "$room KiB: stock never says that"; return 1; }
}

# on_full HOW IMAGE ARG...: with each room; HOW: whole, or part when some of it may have been written;
# after "own-" stock cannot do it, or ends in an assertion, so that the words are our own.
on_full() {
    local how=${1#own-} image=$2 room who=stock
    [ "$how" = "$1" ] || who=own
    full=0
    fresh 0
    [ "$how" = part ] || "$stock" convert -f "$(kind "$image")" -O raw "tiny/work/$image" old
    broken=$(corruptions "$image")
    rm tiny/ballast
    (cd tiny/work && INSTAR_QEMU_PROFILE=7.2 run "${@:3}"; exit $code) || return
    "$stock" convert -f "$(kind "$image")" -O raw "tiny/work/$image" new
    local -a tried=("${rooms[@]}")
    [ -n "${INSTAR_TEST_ROOMS:-}" ] || tried=("${rooms[turn++ % 3]}")
    for room in "${tried[@]}"; do
        one "$room" "$how" "${@:2}" || return
    done
    diag "of ${#tried[@]} runs $full did not have the room"
}

commands=(
    'whole a.qcow2 snapshot -c two a.qcow2'
    'whole a.qcow2 snapshot -a one a.qcow2'
    'whole a.qcow2 snapshot -d one a.qcow2'
    'whole a.qcow2 resize -q a.qcow2 9G'
    'whole a.qcow2 resize -q --preallocation=metadata a.qcow2 1G'
    'whole a.qcow2 resize -q --preallocation=falloc a.qcow2 4M'
    'whole a.qcow2 resize -q --preallocation=full a.qcow2 4M'
    'whole a.qcow2 resize -q --shrink a.qcow2 1M'
    'whole plain.raw resize -q -f raw --preallocation=full plain.raw 4M'
    'whole plain.raw resize -q -f raw --preallocation=falloc plain.raw 4M'
    'whole top.qcow2 commit -q -f qcow2 top.qcow2'
    'whole top.qcow2 rebase -b other.qcow2 -F qcow2 top.qcow2'
    'whole top.qcow2 rebase -b  top.qcow2'
    'whole top.qcow2 rebase -u -b ./././././././././././a.qcow2 -F qcow2 top.qcow2'
    'whole top.qcow2 amend -f qcow2 -o compat=0.10 top.qcow2'
    'whole old.qcow2 amend -f qcow2 -o compat=1.1 old.qcow2'
    'whole a.qcow2 amend -f qcow2 -o refcount_bits=64 a.qcow2'
    'whole a.qcow2 amend -f qcow2 -o size=9G a.qcow2'
    'whole a.qcow2 bitmap --add -g 512 a.qcow2 b0'
    'whole marked.qcow2 bitmap --add --merge b0 -g 512 marked.qcow2 b1'
    'whole marked.qcow2 bitmap --clear marked.qcow2 b0'
    'whole marked.qcow2 bitmap --remove marked.qcow2 b0'
    'whole broken.qcow2 check -q -r all broken.qcow2'
    'part a.qcow2 bench -q -w -c 200 -d 1 -s 4096 -S 8192 -f qcow2 --pattern 5 a.qcow2'
)
for format in $growing; do
    commands+=("own-whole to.$format resize -q -f $format to.$format 600M")
done
for format in $made; do
    [ "$format" = vmdk ] && whose=own- || whose=
    commands+=("part to.$format convert -n -f qcow2 -O $format top.qcow2 to.$format")
    commands+=("${whose}part new.$format convert -f qcow2 -O $format top.qcow2 new.$format")
    commands+=("${whose}part new.$format dd -f qcow2 -O $format bs=64k if=top.qcow2 of=new.$format")
    commands+=("${whose}part new.$format create -q -f $format new.$format 2G")
done
plan ${#commands[@]}
make_inputs
for row in "${commands[@]}"; do
    IFS=' ' read -ra words <<<"${row//-b  /-b @ }"
    on_full "${words[@]/#@/}"
    ok "${row#* * }"
done
