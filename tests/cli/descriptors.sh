#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Closed standard streams, and images named by an inherited descriptor.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan $((9 * $(nr_sandboxes)))

mixed src.raw 4M
"$stock" convert -O qcow2 src.raw a.qcow2

cases() {
    run_any bash -c 'exec "$QEMU_IMG" info a.qcow2 <&-'
    exits 0 && prints '^file format: qcow2$'
    ok "[$INSTAR_SANDBOX] info with standard input closed"

    run_any bash -c 'exec "$QEMU_IMG" convert -O raw a.qcow2 o.raw <&-'
    exits 0 && cmp -s src.raw o.raw
    ok "[$INSTAR_SANDBOX] convert with standard input closed"

    # With all three closed the image's own descriptors are 0, 1 and 2: nothing
    # that is printed may end up in a file.
    run_any bash -c 'exec "$QEMU_IMG" convert -p -O qcow2 src.raw o.qcow2 <&- >&- 2>&-'
    exits 0 && "$stock" compare -q src.raw o.qcow2 && "$stock" check -q o.qcow2
    ok "[$INSTAR_SANDBOX] convert with all standard streams closed writes only the image"

    run_any bash -c 'exec "$QEMU_IMG" info nosuch <&- >&- 2>&-'
    exits 1
    ok "[$INSTAR_SANDBOX] an error with all standard streams closed"

    run_any bash -c 'exec "$QEMU_IMG" info a.qcow2 >/dev/full'
    exits 0
    ok "[$INSTAR_SANDBOX] a full standard output is not noticed, as by stock"

    run_any bash -c 'exec 7<a.qcow2; exec "$QEMU_IMG" info --output=json /dev/fd/7'
    exits 0 && prints '"filename": "/dev/fd/7"' && prints '"format": "qcow2"'
    ok "[$INSTAR_SANDBOX] info /dev/fd/7"

    run_any bash -c 'exec 7<a.qcow2; exec "$QEMU_IMG" convert -O raw /dev/fd/7 o.raw'
    exits 0 && cmp -s src.raw o.raw
    ok "[$INSTAR_SANDBOX] convert from /dev/fd/7"

    run_any bash -c 'exec 7<a.qcow2; rm a.qcow2; "$QEMU_IMG" check /dev/fd/7; code=$?; cat <&7 >a.qcow2; exit $code'
    exits 0
    ok "[$INSTAR_SANDBOX] check of an image that has no name any more"

    truncate -s 0 t.qcow2
    run_any bash -c 'exec 8<>t.qcow2; exec "$QEMU_IMG" convert -O qcow2 src.raw /dev/fd/8'
    exits 0 && "$stock" compare -q src.raw t.qcow2
    ok "[$INSTAR_SANDBOX] convert to /dev/fd/8"
}
in_each_sandbox 9 cases
