#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An OVA is a tar archive with a disk in it: without -f the disk is meant, with
# -f raw the archive. Only what is inside the archive can be meant.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
command -v tar >/dev/null || { echo "1..0 # SKIP tar is not installed"; exit 0; }
plan 10

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
