#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Orchestrators run qemu-img with 1 GiB of address space and 2 s of processor.
. "$(dirname "$0")/../lib/libtest.sh"
requires prlimit
requires_stock
plan $((12 * $(nr_sandboxes)))

mixed src.raw 16M
"$stock" convert -O qcow2 src.raw a.qcow2
"$stock" convert -c -O qcow2 src.raw c.qcow2
"$stock" convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M src.raw z.qcow2
"$stock" create -q -f qcow2 -b a.qcow2 -F qcow2 top.qcow2
"$stock" create -q -f qcow2 huge.qcow2 64T

cases() {
    limited 2 info a.qcow2
    exits 0 && prints '^file format: qcow2$'
    ok "[$INSTAR_SANDBOX] info"
    limited 2 info --backing-chain --output=json top.qcow2
    exits 0 && prints '"backing-filename": "a.qcow2"'
    ok "[$INSTAR_SANDBOX] info of a chain"
    limited 2 info huge.qcow2
    exits 0
    ok "[$INSTAR_SANDBOX] info of 64 TiB"
    limited 2 check a.qcow2
    exits 0
    ok "[$INSTAR_SANDBOX] check"
    limited 2 map --output=json top.qcow2
    exits 0
    ok "[$INSTAR_SANDBOX] map"
    limited 2 compare src.raw top.qcow2
    exits 0 && prints '^Images are identical.$'
    ok "[$INSTAR_SANDBOX] compare"
    for source in a.qcow2 c.qcow2 z.qcow2; do
        limited 2 convert -O raw $source o.raw
        exits 0 && cmp -s src.raw o.raw
        ok "[$INSTAR_SANDBOX] convert $source to raw"
    done
    limited 2 convert -c -O qcow2 src.raw o.qcow2
    exits 0 && "$stock" compare -q src.raw o.qcow2
    ok "[$INSTAR_SANDBOX] convert -c to qcow2"
    limited 2 convert -W -m 16 -O qcow2 -o cluster_size=2M src.raw o.qcow2
    exits 0 && "$stock" compare -q src.raw o.qcow2
    ok "[$INSTAR_SANDBOX] convert with 16 workers and clusters of 2 MiB"
    limited 2 create -f qcow2 -o preallocation=metadata new.qcow2 4G
    exits 0 && "$stock" check -q new.qcow2
    ok "[$INSTAR_SANDBOX] create with preallocated metadata"
}
in_each_sandbox 12 cases
