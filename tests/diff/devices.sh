#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differential: block devices, against stock. See run.py.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP only root can attach loop devices"; exit 0; }
losetup -f >/dev/null 2>&1 || { echo "1..0 # SKIP there are no loop devices"; exit 0; }
exec python3 -B "$here/run.py" "$@" "$here/cases/devices.cases" "$here/cases/devices-create.cases"
