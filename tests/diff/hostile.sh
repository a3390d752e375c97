#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differential: images that tools do not make. See cases/hostile.cases.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
command -v prlimit >/dev/null || { echo "1..0 # SKIP prlimit is not installed"; exit 0; }
exec python3 -B "$here/run.py" "$@" "$here/cases/hostile.cases"
