#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real program, killed at its writes, and with writes refused (EIO, ENOSPC):
# stock finds no more corruption afterwards than before, and the disk reads as before the command or as after it.
#
# strace does the harm: it makes the Nth call of a kind fail or ends the process there. The other
# harness (test_crash.c) cuts between the ops of a plan; this one tests how they are applied.
. "$(dirname "$0")/../lib/libtest.sh"
requires strace
requires_stock
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"
[ -z "${INSTAR_TEST_SANITIZED:-}" ] || skip_all "a sanitized build takes too long under strace"
writes=pwrite64,pwritev,pwritev2,ftruncate,fallocate,fdatasync,fsync,copy_file_range
each=${INSTAR_TEST_INTERRUPTS:-16} # so many writes are tried one by one, later ones with gaps

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
        "$stock" create -q -f qcow2 -o cluster_size=4k -b a.qcow2 -F qcow2 top.qcow2
        "$stock_io" -f qcow2 -c 'write -P 21 64k 400k' -c 'write -z 1200k 64k' top.qcow2
        "$stock" create -q -f qcow2 -o cluster_size=8k other.qcow2 2M
        "$stock_io" -f qcow2 -c 'write -P 17 0 200k' -c 'write -P 33 1M 100k' other.qcow2
        # leaks and a wrong count, for check -r
        cp a.qcow2 broken.qcow2
        "$stock_io" -f raw -c 'write -P 0 8192 64' broken.qcow2
    ) >/dev/null
}

# content IMAGE: a sum of what a reader of the disk sees, and its size.
content() {
    "$stock" convert -U -O raw "$1" seen.raw 2>/dev/null && sha256sum <seen.raw
}

# errors IMAGE: how many corruptions stock finds.
errors() {
    "$stock" check -U --output=json "$1" 2>/dev/null | sed -n 's/.*"corruptions": \([0-9]*\).*/\1/p' | grep . || echo 0
}

# sound IMAGE MOST: stock can check it, and finds no more corruptions than that.
sound() {
    "$stock" check -U "$1" >report 2>&1
    case $? in
    0 | 2 | 3) [ "$(errors "$1")" -le "$2" ] && return ;;
    esac
    sed 's/^/# /' report
    return 1
}

fresh() {
    rm -rf work
    cp -a --sparse=always base work
    cd work || exit
}

# interrupted HOW IMAGES COMMAND...: the command with each of its writes hit in turn.
#   HOW: kill or the name of an error;  IMAGES: those that must stay sound, the first is read as well
interrupted() {
    local how=$1 images=$2 image n status old new now inject broken
    shift 2
    local first=${images%% *}
    fresh
    old=$(content "$first")
    broken=$(errors "$first")
    "$QEMU_IMG" "$@" >/dev/null 2>&1
    new=$(content "$first")
    cd ..
    for ((n = 1; ; n += n < each ? 1 : n / 4)); do
        fresh
        case $how in
        kill) inject=$writes:signal=KILL:when=$n ;;
        *) inject=$writes:error=$how:when=$n ;;
        esac
        status=$(
            exec 2>/dev/null # where the shell tells that something was killed
            strace -f -qq -o ../trace -e trace="$writes" -e inject="$inject" "$QEMU_IMG" "$@" >../said 2>&1
            echo $?
        )
        grep -qE 'INJECTED|killed by SIGKILL' ../trace || { cd ..; break; }
        for image in $images; do
            sound "$image" "$broken" || { diag "$how at write $n of: $*"; cd ..; return 1; }
        done
        now=$(content "$first")
        if [ "$now" != "$old" ] && [ "$now" != "$new" ]; then
            diag "$how at write $n of: $*: the disk reads as neither before nor after"
            cd ..
            return 1
        fi
        hits=$((hits + 1))
        if [ "$how" != kill ] && { [ "$status" -gt 1 ] || [ ! -s ../said ]; }; then
            # A flush of a closing descriptor may be past the point of no return: then all is done.
            if [ "$status" -ne 0 ] || [ "$now" != "$new" ]; then
                diag "$how at write $n of: $*: exit $status: $(cat ../said)"
                cd ..
                return 1
            fi
        fi
        cd ..
    done
    [ $n -gt 1 ] || { diag "nothing was interrupted"; return 1; }
}

commands=(
    'a.qcow2|snapshot -c two a.qcow2'
    'a.qcow2|snapshot -a one a.qcow2'
    'a.qcow2|snapshot -d one a.qcow2'
    'a.qcow2|resize a.qcow2 40M'
    'top.qcow2 a.qcow2|commit -f qcow2 top.qcow2'
    'top.qcow2|rebase -b other.qcow2 -F qcow2 top.qcow2'
    'top.qcow2|rebase -u -b ./././././a.qcow2 -F qcow2 top.qcow2'
    'broken.qcow2|check -r all broken.qcow2'
    'a.qcow2|resize --shrink a.qcow2 1M'
    'top.qcow2|amend -f qcow2 -o compat=0.10 top.qcow2'
    'a.qcow2|amend -f qcow2 -o refcount_bits=64 a.qcow2'
    'top.qcow2|bitmap --add --clear -g 4k top.qcow2 marks'
)
hits=0
plan $((3 * ${#commands[@]}))
make_inputs
for row in "${commands[@]}"; do
    # shellcheck disable=SC2086 # words of a command line
    for how in kill EIO ENOSPC; do
        interrupted "$how" "${row%%|*}" ${row#*|}
        ok "$how: ${row#*|}"
    done
done
diag "$hits interruptions"
