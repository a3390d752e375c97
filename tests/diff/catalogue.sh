#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differential: messages of the catalogue that nothing else provokes, against stock. See run.py.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$here/run.py" "$@" "$here/cases/catalogue.cases"
