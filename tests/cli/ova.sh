#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An OVA is a tar archive with a disk in it: without -f the disk is meant, with
# -f raw the archive. Only what is inside the archive can be meant.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
command -v tar >/dev/null || { echo "1..0 # SKIP tar is not installed"; exit 0; }
plan $((10 + 3 * 7 + 3))

mixed src.raw 3M
"$stock" convert -O vmdk -o subformat=streamOptimized src.raw disk.vmdk
printf '<Envelope/>' >x.ovf
tar cf x.ova x.ovf disk.vmdk

run info x.ova
exits 0 && prints '^file format: vmdk$' && prints '^virtual size: 3 MiB'
ok "info shows the disk"
run convert -O raw x.ova o.raw
exits 0 && cmp -s src.raw o.raw
ok "convert reads the disk"
run compare x.ova src.raw
exits 0
ok "compare as well"
run info -f raw x.ova
exits 0 && prints '^file format: raw$'
ok "-f raw means the archive"
run convert -f raw -O raw x.ova o.raw
exits 0 && cmp -s x.ova o.raw
ok "and copies it as it is"
cp x.ova x.tar
run info x.tar
exits 0 && prints '^file format: raw$'
ok "other names are no archives, as in stock"
tar cf empty.ova x.ovf
run info empty.ova
exits 0 && prints '^file format: raw$'
ok "an archive without a disk is raw, as in stock"

printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n' >disk.vmdk
tar cf evil.ova disk.vmdk
run convert -O raw evil.ova e.raw
exits 1 && says 'must lie in the image' && ! grep -q root: e.raw 2>/dev/null
ok "a descriptor inside is under the same policy"
cp x.ova long.ova
poke long.ova $((1024 + 124)) 37373737373737373737
run info long.ova
exits 0 && prints '^file format: raw$'
ok "a member that is longer than the archive is none"
cp x.ova loop.ova
poke loop.ova 124 80ffffffffffffffffffffff
run info loop.ova
exits 0 && prints '^file format: raw$'
ok "a size that no file has ends the search"

# What stock makes of the disk when it is told where it lies.
# plain: a map without what tells file from file, or version from version
plain() {
    sed 's/, "offset": [0-9]*//; s/, "compressed": [a-z]*//; s/"present": [a-z]*, //'
}
for kind in streamOptimized monolithicSparse ours; do
    rm -f disk.vmdk
    case $kind in
    ours) "$QEMU_IMG" convert -O vmdk -o subformat=streamOptimized src.raw disk.vmdk ;;
    *) "$stock" convert -O vmdk -o "subformat=$kind" src.raw disk.vmdk ;;
    esac
    tar cf y.ova x.ovf disk.vmdk
    offset=1536
    spec=driver=vmdk,file.driver=raw,file.offset=$offset,file.size=$(stat -c %s disk.vmdk),file.file.driver=file,file.file.filename=y.ova
    cmp -s <(tail -c +$((offset + 1)) y.ova | head -c "$(stat -c %s disk.vmdk)") disk.vmdk
    ok "$kind: the disk is where the test says"
    run map --output=json y.ova
    exits 0 && cmp -s <(plain <"$scratch/stdout") <("$stock" map --output=json --image-opts "$spec" | plain)
    ok "$kind: map"
    run measure -O qcow2 y.ova
    exits 0 && cmp -s "$scratch/stdout" <("$stock" measure -O qcow2 --image-opts "$spec")
    ok "$kind: measure"
    run check y.ova
    exits 0 && prints 'No errors'
    ok "$kind: check"
    run dd if=y.ova of=o.raw bs=3000 skip=11 count=200
    exits 0 && "$stock" dd -f raw -O raw if=src.raw of=p.raw bs=3000 skip=11 count=200 && cmp -s o.raw p.raw
    ok "$kind: dd"
    run convert -O qcow2 y.ova o.qcow2
    exits 0 && "$stock" compare -q o.qcow2 src.raw && "$stock" check -q o.qcow2
    ok "$kind: convert to qcow2"
    run bench -q -c 3 y.ova
    exits 0
    ok "$kind: bench"
done

# Whoever writes means the archive, as in stock.
cp y.ova z.ova
run resize --shrink -f vmdk z.ova 1M
exits 1 && cmp -s y.ova z.ova
ok "the disk inside is not written to"
run check -r all z.ova
exits 63 && cmp -s y.ova z.ova
ok "nor repaired"
tar cf two.ova disk.vmdk x.ovf disk.vmdk
run info two.ova
exits 0 && prints '^file format: vmdk$'
ok "of two disks the first is meant"
