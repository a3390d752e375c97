#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # lists of words are split on purpose
# LUKS2, which stock does not read: images that cryptsetup encrypted, and headers of its making with
# one member changed.
. "$(dirname "$0")/../lib/libtest.sh"
requires cryptsetup python3
edit="$test_lib/luks2_edit.py"

mib=$((1024 * 1024))
noise plain.raw 700k
truncate -s 4M plain.raw
printf 'pw' >pw
printf 'other' >other

# encrypted FILE OPTION...: what plain.raw holds, encrypted in place by cryptsetup behind a header
# of 16 MiB. It needs no device for that, but a kernel that lends it the cipher.
encrypted() {
    local file=$1
    shift
    cp plain.raw "$file" && truncate -s 36M "$file" &&
        cryptsetup reencrypt -q --encrypt --type luks2 --reduce-device-size 32M \
            --force-offline-reencrypt --key-file pw "$@" "$file" >cryptsetup.log 2>&1 &&
        truncate -s $((20 * mib)) "$file"
}
cheap="--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
encrypted a.img $cheap || skip_all "cryptsetup cannot encrypt here: $(tail -1 cryptsetup.log)"

# spec FILE [SECRET]: as --image-opts wants it
spec() {
    echo "driver=luks,key-secret=${2:-s},file.filename=$1"
}
keys="--object secret,id=s,file=pw --object secret,id=t,file=other"
plain=driver=raw,file.filename=plain.raw
# same FILE [SECRET]: it reads as plain.raw
same() {
    run compare $keys --image-opts "$(spec "$1" "${2:-s}")" $plain
    exits 0 && prints '^Images are identical'
}
# refused SENTENCE: so it says, and nothing else
refused() {
    exits 1 && [ "$(wc -l <"$scratch/stderr")" = 1 ] && says "$1"
}

variants="sector-size=512
    sector-size=1024
    sector-size=2048
    sector-size=4096
    cipher=aes-xts-plain64,key-size=256
    cipher=aes-xts-plain,key-size=512
    cipher=aes-cbc-essiv:sha256,key-size=256
    cipher=aes-cbc-plain64,key-size=128,sector-size=4096
    cipher=aes-ctr-plain64,key-size=192
    pbkdf=argon2id,pbkdf-memory=32,pbkdf-parallel=1
    pbkdf=argon2i,pbkdf-memory=1000,pbkdf-parallel=2
    pbkdf=argon2id,pbkdf-memory=4096,pbkdf-parallel=4,pbkdf-force-iterations=7
    hash=sha512
    hash=sha1
    luks2-metadata-size=64k
    luks2-keyslots-size=2m
    label=name"
set -- $variants
plan $(($# + 40 + 42 + 6))

for variant in $variants; do
    options="--${variant//,/ --}"
    cost="--pbkdf-force-iterations 1000"
    case $variant in *argon2*iterations*) cost= ;; *argon2*) cost="--pbkdf-force-iterations 4" ;;
    *) cost="$cost --pbkdf pbkdf2" ;; esac
    encrypted v.img $options $cost && same v.img
    ok "$variant"
done

# every command that reads
encrypted k.img --sector-size 4096 --pbkdf argon2id --pbkdf-memory 64 --pbkdf-parallel 1 \
    --pbkdf-force-iterations 4
run convert -O raw $keys --image-opts "$(spec k.img)" o.raw
exits 0 && silent && cmp -s o.raw plain.raw
ok "convert to raw"
run convert -O qcow2 -c $keys --image-opts "$(spec k.img)" o.qcow2
exits 0 && silent
ok "convert to compressed qcow2"
run compare $keys --image-opts driver=qcow2,file.filename=o.qcow2 "$(spec k.img)"
exits 0
ok "and compare with it"
run convert -O luks $keys -o key-secret=t,iter-time=10 --image-opts "$(spec k.img)" o.luks
exits 0 && same o.luks t
ok "convert to LUKS1"
run convert -W -m 4 -O raw $keys --image-opts "$(spec k.img)" o.raw
exits 0 && cmp -s o.raw plain.raw
ok "convert out of order"
for bs in 512 3000 100000; do
    run dd $keys --image-opts if="$(spec k.img)" of=o.raw bs=$bs skip=1 count=9
    exits 0 && cmp -s -n $((8 * bs)) o.raw <(dd if=plain.raw bs=$bs skip=1 count=8 status=none)
    ok "dd in blocks of $bs"
