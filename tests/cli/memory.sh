#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory of the whole process on large images: under 300 MiB, whatever is done to 1 TiB with all its
# tables, to 64 TiB, and to clusters of 4 KiB. What the host had at most and what the cells touched are
# added up, although in a machine's case the one contains the other.
. "$(dirname "$0")/../lib/libtest.sh"
requires python3
[ -z "${INSTAR_TEST_SANITIZED:-}" ] || skip_all "a sanitized build takes more"
truncate -s 2T sparse 2>/dev/null || skip_all "the file system has no files of 2 TiB"
rm sparse
plan 28

# peak ARG...: MiB of the command and of its cells.
peak() {
    INSTAR_TRACE=cell python3 -c '
import re, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
pages = sum(int(n) for n in re.findall(r"([0-9]+) pages touched", done.stderr))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024 + pages // 256)
sys.exit(done.returncode)
' "$QEMU_IMG" "$@"
}

# bounded ARG...: it succeeds, and stays below.
bounded() {
    local mib
    mib=$(peak "$@") || return 1
    [ "$mib" -lt 300 ] && return
    diag "$mib MiB"
    return 1
}

# each IMAGE MORE: whatever is done to an image; it is made larger by MORE.
each() {
    bounded check -q "$1"
    ok "$1: check"
    bounded map --output=json "$1"
    ok "$1: map"
    bounded measure -O qcow2 "$1"
    ok "$1: measure"
    bounded compare "$1" "$1"
    ok "$1: compare"
    bounded snapshot -c one "$1"
    ok "$1: snapshot -c"
    bounded check -q "$1"
    ok "$1: check of what is shared"
    bounded snapshot -a one "$1"
    ok "$1: snapshot -a"
    bounded snapshot -d one "$1"
    ok "$1: snapshot -d"
    bounded check -q -r all "$1"
    ok "$1: check -r"
    bounded amend -o refcount_bits=64 "$1"
    ok "$1: amend"
    bounded bitmap --add -g 64k "$1" b0
    ok "$1: bitmap"
    bounded resize -q "$1" "$2"
    ok "$1: resize"
}

bounded create -q -f qcow2 -o preallocation=metadata large 1T
ok "create with all tables, 1 TiB"
each large +63T
bounded check -q large
ok "64 TiB: check"
bounded snapshot -c two large
ok "64 TiB: snapshot -c"
rm large
bounded create -q -f qcow2 -o preallocation=metadata,cluster_size=4k small 16G
ok "create with all tables, 16 GiB in clusters of 4 KiB"
each small +7T
