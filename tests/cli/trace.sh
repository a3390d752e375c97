#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The two diagnostics: what the cell did, and what would be written.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 15

mixed src.raw 2M
"$stock" convert -O qcow2 src.raw a.qcow2
sum=$(sha256sum a.qcow2 src.raw)

run info a.qcow2
cp "$scratch/stdout" plain
INSTAR_TRACE=cell run info a.qcow2
exits 0 && printed plain
ok "INSTAR_TRACE=cell leaves standard output as it is"
says cell
ok "it tells on standard error"
says call && says read
ok "it counts calls and reads"

INSTAR_TRACE=cell run convert -O raw a.qcow2 o.raw
exits 0 && cmp -s src.raw o.raw && says cell
ok "convert is traced as well"

INSTAR_TRACE=cell run info -f raw src.raw
exits 0 && ! says 'kvm|process'
ok "-f raw needs no cell"

unchanged() {
    [ "$sum" = "$(sha256sum a.qcow2 src.raw)" ]
}
INSTAR_EXPLAIN=plan run resize a.qcow2 1G
exits 0 && unchanged
ok "INSTAR_EXPLAIN=plan resize leaves the image as it is"
[ -s "$scratch/stderr" ]
ok "and prints the plan"
INSTAR_EXPLAIN=plan run resize -f raw src.raw 3M
exits 0 && unchanged
ok "the same for raw"
INSTAR_EXPLAIN=plan run resize -f raw --shrink src.raw 1M
exits 0 && unchanged
ok "and for shrinking it"
INSTAR_EXPLAIN=plan run create -f qcow2 new.qcow2 1G
exits 0 && [ ! -s new.qcow2 ]
ok "create writes no image"
INSTAR_EXPLAIN=plan run create -f qcow2 a.qcow2 1G
exits 0 && unchanged
ok "and spares the one that is there"
INSTAR_EXPLAIN=plan run convert -O qcow2 src.raw a.qcow2
exits 0 && unchanged
ok "convert spares an existing target"
INSTAR_EXPLAIN=plan run rebase -b src.raw -F raw a.qcow2
exits 0 && unchanged && says 'backing|header'
ok "rebase leaves the overlay as it is"
"$stock" create -q -f qcow2 -b src.raw -F raw top.qcow2
INSTAR_EXPLAIN=plan run commit top.qcow2
exits 0 && unchanged && [ ! -s "$scratch/stdout" ]
ok "commit leaves the backing file as it is"
INSTAR_EXPLAIN=plan run info a.qcow2
exits 0 && printed plain && unchanged
ok "what writes nothing is not concerned"