done
run map --output=json $keys --image-opts "$(spec k.img)"
exits 0 && prints '"start": 0, "length": 4194304, "depth": 0, "present": true, "zero": false, "data": true'
ok "map"
run measure -O raw $keys --image-opts "$(spec k.img)"
exits 0 && prints '^required size: 4194304$'
ok "measure"
run info -f luks k.img
exits 0 && prints '^virtual size: 4 MiB' && prints '^    version: 2$' && prints '^    sector size: 4096$' &&
    prints '^            kdf: argon2id$' && prints '^            memory: 65536$' && prints '^encrypted: yes$'
ok "info"
run info --output=json -f luks k.img
exits 0 && python3 - "$scratch/stdout" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))["format-specific"]["data"]
assert data["version"] == 2 and data["payload-offset"] == 16 << 20 and len(data["slots"]) == 8
assert data["slots"][0]["kdf"] == "argon2id" and not data["slots"][1]["active"]
END
ok "info as JSON"
run info k.img
exits 0 && prints '^file format: raw$'
ok "who names no format gets raw, as from stock"
run convert -O raw $keys "json:{'driver':'luks','key-secret':'s','file':{'driver':'file','filename':'k.img'}}" o.raw
exits 0 && cmp -s o.raw plain.raw
ok "a json: name"
run create -q -f qcow2 -b "json:{'driver':'luks','key-secret':'s','file':{'driver':'file','filename':'k.img'}}" -F luks $keys top.qcow2 4M
run convert -O raw $keys --image-opts driver=qcow2,file.filename=top.qcow2,backing.key-secret=s o.raw
exits 0 && cmp -s o.raw plain.raw
ok "a backing file"

cp plain.raw d.raw
cryptsetup reencrypt -q --encrypt --type luks2 --header h.img $cheap --force-offline-reencrypt \
    --key-file pw d.raw >/dev/null 2>&1
run compare $keys --image-opts driver=luks,key-secret=s,file.filename=d.raw,header.filename=h.img $plain
exits 0 && ! cmp -s d.raw plain.raw
ok "a header in a file of its own"

# keys
run convert -O raw $keys --image-opts "$(spec k.img t)" o.raw
refused 'Invalid password, cannot unlock any keyslot$'
ok "a wrong password (Argon2)"
run convert -O raw $keys --image-opts "$(spec a.img t)" o.raw
refused 'Invalid password, cannot unlock any keyslot$'
ok "a wrong password (PBKDF2)"
run convert -O raw --image-opts driver=luks,file.filename=a.img o.raw
refused "Parameter 'key-secret' is required for cipher$"
ok "no password"
cp k.img two.img
cryptsetup luksAddKey -q --key-file pw --key-slot 9 --pbkdf argon2i --pbkdf-memory 64 \
    --pbkdf-parallel 1 --pbkdf-force-iterations 4 two.img other && same two.img s && same two.img t
ok "two slots, either of which will do"
run info -f luks two.img
exits 0 && prints '^        \[9\]:$'
ok "info shows slots above the eighth"
cryptsetup config --priority ignore --key-slot 9 two.img && ! same two.img t && same two.img s
ok "one to be ignored is not tried"
cryptsetup config --priority prefer --key-slot 9 two.img && same two.img t && same two.img s
ok "one of high priority"
cryptsetup luksKillSlot -q two.img 0 2>/dev/null && same two.img t && ! same two.img s
ok "a slot that was killed"
encrypted big.img --pbkdf argon2id --pbkdf-memory 307200 --pbkdf-parallel 4 --pbkdf-force-iterations 4 &&
    same big.img
