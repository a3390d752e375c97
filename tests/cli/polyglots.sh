#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks whose content looks like another format: a guest can write whatever it
# likes into its raw disk, and -f is the caller's word against it.
. "$(dirname "$0")/../lib/libtest.sh"
requires python3
requires_stock
plan 19

secret=$scratch/secret
yes 'the canary sings' | head -c 1M >"$secret"
secret_sum=$(sha256sum "$secret")
export CANARY=$secret

kept() {
    [ "$secret_sum" = "$(sha256sum "$secret")" ]
}
tells() { # whether a file or the output has the secret in it
    grep -qF 'canary sings' "$@" "$scratch/stdout" "$scratch/stderr" 2>/dev/null
}

# A raw guest disk with a qcow2 header in its first sectors, naming the secret.
mixed disk.raw 2M
fab data-file-canary header
fab backing-canary backing-header
for kind in header backing-header; do
    cp disk.raw guest.raw
    put $kind guest.raw 0
    before=$(sha256sum guest.raw)

    run info -f raw guest.raw
    exits 0 && prints '^file format: raw$' && ! prints "$secret"
    ok "$kind: info -f raw sees raw"
    run convert -f raw -O raw guest.raw o.raw
    exits 0 && cmp -s guest.raw o.raw && ! tells o.raw
    ok "$kind: convert -f raw copies the bytes"
    run convert -f raw -O qcow2 guest.raw o.qcow2
    exits 0 && "$stock" compare -q -f raw -F qcow2 guest.raw o.qcow2 && ! tells o.qcow2
    ok "$kind: so it does to qcow2"
    run compare -f raw -F raw guest.raw o.raw
    exits 0
    ok "$kind: compare -f raw -F raw"
    [ "$before" = "$(sha256sum guest.raw)" ] && kept
    ok "$kind: nothing was written"
    run resize -f raw guest.raw 3M
    exits 0 && [ "$(stat -c %s guest.raw)" = 3145728 ] && kept
    ok "$kind: resize -f raw makes the file longer and touches nothing else"
done

cp header probed.qcow2
run resize probed.qcow2 8M
exits 1 && kept
ok "a probed image does not get its data file resized"
run convert -O raw header o.raw
exits 1 && kept && ! tells o.raw
ok "nor read"

# A backing file declared raw stays raw, whatever is in it.
"$stock" create -q -f qcow2 -u -b guest.raw -F raw over.qcow2 3M
cp disk.raw guest.raw
put backing-header guest.raw 0
truncate -s 3M guest.raw
run convert -O raw over.qcow2 o.raw
exits 0 && cmp -s guest.raw o.raw && ! tells o.raw
ok "a backing file declared raw is not probed"

# Heads and tails of other formats on a disk of whole sectors.
truncate -s 1M tail.raw
printf 'conectix' | dd of=tail.raw bs=1 seek=1048064 conv=notrunc status=none
"$stock" info tail.raw >expected
INSTAR_QEMU_PROFILE=7.2 run info tail.raw
{ exits 0 && printed expected; } || { exits 1 && says vpc; }
ok "the tail of a fixed VHD: as stock, or refused by name"
truncate -s 1M head.raw
printf 'LUKS\272\276\000\001' | dd of=head.raw conv=notrunc status=none
run convert -O raw head.raw o.raw
exits 1
ok "a LUKS head is not handed out as raw"
run convert -f raw -O raw head.raw o.raw
exits 0 && cmp -s head.raw o.raw
ok "unless the caller says raw"
kept
ok "the canary is as it was"
