#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # options are split on purpose
# Every geometry of vpc, vhdx, vdi, parallels and qed is given other sizes, one
# after the other, and written to by stock in between: after each step the disk
# is what a raw one would be, for stock as well as for us, and check finds
# nothing but leaks (QED gives no clusters back; stock finds one in each empty
# Parallels image, its own as well). Over a backing file too.
lib=$(cd "$(dirname "$0")/../lib" && pwd)
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

# format, what is done to the new image, creation options
rows=(
    "vpc - subformat=dynamic,force_size=on"
    "vpc - subformat=dynamic,force_size=off"
    "vpc - subformat=fixed,force_size=on"
    "vpc - subformat=fixed,force_size=off"
    "vhdx - block_size=1M"
    "vhdx - block_size=2M,log_size=2M"
    "vhdx - block_size=16M,block_state_zero=off"
    "vhdx - block_size=256M,log_size=16M"
    "vhdx - subformat=fixed,block_size=1M"
    "vhdx - subformat=fixed,block_size=8M,block_state_zero=off"
    "vhdx sectors block_size=1M"
    "vhdx sectors subformat=fixed,block_size=2M,block_state_zero=off"
    "vdi - static=off"
    "vdi - static=on"
    "parallels - cluster_size=1M"
    "parallels - cluster_size=64k"
    "parallels - cluster_size=4k"
    "parallels - cluster_size=512"
    "parallels - cluster_size=32256"
    "parallels - cluster_size=2M"
    "parallels old cluster_size=1M"
    "parallels old cluster_size=64k"
    "parallels old cluster_size=32256"
    "parallels old cluster_size=512"
    "qed - cluster_size=4k,table_size=2"
    "qed - cluster_size=4k,table_size=16"
    "qed - cluster_size=64k,table_size=4"
    "qed - cluster_size=64k,table_size=8"
    "qed - cluster_size=1M,table_size=2"
    "qed - cluster_size=4M,table_size=2"
    "qed over cluster_size=4k,table_size=2"
    "qed over cluster_size=64k,table_size=4"
)
sizes="7M 7340544 12M 5000192 5001216 3M 33M 1M 512 9M"
over_sizes="7M 7340544 12M 5000192 33M 2M 9M" # never below the backing file: stock refuses to grow from there
plan $((3 * ${#rows[@]}))

# The first magic: entries of the BAT count sectors.
old_magic() {
    python3 - "$1" <<'EOF'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    head = bytearray(f.read(64))
    tracks, entries = struct.unpack_from("<II", head, 28)
    bat = struct.unpack("<%dI" % entries, f.read(4 * entries))
    head[0:16] = b"WithoutFreeSpace"
    f.seek(0)
    f.write(head + struct.pack("<%dI" % entries, *[e * tracks for e in bat]))
EOF
}

# write NUMBER: the same bytes into image and model, by stock where it can
write() {
    local at=$((size * ($1 * 37 % 100) / 100 / 4096 * 4096)) length=4096
    [ $((at + length)) -le "$size" ] || return 0
    "$stock_io" -f raw -c "write -q -P $(($1 + 1)) $at $length" m.raw || return 1
    if [ "$what" = sectors ]; then
        run bench -q -w -f "$format" -c 1 -s $length -o $at --pattern $(($1 + 1)) a.img && exits 0
    else
        "$stock_io" -f "$format" -c "write -q -P $(($1 + 1)) $at $length" a.img
    fi
}
# same: image and model, for us and, where it reads such images, for stock
same() {
    run compare -q -f "$format" -F raw a.img m.raw
    exits 0 && { [ "$what" = sectors ] || "$stock" compare -q -f "$format" -F raw a.img m.raw; }
}

for row in "${rows[@]}"; do
    read -r format what options <<<"$row"
    rm -f a.img m.raw b.raw
    noise b.raw 1M
    if [ "$what" = over ]; then
        "$stock" create -q -f "$format" -o "$options" -b b.raw -F raw a.img 5M
        cp b.raw m.raw
        truncate -s 5M m.raw
    else
        mixed m.raw 5M
        "$stock" convert -f raw -O "$format" -o "$options" m.raw a.img
        "$stock" convert -f "$format" -O raw a.img m.raw
    fi
    [ "$what" = old ] && old_magic a.img
    [ "$what" = sectors ] && python3 "$lib/vhdx_edit.py" a.img item.logical=4096 item.physical=4096
    resized=1 holds=1 sound=1 number=0
    [ "$what" = over ] && wanted=$over_sizes || wanted=$sizes
    for step in $wanted; do
        number=$((number + 1))
        run resize --shrink -f "$format" a.img "$step"
        exits 0 || { resized='' && echo "# $row: to $step" && sed 's/^/# /' "$scratch/stderr"; }
        truncate -s "$step" m.raw
        size=$(stat -c %s m.raw)
        [ "$what" = sectors ] && size=$(((size + 4095) / 4096 * 4096)) && truncate -s $size m.raw
        same && write $number && same || { holds='' && echo "# $row: at $step"; }
        run check -f "$format" a.img
        exits 0 || exits 3 || { sound='' && echo "# $row: after $step" && sed 's/^/# /' "$scratch/stdout"; }
        case $format in
            parallels | qed | vdi | vhdx)
                [ "$what" = sectors ] || "$stock" check -q -f "$format" a.img >stock.out 2>&1 || [ $? = 3 ] ||
                    { sound='' && echo "# $row: after $step" && sed 's/^/# stock: /' stock.out; } ;;
        esac
    done
    [ -n "$resized" ]
    ok "$row: gets every size"
    [ -n "$holds" ]
    ok "$row: holds what it should"
    [ -n "$sound" ]
    ok "$row: is sound"
done
test_end
