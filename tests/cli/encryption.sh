#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086 # lists of words are split on purpose
# Encrypted images that we make, read by stock: every cipher, mode, IV generator
# and hash. (What stock makes and we read is tests/diff/luks.sh.)
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock

luks="cipher-alg=aes-128 cipher-alg=aes-192 cipher-alg=aes-256 cipher-alg=serpent-128
    cipher-alg=serpent-192 cipher-alg=serpent-256 cipher-alg=twofish-128 cipher-alg=twofish-192
    cipher-alg=twofish-256 cipher-alg=aes-128,cipher-mode=cbc cipher-alg=aes-256,cipher-mode=ctr
    cipher-mode=ecb cipher-alg=serpent-256,cipher-mode=cbc cipher-alg=twofish-128,cipher-mode=ctr
    cipher-alg=serpent-128,cipher-mode=ecb cipher-alg=cast5-128,cipher-mode=cbc
    cipher-alg=cast5-128,cipher-mode=ctr cipher-alg=cast5-128,cipher-mode=ecb
    cipher-mode=cbc,ivgen-alg=plain cipher-mode=cbc,ivgen-alg=essiv
    cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5
    cipher-alg=serpent-256,cipher-mode=xts,ivgen-alg=essiv,ivgen-hash-alg=sha256
    ivgen-alg=plain64,ivgen-hash-alg=sha1 hash-alg=md5 hash-alg=sha1 hash-alg=sha224
    hash-alg=sha384 hash-alg=sha512 hash-alg=ripemd160"
qcow2="encrypt.format=aes encrypt.format=luks encrypt.format=luks,cluster_size=512
    encrypt.format=luks,cluster_size=2M encrypt.format=luks,extended_l2=on
    encrypt.format=luks,compat=0.10 encrypt.format=luks,preallocation=metadata
    encrypt.format=luks,preallocation=full encrypt.format=aes,cluster_size=4k
    encrypt.format=luks,encrypt.cipher-alg=serpent-256,encrypt.cipher-mode=cbc
    encrypt.format=luks,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha1
    encrypt.format=luks,data_file=data.raw encryption=on"
set -- $luks
nr_luks=$#
set -- $qcow2
nr_qcow2=$#
plan $((nr_luks + nr_qcow2 + 12 + 16 + 5))

secret="--object secret,id=s,data=x"
noise r.raw 700k
truncate -s 2500K r.raw # 4000 sectors and a half of a cluster

# same SPEC: stock reads what r.raw holds.
same() {
    "$stock" compare -q $secret --image-opts "$1" driver=raw,file.filename=r.raw
}

for options in $luks; do
    run convert -O luks $secret -o key-secret=s,iter-time=10,$options r.raw a.luks
    exits 0 && same driver=luks,key-secret=s,file.filename=a.luks
    ok "convert -O luks -o $options"
    rm -f a.luks
done
for options in $qcow2; do
    time=
    case $options in *luks*) time=,encrypt.iter-time=10 ;; esac
    run convert -O qcow2 $secret -o encrypt.key-secret=s,$options$time r.raw a.qcow2
    spec=driver=qcow2,encrypt.key-secret=s,file.filename=a.qcow2
    exits 0 && same $spec && "$stock" check -q $secret --image-opts $spec
    ok "convert -O qcow2 -o $options"
    rm -f a.qcow2 data.raw
done

# what is in an image stays encrypted in whatever is written to it
run create -f luks $secret -o key-secret=s,iter-time=10 a.luks 2500K
exits 0
ok "create -f luks"
run convert -n --target-image-opts $secret r.raw driver=luks,key-secret=s,file.filename=a.luks
exits 0 && same driver=luks,key-secret=s,file.filename=a.luks
ok "convert -n into a luks image"
run create -f qcow2 $secret -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 a.qcow2 2500K
spec=driver=qcow2,encrypt.key-secret=s,file.filename=a.qcow2
exits 0 && "$stock" check -q $secret --image-opts $spec
ok "create -f qcow2"
run convert -n --target-image-opts $secret r.raw $spec
exits 0 && same $spec
ok "convert -n into an encrypted qcow2"
run convert -n --target-image-opts -S 0 $secret r.raw $spec
exits 0 && same $spec && "$stock" check -q $secret --image-opts $spec
ok "and again, over what is there"
! cmp -s <(head -c 100000 r.raw) <(dd if=a.luks bs=4k skip=505 status=none | head -c 100000) &&
    ! grep -qUF "$(head -c 64 r.raw | tr -d '\0\n')" a.qcow2 a.luks
ok "none of it lies there in the clear"
run convert -n -c --target-image-opts $secret r.raw $spec
exits 1 && says 'Compression and encryption' && same $spec
ok "compressed clusters would not be encrypted: refused"

