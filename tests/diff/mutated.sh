#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differential: damaged images. INSTAR_TEST_SEED and INSTAR_TEST_COUNT look at
# others, or at more; a failure found so becomes a case of its own.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
cases=$(mktemp "${TMPDIR:-/tmp}/instar-mutated.XXXXXX")
trap 'rm -f "$cases"' EXIT
python3 -B "$here/mutated_cases.py" "${INSTAR_TEST_SEED:-1}" "${INSTAR_TEST_COUNT:-25}" >"$cases" || exit 1
python3 -B "$here/run.py" "$@" "$cases"