ok "a slot that takes more memory than a cell that reads has"
INSTAR_CELL_MEMORY=64M run convert -O raw $keys --image-opts "$(spec big.img)" o.raw
refused 'Keyslot 0 needs 307200 KiB of memory to unlock, more than INSTAR_CELL_MEMORY allows$'
ok "unless the user sets a limit"
if [ -z "${INSTAR_TEST_SANITIZED:-}" ]; then
    run_any prlimit --as=300000000 "$QEMU_IMG" convert -O raw $keys --image-opts "$(spec big.img)" o.raw
    refused 'Keyslot 0 needs 307200 KiB of memory to unlock: '
    ok "or the system does"
else
    skip "or the system does" "sanitizers take address space"
fi
run info -f luks big.img
exits 0
ok "info takes no key and no memory"

# what writes says what stock says
version='LUKS version 2 is not supported$'
run resize $keys --image-opts "$(spec a.img)" 8M
refused "$version"
ok "resize is refused"
run amend $keys -o state=active,new-secret=t --image-opts "$(spec a.img)"
refused "$version"
ok "amend is refused"
run convert -n --target-image-opts $keys plain.raw "$(spec a.img)"
refused "$version"
ok "convert into it is refused"
run bench -w -c 1 $keys --image-opts "$(spec a.img)"
refused "$version"
ok "bench -w is refused"
run check $keys --image-opts "$(spec a.img)"
exits 63 && says 'does not support checks'
ok "there is no check, as of LUKS1"
same a.img
ok "and the image is what it was"

# two copies
cp a.img d.img && dd if=/dev/zero of=d.img bs=4096 count=1 conv=notrunc status=none && same d.img
ok "the first copy is gone"
cp a.img d.img && printf x | dd of=d.img bs=1 seek=5000 conv=notrunc status=none && same d.img
ok "the first copy is damaged"
cp a.img d.img && printf x | dd of=d.img bs=1 seek=25000 conv=notrunc status=none && same d.img
ok "the second copy is damaged"
printf x | dd of=d.img bs=1 seek=5000 conv=notrunc status=none
run info -f luks d.img
refused 'Both copies of the LUKS2 header are damaged$'
ok "both copies are damaged"
cp a.img d.img && "$edit" --copy second --seqid 99 d.img segments.0.offset='"8192"'
run info -f luks d.img
exits 0 && prints 'payload offset: 8192$'
ok "the newer copy counts"
cp a.img d.img && "$edit" --copy second --seqid 1 d.img segments.0.offset='"8192"' && same d.img
ok "the older does not"

