#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The configuration file: what it sets, what wins over it, and what is wrong with it.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
plan 13
unset INSTAR_SANDBOX INSTAR_POLICY INSTAR_QEMU_PROFILE INSTAR_CELL_MEMORY INSTAR_CELL_TIMEOUT XDG_CONFIG_HOME
export HOME=$PWD/home

$stock create -q -f raw b.raw 1M
$stock create -q -f qcow2 -b b.raw -F raw a.qcow2

# configured TEXT: the user's file holds that.
configured() {
    mkdir -p home/.config/instar
    printf '%b' "$1" >home/.config/instar/instar.conf
}

run map a.qcow2
exits 0
ok "without a file all is as built"

configured '# nothing is followed\npolicy = strict\n'
run map a.qcow2
exits 1 && says 'the policy is strict'
ok "a file chooses the policy"
INSTAR_POLICY=default run map a.qcow2
exits 0
ok "the environment wins"
run info -f raw b.raw
exits 0
ok "and the rest works"

configured 'sandbox = process # no virtual machine\ncell_memory = 64M\n'
INSTAR_TRACE=cell run info a.qcow2
exits 0 && says 'cell process'
ok "a file chooses the kind of cell"

configured 'profile=7.2\n'
run info a.qcow2
exits 0 && ! prints 'Child node'
ok "a file chooses the profile"
INSTAR_QEMU_PROFILE=11.1 run info a.qcow2
prints 'Child node'
ok "which the environment overrules"

configured 'policy = strict\n'
mkdir -p elsewhere/instar
printf 'profile = 7.2\n' >elsewhere/instar/instar.conf
XDG_CONFIG_HOME=$PWD/elsewhere run map a.qcow2
exits 0
ok "XDG_CONFIG_HOME says where the file is"

configured 'colour = blue\n'
run info a.qcow2
exits 1 && says "home/\.config/instar/instar\.conf:1: unknown key 'colour'"
ok "an unknown key is an error with its place"
configured '\n\npolicy strict\n'
run info a.qcow2
exits 1 && says "instar\.conf:3: expected 'key = value'"
ok "so is a line without ="
configured 'policy = lax\n'
run info a.qcow2
exits 1 && says "'lax', but must be strict, default or qemu"
ok "and a word that means nothing"

if [ "$(id -u)" = 0 ]; then
    configured 'policy = strict\n'
    chmod 000 home/.config/instar/instar.conf
    chmod 755 "$scratch" "$PWD"
    run_any setpriv --reuid=65534 --clear-groups "$QEMU_IMG" info -f raw b.raw
    exits 1 && says 'Could not read the configuration file'
    ok "a file that cannot be read is an error"
    chmod 700 home
    run_any setpriv --reuid=65534 --clear-groups "$QEMU_IMG" info -f raw b.raw
    exits 0
    ok "another user's home is not"
else
    skip "unreadable files" "needs root" 2
fi
