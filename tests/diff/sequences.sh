#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Differential: random sequences of commands that change an image. See sequences.py;
# `./dev soak sequences` runs many.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$here/sequences.py" "$@"
