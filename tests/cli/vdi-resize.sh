#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # lists of words are split on purpose
# VDI images change their size, which stock cannot do: what they hold is kept,
# what is new reads as zeros, and stock finds nothing wrong and can go on writing.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

# old size, written areas, new size, options of create
rows=(
    "5M 1M+1M,4M+64k 9M static=off"
    "5M 1M+1M,4M+64k 9M static=on"
    "5500k 0+5500k 9M static=off"
    "5500k 0+5500k 5700k static=on"
    "3M 0+3M 300M static=off"
    "3M 0+3M 3T static=off"
    "129M 100M+3M 200G static=off"
    "20M 1M+1M,10M+1M,19M+1M 300G static=on"
    "20M 0+20M 15M static=off"
    "20M 19M+1M,0+4M,8M+4M 10500k static=off"
    "20M 0+20M 1M static=on"
    "20M 19M+1M 512 static=off"
    "300G 0+1M,200G+1M 1G static=off"
    "5M 0+1M 5M static=off"
)
plan $((7 * ${#rows[@]} + 10))

for row in "${rows[@]}"; do
    read -r old areas new option <<<"$row"
    rm -f a.vdi ref.raw
    "$stock" create -q -f vdi -o "$option" a.vdi "$old"
    writes=()
    pattern=1
    for area in ${areas//,/ }; do
        writes+=(-c "write -q -P $pattern ${area%+*} ${area#*+}")
        pattern=$((pattern + 1))
    done
    "$stock_io" -f vdi "${writes[@]}" a.vdi
    "$stock" convert -n -O raw a.vdi ref.raw 2>/dev/null || "$stock" convert -O raw a.vdi ref.raw
    truncate -s "$new" ref.raw
    run resize --shrink -f vdi a.vdi "$new"
    exits 0 && prints '^Image resized\.$'
    ok "$old to $new, $option: resized"
    "$stock" check -q a.vdi
    ok "$old to $new, $option: stock's check finds nothing"
    run check a.vdi
    exits 0
    ok "$old to $new, $option: neither does ours"
    "$stock" compare -q -f vdi -F raw a.vdi ref.raw
    ok "$old to $new, $option: holds what it held, and zeros"
    "$stock_io" -f vdi -c "write -q -P 99 0 512" a.vdi && "$stock_io" -f raw -c "write -q -P 99 0 512" ref.raw &&
        "$stock" compare -q -f vdi -F raw a.vdi ref.raw && "$stock" check -q a.vdi
    ok "$old to $new, $option: stock writes into it"
    # there and back: what was cut off does not come back
    run resize --shrink -q -f vdi a.vdi 512 && run resize -q -f vdi a.vdi 30M && truncate -s 512 ref.raw &&
        truncate -s 30M ref.raw && "$stock" compare -q -f vdi -F raw a.vdi ref.raw
    ok "$old to $new, $option: what is cut off is gone"
    "$stock" check -q a.vdi
    ok "$old to $new, $option: and the image is sound"
done

for mode in metadata falloc full; do
    "$stock" create -q -f vdi p.vdi 3M
    run resize --preallocation=$mode p.vdi 6M
    exits 0 && "$stock" check -q p.vdi && "$stock" map --output=json p.vdi | grep -q '"start": 3145728,.*"data": true'
    ok "--preallocation=$mode allocates the new part"
    [ "$(stat -c %s p.vdi)" -ge $((3 << 20)) ]
    ok "--preallocation=$mode: the file has its room"
done
"$stock" create -q -f vdi e.vdi 3M
run resize e.vdi 1P
exits 1 && says 'Unsupported VDI image size'
ok "more than the map can hold is refused"
run resize e.vdi 2M
exits 1 && says 'Use the --shrink option'
ok "shrinking needs --shrink"
# blocks that the map names behind the disk's end, and bytes behind it in the last block
"$stock" create -q -f vdi h.vdi 5M
"$stock_io" -f vdi -c 'write -q -P 1 0 5M' h.vdi
printf '\0\002\060\0\0\0\0\0' | dd of=h.vdi bs=1 seek=368 conv=notrunc status=none # disk_size: 3 MiB and a sector
"$stock" convert -f vdi -O raw h.vdi h.raw
truncate -s 7M h.raw
run resize -f vdi h.vdi 7M
exits 0 && "$stock" compare -q -f vdi -F raw h.vdi h.raw
ok "what lay behind the end does not come to light"
"$stock" check -q h.vdi
ok "and the image is sound"
