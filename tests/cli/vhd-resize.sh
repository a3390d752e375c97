#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # options are split on purpose
# VHD and VHDX get another size, which stock cannot give them; stock reads the
# result, and it holds what a raw image of the same sizes holds.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

# format, creation options, sizes one after the other
rows=(
    "vpc force_size=on 9M 30M 9M 5000192 600M"
    "vpc force_size=off 9M 30M 2M"
    "vpc subformat=fixed,force_size=on 9M 30M 5M 9M"
    "vhdx block_size=1M 9M 30M 9M 5000192 60M"
    "vhdx block_size=8M 9M 30M 1M 9M"
    "vhdx subformat=fixed,block_state_zero=off 9M 30M 5M 9M"
)
plan $((3 * ${#rows[@]} + 2))

for row in "${rows[@]}"; do
    read -r format options size sizes <<<"$row"
    mixed m.raw "$size"
    rm -f a.img
    "$stock" convert -f raw -O "$format" -o "$options" m.raw a.img
    "$stock" convert -f "$format" -O raw a.img m.raw
    good=1
    for size in $sizes; do
        run resize --shrink -f "$format" a.img "$size"
        exits 0 || good=
        "$stock" resize -q --shrink -f raw m.raw "$size"
    done
    [ -n "$good" ]
    ok "$format $options: $sizes"
    run_any "$stock" compare -f "$format" -F raw a.img m.raw
    exits 0
    ok "$format $options: holds what it should, says stock"
    run check -f "$format" a.img
    exits 0 || exits 3
    ok "$format $options: is sound"
done

# A table of no entries has its new one where it was.
"$stock" create -q -f vpc -o force_size=on n.vpc 0
truncate -s 3M n.raw
run resize n.vpc 3M
exits 0 && run check n.vpc && exits 0 && "$stock" compare -q -f vpc -F raw n.vpc n.raw
ok "a VHD of nothing grows"
"$stock" create -q -f vpc a.vpc 1M
run resize a.vpc 3T
exits 1 && says 'too large'
ok "a VHD does not grow beyond 2040 GiB"
