#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2046 # lists of words are split on purpose
# Compressed clusters that unpack to more than a cluster, or ask for memory to
# do so: the answer is the right content or a refusal, and it is cheap.
. "$(dirname "$0")/../lib/libtest.sh"
requires prlimit python3
images="compressed-bomb zstd-bomb zstd-window-1g zstd-window-huge zstd-content-size-huge"
plan $((5 * 3 * $(nr_sandboxes)))

# The guest cluster with the bomb is the third: what it may unpack to.
begins_right() {
    python3 -c '
import sys
data = open("o.raw", "rb").read()
third = data[131072:196608]
sys.exit(not (len(data) == 1 << 20 and len(set(third)) == 1 and third[0] in b"\0z"))
'
}

cases() {
    for image in $images; do
        fab $image a.qcow2
        limited 3 convert -O raw a.qcow2 o.raw
        { exits 0 && begins_right; } || { exits 1 && says '^qemu-img: error while reading at byte 131072: '; }
        ok "[$INSTAR_SANDBOX] $image: convert"
        rm -f o.raw
        limited 3 compare a.qcow2 a.qcow2
        exits 0 || { exits 4 && says '^qemu-img: Error while reading offset 131072 '; }
        ok "[$INSTAR_SANDBOX] $image: compare"
        limited 3 info a.qcow2
        exits 0
        ok "[$INSTAR_SANDBOX] $image: info unpacks nothing"
    done
}
in_each_sandbox 15 cases
