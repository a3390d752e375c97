#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As an unprivileged user: images that may be read, may not be read, may not be
# written, and folders that may not be written.
. "$(dirname "$0")/../lib/libtest.sh"
requires setpriv
requires_stock
[ "$(id -u)" = 0 ] || skip_all "only root can become nobody"
setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$QEMU_IMG" ||
    skip_all "nobody may not run $QEMU_IMG"
plan 11

as_nobody() {
    run_any setpriv --reuid=65534 --regid=65534 --clear-groups "$QEMU_IMG" "$@"
}

mixed src.raw 4M
"$stock" convert -O qcow2 src.raw a.qcow2
cp a.qcow2 secret.qcow2
chmod 444 a.qcow2 src.raw
chmod 000 secret.qcow2
mkdir open closed
chmod 777 open
chmod 555 closed

as_nobody info a.qcow2
exits 0 && prints '^file format: qcow2$'
ok "info of a read-only image"

as_nobody check a.qcow2
exits 0
ok "check of a read-only image"

as_nobody convert -O raw a.qcow2 open/o.raw
exits 0 && cmp -s src.raw open/o.raw
ok "convert from a read-only image"

as_nobody compare a.qcow2 src.raw
exits 0
ok "compare of read-only images"

INSTAR_SANDBOX=process as_nobody info a.qcow2
exits 0
ok "info in the process cell"

if setpriv --reuid=65534 --regid=65534 --clear-groups test -r /dev/kvm; then
    skip "INSTAR_SANDBOX=kvm without /dev/kvm does not fall back" "nobody may open /dev/kvm here"
else
    INSTAR_SANDBOX=kvm as_nobody info a.qcow2
    exits 1 && says '/dev/kvm'
    ok "INSTAR_SANDBOX=kvm without /dev/kvm does not fall back"
fi

as_nobody info secret.qcow2
printf "qemu-img: Could not open 'secret.qcow2': Could not open 'secret.qcow2': Permission denied\n" >expected
exits 1 && said expected
ok "an unreadable image is refused in stock's words"

as_nobody resize a.qcow2 8M
printf "qemu-img: Could not open 'a.qcow2': Could not open 'a.qcow2': Permission denied\n" >expected
exits 1 && said expected && "$stock" compare -q a.qcow2 src.raw
ok "resize of a read-only image is refused and leaves it alone"

as_nobody create -q -f qcow2 closed/n.qcow2 1M
printf "qemu-img: closed/n.qcow2: Could not create 'closed/n.qcow2': Permission denied\n" >expected
exits 1 && said expected
ok "create in a closed folder is refused in stock's words"

as_nobody convert -O raw a.qcow2 closed/o.raw
printf "qemu-img: closed/o.raw: error while converting raw: Could not create 'closed/o.raw': Permission denied\n" >expected
exits 1 && said expected
ok "convert into a closed folder is refused in stock's words"

cp a.qcow2 closed/
chmod 555 closed
as_nobody info closed/a.qcow2
exits 0
ok "info in a closed folder needs no file of its own"
