#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Targets that fail: full disks, devices, pipes; and what is left of the source.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 8

mixed src.raw 8M
noise noise.raw 8M
"$stock" convert -O qcow2 src.raw a.qcow2
sum=$(sha256sum a.qcow2 src.raw)

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    mkdir full
    on_full() {
        run_any unshare -m sh -c 'mount -t tmpfs -o size=2m none full && exec "$@"' sh "$@"
    }
    on_full "$QEMU_IMG" convert -O raw noise.raw full/o.raw
    exits 1 && says 'No space left on device'
    ok "convert to raw on a full disk"
    on_full "$QEMU_IMG" convert -O qcow2 noise.raw full/o.qcow2
    exits 1 && says 'No space left on device'
    ok "convert to qcow2 on a full disk"
    on_full "$QEMU_IMG" convert -c -O qcow2 noise.raw full/o.qcow2
    exits 1 && says 'No space left on device'
    ok "convert -c on a full disk"
    on_full "$QEMU_IMG" create -f qcow2 -o preallocation=full full/o.qcow2 8M
    exits 1 && says 'No space left on device'
    ok "create with full preallocation on a full disk"
else
    skip "a full disk" "no mount namespace can be made" 4
fi

run convert -O raw a.qcow2 /dev/null
exits 0 || exits 1
ok "/dev/null as a target is no crash"
run info /dev/null
exits 0 || exits 1
ok "/dev/null as an image is no crash"
mkfifo pipe
TEST_TIMEOUT=10 run info pipe
[ "$code" -ne 137 ]
ok "a pipe as an image does not hang"
[ "$sum" = "$(sha256sum a.qcow2 src.raw)" ]
ok "the sources are as they were"
