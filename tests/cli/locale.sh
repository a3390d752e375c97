#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Words and numbers do not depend on the environment.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 8

"$stock" create -q -f qcow2 'ä.qcow2' 1610612736
for locale in C POSIX C.UTF-8 nonsense; do
    LC_ALL=$locale run info 'ä.qcow2'
    exits 0 && prints '^virtual size: 1.5 GiB \(1610612736 bytes\)$' && prints '^image: ä.qcow2$'
    ok "info in the locale $locale"
done

POSIXLY_CORRECT=1 run info 'ä.qcow2' --output=json
exits 1 && says 'Expecting one image file name'
ok "POSIXLY_CORRECT ends the options at the first operand"
POSIXLY_CORRECT=1 run info --output=json 'ä.qcow2'
exits 0 && prints '"format": "qcow2"'
ok "and options before it work"

TZ=Asia/Tokyo "$stock" snapshot -c s1 'ä.qcow2'
TZ=America/New_York "$stock" info 'ä.qcow2' >expected
TZ=America/New_York INSTAR_QEMU_PROFILE=7.2 run info 'ä.qcow2'
exits 0 && printed expected
ok "snapshot dates are in the local time of TZ"

run_any env -i "$QEMU_IMG" info 'ä.qcow2'
exits 0
ok "an empty environment is enough"