# one member changed: N SENTENCE CHANGE... ; N: 0 opens with the key, else it is refused
changed() {
    local expect=$1 sentence=$2
    shift 2
    cp a.img d.img && "$edit" d.img "$@" || return
    limited 20 map $keys --image-opts "$(spec d.img)"
    if [ "$expect" = 0 ]; then same d.img; else refused "$sentence"; fi
    ok "$*"
}
bad='The metadata of the LUKS2 header is not valid$'
slot='Keyslot 0 is corrupted$'
wrong='Invalid password, cannot unlock any keyslot$'
changed 0 - tokens.0='{"type":"x","keyslots":["0"],"deep":{"a":[1,2,{"b":null}]}}'
changed 0 - config.requirements='{}'
changed 0 - 'config.flags=["allow-discards"]'
changed 1 "requirement 'online-reencrypt-v2' is not supported$" 'config.requirements={"mandatory":["online-reencrypt-v2"]}'
changed 1 'with 0 data segments are not supported$' segments='{}'
changed 1 'with 2 data segments are not supported$' 'segments.1={"type":"crypt","offset":"0","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":512}'
changed 0 - 'segments.1={"type":"linear","offset":"0","size":"512","flags":["backup-final"]}'
changed 1 "segment type 'linear' is not supported$" segments.0.type='"linear"'
changed 1 'integrity protection are not supported$' 'segments.0.integrity={"type":"hmac(sha256)"}'
changed 1 'sector size 0 is not supported$' segments.0.sector_size=0
changed 1 'sector size 768 is not supported$' segments.0.sector_size=768
changed 1 'sector size 8192 is not supported$' segments.0.sector_size=8192
changed 1 "$bad" segments.0.offset='"1"'
changed 1 "$bad" segments.0.offset='"99999999999999999999"'
changed 1 'Could not refresh total sector count: Input/output error$' segments.0.offset='"9223372036854775296"'
changed 1 'ends past the end of the file$' segments.0.size='"4194816"'
changed 1 "$bad" segments.0.size='"1000"'
changed 1 "$bad" segments.0.size='"-512"'
changed 1 "$bad" segments.0.iv_tweak='"18446744073709551615"'
changed 1 "Unexpected cipher mode string format 'null'$" segments.0.encryption='"null"'
changed 1 "Algorithm 'capi:xts.aes.' with key size 32 bytes not supported$" segments.0.encryption='"capi:xts(aes)-xts-plain64"'
changed 1 "$bad" "segments.0.encryption=\"$(printf 'a%.0s' {1..100})\""
changed 1 'has no digest for its data segment$' digests='{}'
changed 1 'has no digest for its data segment$' 'digests.0.segments=[]'
changed 1 "$wrong" 'digests.0.keyslots=[]'
changed 1 "$bad" 'digests.0.keyslots=["32"]'
changed 1 "$bad" digests.0.iterations=0
changed 1 "$bad" digests.0.iterations=4294967296
changed 1 "$bad" digests.0.salt='"*"'
changed 1 "$bad" "digests.0.salt=\"$(printf 'A%.0s' {1..200})\""
changed 1 "Key derivation 'scrypt' is not supported$" digests.0.type='"scrypt"'
changed 1 "$slot" keyslots.0.af.stripes=4294967295
changed 1 "$slot" keyslots.0.area.offset='"0"'
changed 1 "$wrong" keyslots.0.area.offset='"9223372036854775296"'
changed 1 "$slot" keyslots.0.area.size='"1"'
changed 1 "$bad" keyslots.0.key_size=65
changed 1 "$slot" keyslots.0.area.key_size=4294967360
changed 1 'Keyslot 0 needs 4000000000 iterations to unlock, which is more than is allowed$' keyslots.0.kdf.iterations=4000000000
changed 1 'Keyslot 0 needs 4294967295 KiB of memory in 4 passes to unlock, which is more than is allowed$' 'keyslots.0.kdf={"type":"argon2id","time":4,"memory":4294967295,"cpus":4,"salt":"AAAA"}'
changed 1 'Keyslot 0 needs 1048576 KiB of memory in 4294967295 passes' 'keyslots.0.kdf={"type":"argon2id","time":4294967295,"memory":1048576,"cpus":4,"salt":"AAAA"}'
changed 1 "$slot" 'keyslots.0.kdf={"type":"argon2id","time":4,"memory":1048576,"cpus":4294967295,"salt":"AAAA"}'
changed 1 "Key derivation 'scrypt' is not supported$" keyslots.0.kdf.type='"scrypt"'

# text that is no metadata
deep=$(printf '[%.0s' {1..10000})
for text in '' '{' '[]' "{\"x\":$deep" '{"keyslots":{"99":{"type":"luks2"}}}' '{"segments":"x"}'; do
    cp a.img d.img && "$edit" --text "$text" d.img
    limited 20 info -f luks d.img
    exits 1 && [ "$(wc -l <"$scratch/stderr")" = 1 ]
    ok "text: $(printf %s "$text" | head -c 30)"
done
