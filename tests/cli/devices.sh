#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Block devices: size from the device, not from the file; nothing created over it.
. "$(dirname "$0")/../lib/libtest.sh"
requires losetup
requires_stock
[ "$(id -u)" = 0 ] || skip_all "only root can attach loop devices"

mixed src.raw 4M
"$stock" convert -O qcow2 src.raw src.qcow2
truncate -s 8M disk
device=$(losetup -f --show disk 2>/dev/null) || skip_all "no loop device can be attached"
trap 'losetup -d "$device"; test_end' EXIT
plan $((8 * $(nr_sandboxes)))

cases() {
    dd if=/dev/zero of="$device" bs=1M count=8 status=none
    run info "$device"
    "$stock" info "$device" >expected
    INSTAR_QEMU_PROFILE=7.2 run info "$device"
    exits 0 && printed expected
    ok "[$INSTAR_SANDBOX] info"
    run convert -n -O raw src.raw "$device"
    exits 0 && cmp -s -n 4194304 src.raw "$device"
    ok "[$INSTAR_SANDBOX] convert -n to it"
    run convert -O raw src.qcow2 "$device"
    exits 0 && cmp -s -n 4194304 src.raw "$device"
    ok "[$INSTAR_SANDBOX] convert to it"
    run convert -O qcow2 src.raw "$device"
    exits 0 && "$stock" compare -q -f raw -F qcow2 src.raw "$device"
    ok "[$INSTAR_SANDBOX] convert to qcow2 on it"
    run convert -O raw "$device" o.raw
    exits 0 && cmp -s src.raw o.raw
    ok "[$INSTAR_SANDBOX] and back, by probing"
    run create -f qcow2 "$device" 4M
    exits 0 && "$stock" check -q "$device"
    ok "[$INSTAR_SANDBOX] create qcow2 on it"
    run create -f raw "$device" 16M
    printf "qemu-img: %s: Cannot grow device files\n" "$device" >expected
    exits 1 && said expected
    ok "[$INSTAR_SANDBOX] create raw larger than it is"
    run resize -f raw "$device" 16M
    exits 1 && [ "$(stat -c %s disk)" = 8388608 ]
    ok "[$INSTAR_SANDBOX] a device does not grow"
}
in_each_sandbox 8 cases
