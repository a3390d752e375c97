#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the work costs in counts, which do not depend on the machine's load: a gate against slow
# decay. A bound is a little above what was counted when it was set.
. "$(dirname "$0")/../lib/libtest.sh"
requires strace python3 nm
[ -z "${INSTAR_TEST_SANITIZED:-}" ] || skip_all "a sanitized build counts otherwise"
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"
export INSTAR_SANDBOX=process # whose doorbells are system calls and seen by strace
plan 38

# 256 MiB, 96 MiB of it data in pieces of 1 MiB: every other MiB of the first 192.
python3 -c '
import random
r = random.Random(5)
with open("a.raw", "wb") as out:
    out.truncate(256 << 20)
    for n in range(0, 192, 2):
        out.seek(n << 20)
        out.write(r.randbytes(1 << 20))
'
data=$((96 << 20))
"$QEMU_IMG" convert -O qcow2 a.raw a.qcow2
"$QEMU_IMG" create -q -f qcow2 small.qcow2 1G

# cell FIELD ARG...: the largest number before FIELD in the traces of all cells.
cell() {
    local field=$1
    shift
    INSTAR_TRACE=cell "$QEMU_IMG" "$@" 2>&1 >/dev/null |
        sed -n "s/.*[^0-9]\([0-9]\+\) $field.*/\1/p" | sort -n | tail -1
}

# calls NAMES ARG...: how often the system calls were made, by all threads and processes.
calls() {
    local names=$1
    shift
    strace -f -qq -e trace="$names" -o trace "$QEMU_IMG" "$@" >/dev/null
    grep -cE '^[0-9]+ +(<\.\.\. )?[a-z0-9_]+(\(.*<unfinished|\(.* = )' trace
}

# moved: the bytes that the calls in the last trace moved.
moved() {
    sed -n 's/.* = \([0-9]\+\)$/\1/p' trace | awk '{ sum += $1 } END { print sum + 0 }'
}

at_most() {
    [ -n "$1" ] && [ "$1" -le "$2" ] && return
    diag "counted ${1:-nothing}, at most $2"
    return 1
}

at_most "$(cell 'calls' info small.qcow2)" 2
ok "info: calls of the cell"
at_most "$(cell 'upcalls' info small.qcow2)" 1
ok "info: reads that the cell asks for"
at_most "$(cell 'pages touched' info small.qcow2)" 25
ok "info: pages that the guest touches"
at_most "$(calls all info small.qcow2)" 260
ok "info: system calls"

# What every short command runs lies together: the linker script names it.
last=$(nm "$(dirname "$QEMU_IMG")/guest.elf" | sed -n 's/^0*\([0-9a-f]*\) [tT] \(node_open\|vmdk_probe\|qcow2_info\|fetch\|protobuf_c_message_unpack\)$/\1/p' | sort | tail -1)
at_most "$((0x${last:-ffffffff}))" $((0x400000 + 13 * 4096))
ok "info: the guest's code lies on few pages"

at_most "$(cell 'calls' convert -O raw a.qcow2 o)" 4
ok "qcow2 to raw: calls of the cell"
at_most "$(cell 'upcalls' convert -O raw a.qcow2 o)" 4
ok "qcow2 to raw: reads that the cell asks for"
at_most "$(calls pread64,preadv,preadv2 convert -O raw a.qcow2 o)" 130
ok "qcow2 to raw: reads"
at_most "$(moved)" $((data * 102 / 100))
ok "qcow2 to raw: each byte is read once"
at_most "$(calls pwrite64,pwritev,pwritev2 convert -O raw a.qcow2 o)" 120
ok "qcow2 to raw: writes"
at_most "$(moved)" "$data"
ok "qcow2 to raw: each byte is written once"

at_most "$(cell 'calls' convert -O qcow2 a.raw o)" 40
ok "raw to qcow2: calls of the cell"
at_most "$(calls pread64,preadv,preadv2 convert -O qcow2 a.raw o)" 130
ok "raw to qcow2: reads"
at_most "$(calls pwrite64,pwritev,pwritev2 convert -O qcow2 a.raw o)" 140
ok "raw to qcow2: writes"
at_most "$(moved)" $((data * 102 / 100))
ok "raw to qcow2: each byte is written once, and tables are small"

[ "$(calls fstatfs convert -O qcow2 a.raw o)" -le 1 ]
ok "raw to qcow2: what file system it is is asked at most once"
[ "$(calls fstatfs create -q -f qcow2 o 1G)" -eq 0 ]
ok "create: what file system it is does not matter"

# An overlay that gets all of the data back: other.qcow2 has it, empty.qcow2 does not.
fresh_overlay() {
    rm -f over.qcow2
    "$QEMU_IMG" create -q -f qcow2 -b "$1" -F qcow2 over.qcow2
}
"$QEMU_IMG" create -q -f qcow2 empty.qcow2 256M
rebase=(rebase -f qcow2 -b empty.qcow2 -F qcow2 over.qcow2)

