#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2046 # lists of words are split on purpose
# What a limit kills must look killed, and what a limit refuses must say so: a
# caller tells the two apart.
. "$(dirname "$0")/../lib/libtest.sh"
requires prlimit
requires_stock
plan $((3 * $(nr_sandboxes)))

noise src.raw 64M
"$stock" convert -c -O qcow2 -o cluster_size=512 src.raw slow.qcow2
for n in $(seq 1 100); do
    "$stock" create -q -f qcow2 -u -b "$((n - 1)).qcow2" -F qcow2 $n.qcow2 1M
done
"$stock" create -q -f qcow2 0.qcow2 1M

cases() {
    (
        ulimit -n 40
        run map 100.qcow2
        exits 1 && says 'Too many open files'
    )
    ok "[$INSTAR_SANDBOX] a chain of more files than may be open is a clear error"
    if [ -n "${INSTAR_TEST_SANITIZED:-}" ]; then
        skip "[$INSTAR_SANDBOX] too little address space" "a sanitized build needs terabytes of it"
    else
        run_any prlimit --as=8388608 "$QEMU_IMG" info slow.qcow2
        [ "$code" -ne 0 ] && [ "$code" -ne 139 ]
        ok "[$INSTAR_SANDBOX] too little address space for the cell is no crash"
    fi
    run_any bash -c 'ulimit -f 1024; trap "" XFSZ; exec "$QEMU_IMG" convert -f raw -O raw src.raw o.raw'
    exits 1 && says 'too large'
    ok "[$INSTAR_SANDBOX] a target larger than RLIMIT_FSIZE is a clear error"
    rm -f o.raw
}
in_each_sandbox 3 cases
