#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differential: writing to images that were not closed, or whose header is out of date, against stock. See run.py.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$here/run.py" "$@" "$here/cases/dirty.cases" "$here/cases/untidy.cases"