fresh_overlay a.qcow2
at_most "$(cell 'calls' "${rebase[@]}")" $((data / (2 << 20) * 2 + 20))
ok "rebase: calls of the cell"
fresh_overlay a.qcow2
at_most "$(calls pread64,preadv,preadv2 "${rebase[@]}")" 130
ok "rebase: reads"
at_most "$(moved)" $((data * 102 / 100))
ok "rebase: each byte is read once, and nothing where the new backing file has zeros"
fresh_overlay a.qcow2
at_most "$(calls pwrite64,pwritev,pwritev2 "${rebase[@]}")" 120
ok "rebase: writes"
fresh_overlay a.qcow2
at_most "$(calls fdatasync "${rebase[@]}")" 12
ok "rebase: flushes"
fresh_overlay a.qcow2
[ "$(calls sync_file_range "${rebase[@]}")" -ge 2 ]
ok "rebase: the disk begins while the copy goes on"

# Eight MiB without a gap: what is compared is in memory twice, and so half as much at once.
head -c $((8 << 20)) /dev/urandom >dense.raw
"$QEMU_IMG" create -q -f qcow2 -b dense.raw -F raw over.qcow2
calls pread64,preadv,preadv2 "${rebase[@]}" >/dev/null
at_most "$(sed -n 's/.* = \([0-9]\+\)$/\1/p' trace | sort -n | tail -1)" $((1 << 20))
ok "rebase: no more than 1 MiB in one piece"

# An overlay of its own with all of the data; forgotten: how much of it the cache may give back.
commit_anew() {
    cp base.qcow2 under.qcow2
    cp holds.qcow2 over.qcow2
    calls fadvise64 commit -q "$@" over.qcow2 >/dev/null
}
forgotten() { sed -n 's/.*fadvise64([0-9]*, [0-9]*, \([0-9]*\), POSIX_FADV_DONTNEED.*/\1/p' trace | awk '{ sum += $1 } END { print sum + 0 }'; }
"$QEMU_IMG" create -q -f qcow2 base.qcow2 256M
cp base.qcow2 under.qcow2
"$QEMU_IMG" convert -O qcow2 a.raw holds.qcow2
"$QEMU_IMG" rebase -u -b under.qcow2 -F qcow2 holds.qcow2

commit_anew
[ "$(forgotten)" -ge $((data / 2)) ]
ok "commit: what is freed afterwards leaves the cache while the copy goes on"
commit_anew -d
[ "$(forgotten)" -eq 0 ]
ok "commit -d: the overlay stays in the cache"

# 64 GiB with all its tables: 2 MiB of refcounts, 8 MiB as wide as can be.
"$QEMU_IMG" create -q -f qcow2 -o preallocation=metadata tables.qcow2 64G
at_most "$(calls pread64,preadv,preadv2 amend -o refcount_bits=64 tables.qcow2)" 56
ok "amend to wider refcounts: reads"
at_most "$(moved)" $(((2 << 20) + (300 << 10)))
ok "amend to wider refcounts: each block is read once"
at_most "$(calls pread64,preadv,preadv2 amend -o refcount_bits=16 tables.qcow2)" 32
ok "amend to narrower refcounts: reads"
at_most "$(moved)" $(((8 << 20) + (300 << 10)))
ok "amend to narrower refcounts: each block is read once"
at_most "$(calls all amend -o refcount_bits=64 tables.qcow2)" 400
ok "amend: system calls"

# 16 GiB in clusters of 4 KiB: 32 MiB of L2 tables and 8 of refcounts, which are read three times.
"$QEMU_IMG" create -q -f qcow2 -o preallocation=metadata,cluster_size=4k fine.qcow2 16G
at_most "$(cell 'upcalls' snapshot -c s1 fine.qcow2)" 650
ok "snapshot -c, small clusters: reads that the cell asks for"
calls pread64,preadv,preadv2 snapshot -c s2 fine.qcow2 >/dev/null
at_most "$(moved)" $((130 << 20))
ok "snapshot -c, small clusters: bytes read"
at_most "$(cell 'upcalls' snapshot -d s2 fine.qcow2)" 600
ok "snapshot -d, small clusters: reads that the cell asks for"

# Threads, which are what -m is about: no more of them than processors, which is what they need.
# A thread is also made where the kernel has no clone3: both are counted, and forks are not.
threads() {
    strace -f -qq -e trace=clone,clone3 -o trace "$QEMU_IMG" "$@" >/dev/null
    grep -cE 'CLONE_THREAD' trace
}
many=$(nproc)
[ "$many" -le 8 ] || many=8
[ "$(threads convert -m 1 -O raw a.raw o)" -le 1 ]
ok "-m 1: one thread copies"
nr=$(threads convert -m 16 -O raw a.raw o)
[ "$nr" -le "$(nproc)" ] && [ "$nr" -ge 1 ]
ok "-m 16: no more threads than processors"
at_most "$(threads convert -O raw a.raw o)" "$many"
ok "no -m: at most eight threads"

# 24 MiB of data at 16 MiB a second take more than a second, whatever the machine is busy with.
head -c $((48 << 20)) a.raw >rate.raw
cp --sparse=always rate.raw rate.sparse
start=$(date +%s%N)
"$QEMU_IMG" convert -r 16M -f raw -O raw rate.sparse o
[ $(($(date +%s%N) - start)) -ge 1300000000 ]
ok "-r: no faster than asked for"
