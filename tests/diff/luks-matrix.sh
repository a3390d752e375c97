#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differential: LUKS in every cipher, mode, IV generator and hash, both ways. See luks_matrix.py.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$here/luks_matrix.py"
