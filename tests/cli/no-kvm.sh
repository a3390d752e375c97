#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which kind of cell runs where, and that its absence is said.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 9

mixed src.raw 2M
"$stock" convert -O qcow2 src.raw a.qcow2

# hidden COMMAND...: without /dev/kvm, in a mount namespace of its own.
hidden() {
    run_any unshare -m sh -c 'mount --bind /dev/null /dev/kvm && exec "$@"' sh "$@"
}

INSTAR_SANDBOX=process INSTAR_TRACE=cell run info a.qcow2
exits 0 && says process && ! says '\bkvm\b'
ok "INSTAR_SANDBOX=process runs the process cell"

if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
    INSTAR_SANDBOX=kvm INSTAR_TRACE=cell run info a.qcow2
    exits 0 && says kvm
    ok "INSTAR_SANDBOX=kvm runs the virtual machine"
    INSTAR_TRACE=cell run info a.qcow2
    exits 0 && says kvm
    ok "by default too"
    INSTAR_SANDBOX=auto INSTAR_TRACE=cell run info a.qcow2
    exits 0 && says kvm
    ok "and with auto"
else
    skip "the virtual machine runs" "/dev/kvm cannot be opened" 3
fi

if [ "$(id -u)" = 0 ] && [ -e /dev/kvm ] && unshare -m true 2>/dev/null; then
    INSTAR_TRACE=cell hidden "$QEMU_IMG" info a.qcow2
    exits 0 && says process
    ok "auto falls back where /dev/kvm is no KVM"
    INSTAR_SANDBOX=kvm hidden "$QEMU_IMG" info a.qcow2
    exits 1 && says 'kvm|virtual machine' && ! prints 'file format'
    ok "kvm does not fall back"
    hidden "$QEMU_IMG" convert -O raw a.qcow2 o.raw
    exits 0 && cmp -s src.raw o.raw
    ok "convert without KVM"
else
    skip "without /dev/kvm" "no mount namespace can be made, or there is no /dev/kvm" 3
fi

INSTAR_SANDBOX=bogus run info a.qcow2
exits 1 && says INSTAR_SANDBOX
ok "another word in INSTAR_SANDBOX is an error"
INSTAR_SANDBOX=bogus run info -f raw src.raw
exits 1 || exits 0
ok "also where no cell is needed it is no crash"
