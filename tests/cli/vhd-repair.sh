#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check of VHD and VHDX, which stock has little of: what is damaged is found and
# repaired, the disk reads as before, and stock reads the result.
lib=$(cd "$(dirname "$0")/../lib" && pwd)
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

plan 49

# fresh FORMAT: a.img with the content of m.raw
fresh() {
    [ -s m.raw ] || mixed m.raw 13M
    rm -f a.img
    case $1 in
    vpc) "$stock" convert -f raw -O vpc -o force_size=on m.raw a.img ;;
    *) "$stock" convert -f raw -O vhdx -o block_size=1M,block_state_zero=off m.raw a.img ;;
    esac
}
# repaired FORMAT TITLE FOUND: it is found, repaired, and nothing is left of it
repaired() {
    run check -f "$1" a.img
    { exits 2 || exits 3; } && says "$3"
    ok "$1: $2 is found"
    run check -r all -f "$1" a.img
    sound && prints 'The following inconsistencies were found and repaired'
    ok "$1: $2 is repaired"
    run check -f "$1" a.img
    sound && run_any "$stock" compare -f "$1" -F raw a.img m.raw && exits 0
    ok "$1: $2 leaves the disk as it was"
}
# sound: nothing is wrong but room that nobody uses
sound() { exits 0 || exits 3; }
# entry N: of the BAT of a VHD
entry() { python3 -c 'import sys; f = open("a.img", "rb"); f.seek(1536 + 4 * int(sys.argv[1]))
print(int.from_bytes(f.read(4), "big"))' "$1"; }

fresh vpc
printf 'xxxx' | dd of=a.img bs=1 seek=0 conv=notrunc status=none
repaired vpc 'a broken footer at the start' 'footer at the start'
fresh vpc
printf 'x' | dd of=a.img bs=1 seek=300 conv=notrunc status=none
repaired vpc 'a wrong checksum at the start' 'footer at the start'
fresh vpc
truncate -s -512 a.img
repaired vpc 'a footer missing at the end' 'no footer at the end'
fresh vpc
python3 "$lib/vhd_edit.py" a.img end.time_stamp=5
repaired vpc 'another footer at the end' 'footers at the start and the end'
fresh vpc
python3 "$lib/vhd_edit.py" a.img dynamic.checksum=5
repaired vpc 'a wrong checksum of the header' 'incorrect checksum'
fresh vpc
run_any "$stock" bench -f vpc -c 1 -w -s 2097152 -o 0 a.img
run_any "$stock" bench -f vpc -c 1 -w -s 2097152 -o 2097152 a.img
"$stock" convert -f vpc -O raw a.img m.raw
python3 "$lib/vhd_edit.py" a.img "bat.1=$(entry 0)"
repaired vpc 'two blocks in one place' 'lies over block'
run_any "$stock" bench -f vpc -c 1 -w -s 512 -o 0 --pattern 9 a.img
run_any "$stock" bench -f raw -c 1 -w -s 512 -o 0 --pattern 9 m.raw
run_any "$stock" compare -f vpc -F raw a.img m.raw
exits 0
ok "vpc: the blocks are two then"
fresh vpc
python3 "$lib/vhd_edit.py" a.img bat.0=2 # over the header: read as it is
"$stock" convert -f vpc -O raw a.img m.raw
run check -f vpc a.img
exits 2 && says 'over metadata'
ok "vpc: a block over metadata is found"
run check -r all -f vpc a.img
sound
ok "vpc: a block over metadata is moved"
run_any "$stock" info -f vpc a.img
exits 0
ok "vpc: and stock opens it"
rm m.raw
fresh vpc
python3 "$lib/vhd_edit.py" a.img bat.3=0x7fffffff
run check -f vpc a.img
exits 2 && says 'past the end of the file'
ok "vpc: a block past the end is found"
run info -f vpc a.img
exits 1
run check -r all -f vpc a.img
sound && run info -f vpc a.img && exits 0
ok "vpc: a block past the end is forgotten"
fresh vpc
run check -r leaks -f vpc a.img
exits 0 && prints 'No errors were found'
ok "vpc: nothing to repair"

# offset N: of the block of a VHDX that BAT entry N names
offset() { python3 -c 'import sys; f = open("a.img", "rb"); f.seek(2 * 2**20 + 8 * int(sys.argv[1]))
print(int.from_bytes(f.read(8), "little") >> 20 << 20)' "$1"; }
# damaged EDIT TITLE FOUND
damaged() {
    fresh vhdx
    python3 "$lib/vhdx_edit.py" a.img "$1"
    repaired vhdx "$2" "$3"
}
damaged header1.signature=0 'a broken header 1' 'header 1 is broken'
damaged header2.checksum=5 'a broken header 2' 'header 2 is broken'
damaged region1.signature=0 'a broken region table' 'region table 1 is broken'
damaged region2.count=7 'a broken copy of the region table' 'region table 2 is broken'
fresh vhdx
run_any "$stock" bench -f vhdx -c 1 -w -s 3145728 -o 0 a.img
python3 "$lib/vhdx_edit.py" a.img bat.1=$(($(offset 0) + 6))
"$stock" convert -f vhdx -O raw a.img m.raw
repaired vhdx 'two blocks in one place' 'lies over that of entry'
python3 "$lib/vhdx_edit.py" a.img bat.2=$((2 * 1048576 + 6))
run check -f vhdx a.img
exits 2 && says 'overlaps with region'
ok "vhdx: a block over the BAT is found"
run check -r all -f vhdx a.img
exits 0 && run info a.img && exits 0
ok "vhdx: a block over the BAT is moved"
rm m.raw
fresh vhdx
python3 "$lib/vhdx_edit.py" a.img bat.3=$((900 * 1048576 + 6))
run check -f vhdx a.img
exits 2 && says 'points after end of file'
ok "vhdx: a block past the end is found"
run check -r all -f vhdx a.img
exits 0 && run_any "$stock" check a.img && exits 0
ok "vhdx: a block past the end is forgotten, and stock finds nothing"
fresh vhdx
truncate -s -700000 a.img
run check -f vhdx a.img
exits 2 && says 'points after end of file'
ok "vhdx: a file that is cut is found"
run check -r all -f vhdx a.img
exits 0 && run_any "$stock" check a.img && exits 0
ok "vhdx: a file that is cut gets its length"
fresh vhdx
run create -q -f vhdx -b a.img -F vhdx c.img
run bench -f vhdx -c 9 -w -s 512 -S 700000 c.img
run check c.img
exits 0
ok "vhdx: a child with bitmaps is sound"
python3 "$lib/vhdx_edit.py" c.img bat.2048=0
run check c.img
exits 2 && says 'has no sector bitmap'
ok "vhdx: a bitmap that is missing is found"
run convert -f vhdx -O raw c.img o.raw
exits 1
ok "vhdx: and its block is not read"
test_end
