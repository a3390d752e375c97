#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On a file system that shares blocks (XFS), a convert of uncompressed images moves no data.
. "$(dirname "$0")/../lib/libtest.sh"
requires mkfs.xfs strace losetup
requires_stock
[ "$(id -u)" -eq 0 ] || skip_all "only root can mount"
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"
truncate -s 600M disk
mkfs.xfs -q -m reflink=1 disk && mkdir mounted
mount -o loop disk mounted 2>/dev/null || skip_all "XFS cannot be mounted"
top=$PWD
trap 'cd "$top"; umount mounted; test_end' EXIT
cd mounted || exit
plan 9
truncate -s 40M mixed.raw
for at in 0 8M 24M; do
    noise piece 5M "$at"
    put piece mixed.raw "$at"
done
"$stock" convert -f raw -O qcow2 mixed.raw a.qcow2
sync

# written ARG...: bytes that the program itself writes; fails where the target differs.
written() {
    rm -f out
    strace -f -qq -e trace=pwrite64,pwritev,pwritev2 -o calls "$QEMU_IMG" convert "$@" out || return
    "$stock" compare mixed.raw out >/dev/null || { diag "the target differs"; return 1; }
    sed -n 's/.* = \([0-9]\+\)$/\1/p' calls | awk '{ sum += $1 } END { print sum + 0 }'
}

# moves_little ARG...: tables, and no more.
moves_little() {
    local bytes
    bytes=$(written "$@") || return
    [ "$bytes" -le $((512 << 10)) ] || { diag "wrote $bytes bytes"; return 1; }
}

moves_little -f raw -O raw mixed.raw
ok "raw to raw"
moves_little -f raw -O qcow2 mixed.raw
ok "raw to qcow2"
"$stock" check out >/dev/null
ok "which is sound"
moves_little -f qcow2 -O raw a.qcow2
ok "qcow2 to raw"
moves_little -f qcow2 -O qcow2 a.qcow2
ok "qcow2 to qcow2"

before=$(sha256sum <mixed.raw)
"$QEMU_IMG" convert -f raw -O raw mixed.raw out &&
    "$stock_io" -f raw -c 'write -P 99 0 40M' out >/dev/null && [ "$before" = "$(sha256sum <mixed.raw)" ]
ok "a write to the target does not reach the source"

bytes=$(written -S 4k -f raw -O raw mixed.raw) && [ "$bytes" -gt 1000000 ]
ok "-S asks for zeros to be looked for, so the data is read"
bytes=$(written -c -f raw -O qcow2 mixed.raw) && [ "$bytes" -gt 1000000 ]
ok "-c compresses"
"$stock" create -q -f qcow2 -o cluster_size=512 out 40M && mv out small.qcow2
"$stock" convert -n -f raw -O qcow2 mixed.raw small.qcow2
bytes=$(written -f qcow2 -O raw small.qcow2) && [ -n "$bytes" ]
ok "clusters smaller than a block are copied"
