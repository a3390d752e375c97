#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What stock qemu-img of every profile was seen to say, replayed. See replay.py.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
exec python3 -B "$here/replay.py" "$@" "$here"/*.transcript