# resize
run resize $secret --image-opts driver=luks,key-secret=s,file.filename=a.luks 3M
exits 0 && [ "$(stat -c %s a.luks)" = $((2068480 + 3145728)) ]
ok "resize of luks"
run resize --shrink $secret --image-opts driver=luks,key-secret=s,file.filename=a.luks 2500K
exits 0 && same driver=luks,key-secret=s,file.filename=a.luks
ok "and back"

# overlays
run create -f qcow2 $secret -o encrypt.format=aes,encrypt.key-secret=s -b r.raw -F raw top.qcow2
spec=driver=qcow2,encrypt.key-secret=s,file.filename=top.qcow2
exits 0 && same $spec
ok "an encrypted overlay"
run convert -O raw $secret --image-opts $spec o.raw
exits 0 && cmp -s o.raw r.raw
ok "reads through"
run convert -O raw $secret --image-opts driver=luks,key-secret=s,file.filename=a.luks o2.raw
exits 0 && cmp -s o2.raw r.raw
ok "what we wrote we read"

# key slots: stock reads with what is left
more="$secret --object secret,id=t,data=y"
for kind in luks qcow2; do
    prefix=
    file=a.luks
    [ $kind = qcow2 ] && prefix=encrypt. && file=a.qcow2
    # opens KEY: whether stock can read it with that key
    opens() {
        "$stock" compare -q $more --image-opts driver=$kind,${prefix}key-secret=$1,file.filename=$file \
            driver=raw,file.filename=r.raw 2>/dev/null
    }
    slots() {
        run amend "$@" $more --image-opts driver=$kind,${prefix}key-secret=$key,file.filename=$file
    }
    key=s
    slots -o ${prefix}state=active,${prefix}new-secret=t,${prefix}iter-time=10
    exits 0 && opens s && opens t
    ok "$kind: a slot is added"
    slots -o ${prefix}state=active,${prefix}new-secret=t,${prefix}iter-time=10,${prefix}keyslot=6
    exits 0 && opens s && opens t
    ok "$kind: and one of one's choice"
    key=t
    slots -o ${prefix}state=inactive,${prefix}old-secret=s
    exits 0 && opens t && ! opens s
    ok "$kind: slots of a passphrase are erased"
    slots -o ${prefix}state=inactive,${prefix}keyslot=1
    exits 0 && opens t
    ok "$kind: one slot is erased"
    slots -o ${prefix}state=inactive,${prefix}keyslot=6
    exits 1 && says 'only active keyslot 6' && opens t
    ok "$kind: the last one is kept"
    slots --force -o ${prefix}state=active,${prefix}new-secret=s,${prefix}keyslot=6,${prefix}iter-time=10
    exits 0 && opens s && ! opens t
    ok "$kind: unless forced"
    key=s
    for _ in 1 2 3 4 5 6 7; do
        slots -o ${prefix}state=active,${prefix}new-secret=t,${prefix}iter-time=10
    done
    exits 0 && opens s && opens t
    ok "$kind: eight slots"
    slots -o ${prefix}state=active,${prefix}new-secret=t,${prefix}iter-time=10
    exits 1 && says 'all keyslots are in use' && opens s
    ok "$kind: and not nine"
done

# a header of its own, which stock reads since 10.0
if newer=$("$test_lib/oracle" 10.0); then
    run create -f luks $more -o key-secret=s,iter-time=10,detached-header=on h.luks
    exits 0 && prints 'size=-1 key-secret=s iter-time=10 detached-header=on$' &&
        [ "$(stat -c %s h.luks)" = 2068480 ]
    ok "a header alone"
    cp r.raw d.raw
    # shellcheck disable=SC2089
    detached="file.filename=d.raw,header.filename=h.luks"
    run convert -n --target-image-opts $more r.raw driver=luks,key-secret=s,$detached
    exits 0 && ! cmp -s r.raw d.raw &&
        $newer compare -q $more --image-opts driver=luks,key-secret=s,$detached driver=raw,file.filename=r.raw
    ok "convert -n into what it describes"
    run amend $more -o state=active,new-secret=t,iter-time=10,keyslot=7 --image-opts driver=luks,key-secret=s,$detached
    exits 0 && $newer compare -q $more --image-opts driver=luks,key-secret=t,$detached driver=raw,file.filename=r.raw
    ok "a slot is added"
    run amend $more -o state=inactive,old-secret=s --image-opts driver=luks,key-secret=t,$detached
    exits 0 && $newer compare -q $more --image-opts driver=luks,key-secret=t,$detached driver=raw,file.filename=r.raw &&
        ! $newer compare -q $more --image-opts driver=luks,key-secret=s,$detached driver=raw,file.filename=r.raw 2>/dev/null
    ok "and one erased"
    run convert -O luks $more -o key-secret=s,iter-time=10,detached-header=on r.raw c.luks
    exits 1 && says "Could not open 'c.luks': LUKS payload is overlapping with the header"
    ok "convert cannot make both files"
else
    skip "a header of its own" "stock qemu-img 10.0 is not on this machine" 5
fi
