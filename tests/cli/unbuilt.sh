#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2046 # lists of words are split on purpose
# What is not built yet says so, exits 1 and changes nothing; what has been
# built since does what stock does.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

commands=(
    "bench -c 10 a.qcow2"
    "convert --image-opts -O raw driver=qcow2,file.filename=a.qcow2 o.raw"
    "convert --target-image-opts -n a.qcow2 driver=raw,file.filename=there.raw"
    "convert -O vmdk a.qcow2 o.vmdk"
    "convert -r 1G -O raw a.qcow2 o.raw"
    "dd if=a.qcow2 of=o.raw"
    "info --image-opts driver=qcow2,file.filename=a.qcow2"
)
plan $((2 * ${#commands[@]}))

# inputs FOLDER
inputs() {
    rm -rf "$1"
    mkdir "$1"
    cp -a clean/. "$1"
}

mkdir clean
mixed clean/src.raw 1M
"$stock" convert -O qcow2 clean/src.raw clean/a.qcow2
"$stock" create -q -f raw clean/there.raw 1M
(cd clean && "$stock" create -q -f qcow2 -b a.qcow2 -F qcow2 top.qcow2 &&
    "$stock_io" -c 'write -P 7 0 64k' top.qcow2 >/dev/null)

for command in "${commands[@]}"; do
    inputs ours
    inputs theirs
    (cd theirs && "$stock" $command) >stock-out 2>stock-err
    stock_code=$?
    run_any env -C ours INSTAR_QEMU_PROFILE=7.2 "$QEMU_IMG" $command
    exits $stock_code || { exits 1 && says 'not (built|supported)'; }
    ok "$command: says that it is not built, or ends as stock does"
    if exits 1; then
        diff -r clean ours >"$scratch/stdout" 2>&1
    else
        "$stock" compare -q ours/a.qcow2 theirs/a.qcow2 &&
            "$stock" check -q ours/a.qcow2 && "$stock" compare -q ours/top.qcow2 theirs/top.qcow2
    fi
    ok "$command: leaves what stock leaves, or everything alone"
done
