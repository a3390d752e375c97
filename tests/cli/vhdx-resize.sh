#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # options are split on purpose
# A VHDX grows beyond what its block table has room for: the table moves, both
# region tables say so, and stock reads the result.
lib=$(cd "$(dirname "$0")/../lib" && pwd)
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

# creation options, size, room of the table in bytes (-: as made), sizes one after the other
rows=(
    "block_size=1M 9M - 200G 5M 1T 9M"
    "block_size=1M 3M 24 9M 30M 2M 70M"
    "block_size=8M 30M 32 40G 100M 9M 60M"
    "block_size=256M 30M 8 600M 64T 30M"
    "block_size=1M,log_size=3M 3M 24 9M 5000192 40M"
    "subformat=fixed,block_state_zero=off,block_size=1M 3M 24 9M 5M 40M"
    "subformat=fixed,block_size=1M 3500K 32 9M 40M"
)
plan $((6 * ${#rows[@]} + 6))

# table_of IMAGE: where its first region table says that the BAT is
table_of() { od -An -tu8 -j196640 -N8 "$1" | tr -d ' '; }

for row in "${rows[@]}"; do
    read -r options size room sizes <<<"$row"
    rm -f a.vhdx m.raw
    mixed m.raw "$size"
    "$stock" convert -f raw -O vhdx -o "$options" m.raw a.vhdx
    "$stock" convert -f vhdx -O raw a.vhdx m.raw
    [ "$room" = - ] || python3 "$lib/vhdx_edit.py" a.vhdx region.bat.length="$room"
    before=$(table_of a.vhdx)
    good=1
    for size in $sizes; do
        run resize --shrink -f vhdx a.vhdx "$size"
        exits 0 || good=
        [ "$size" = 64T ] || truncate -s "$size" m.raw # no file is as long
        run check -f vhdx a.vhdx
        exits 0 || good=
    done
    [ -n "$good" ]
    ok "$row: resized, and sound each time"
    [ "$(table_of a.vhdx)" -gt "$before" ] && cmp -s -n 65536 -i 196608:262144 a.vhdx a.vhdx
    ok "$row: the table has moved, and both region tables are the same"
    run_any "$stock" compare -f vhdx -F raw a.vhdx m.raw
    exits 0
    ok "$row: holds what it should, says stock"
    run_any "$stock" check -f vhdx a.vhdx
    exits 0
    ok "$row: is sound, says stock"
    "$stock_io" -f vhdx -c 'write -q -P 7 1M 1M' a.vhdx && "$stock_io" -f raw -c 'write -q -P 7 1M 1M' m.raw &&
        "$stock" compare -q -f vhdx -F raw a.vhdx m.raw
    ok "$row: stock writes into it"
    run check -f vhdx a.vhdx
    exits 0
    ok "$row: and it is sound after that"
done

# A table that is named too far back in the region table to be switched by one sector
"$stock" create -q -f vhdx -o block_size=1M a.vhdx 3M
python3 - a.vhdx "$lib" <<'EOF'
import struct, sys
sys.path.insert(0, sys.argv[2])
sys.dont_write_bytecode = True
import vhdx_edit
with open(sys.argv[1], "r+b") as f:
    f.seek(196608)
    table = bytearray(f.read(65536))
    rows = [bytes(table[16 + 32 * i:48 + 32 * i]) for i in range(2)]
    others = [bytes([i + 1]) * 16 + struct.pack("<QII", (i + 100) << 20, 1 << 20, 0) for i in range(16)]
    rows = [rows[1]] + others + [struct.pack("<16sQII", rows[0][:16], struct.unpack("<Q", rows[0][16:24])[0], 24, 1)]
    table[8:12] = struct.pack("<I", len(rows))
    table[16:16 + 32 * len(rows)] = b"".join(rows)
    table[4:8] = bytes(4)
    table[4:8] = struct.pack("<I", vhdx_edit.crc32c(bytes(table)))
    for at in (196608, 262144):
        f.seek(at)
        f.write(table)
EOF
run info a.vhdx
exits 0
ok "an image with eighteen regions opens"
cp a.vhdx before
run resize a.vhdx 9M
exits 1 && says 'too far back to be moved' && cmp -s a.vhdx before
ok "its table is not moved, and nothing has changed"
"$stock" create -q -f vhdx a.vhdx 3M
cp a.vhdx before
run resize a.vhdx 65T
exits 1 && says 'max of 64TB' && cmp -s a.vhdx before
ok "more than 64 TiB is refused"
run resize --preallocation=full a.vhdx 9M
exits 1 && says 'Preallocation is not supported' && cmp -s a.vhdx before
ok "preallocation is refused"

# What lies in the file behind the blocks of a fixed disk does not come to light in new ones.
"$stock" create -q -f vhdx -o subformat=fixed,block_size=1M,block_state_zero=off f.vhdx 3M
head -c 4M /dev/zero | tr '\0' x >>f.vhdx
truncate -s 5M z.raw
run resize f.vhdx 5M
exits 0 && "$stock" compare -q -f vhdx -F raw f.vhdx z.raw
ok "bytes behind a fixed disk do not show when it grows"
# In sectors of 4 KiB
"$stock" create -q -f vhdx -o block_size=1M s.vhdx 3M
"$stock_io" -f vhdx -c 'write -q -P 9 0 3M' s.vhdx
"$stock" convert -f vhdx -O raw s.vhdx s.raw
python3 "$lib/vhdx_edit.py" s.vhdx item.logical=4096 item.physical=4096 region.bat.length=24
truncate -s 5001216 s.raw
run resize s.vhdx 5000192
exits 0 && run compare -f vhdx -F raw s.vhdx s.raw && prints 'identical' && run info s.vhdx && prints '5001216 bytes'
ok "a disk of sectors of 4 KiB has whole sectors (stock reads none)"
test_end
