#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differential: random command lines, with stock 7.2. INSTAR_TEST_SEED and INSTAR_TEST_COUNT look at
# others, or at more (./dev soak argv); a difference found so becomes a case of its own.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
INSTAR_TEST_PROFILES=${INSTAR_ARGV_PROFILES:-7.2} \
    python3 -B "$here/argv_run.py" "${INSTAR_TEST_SEED:-1}" "${INSTAR_TEST_COUNT:-120}" "$@"
