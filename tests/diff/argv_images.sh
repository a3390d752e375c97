# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # $QEMU_IMG and the words come from who runs it
#
# The small images that random command lines name (argv_names.py): made once by
# a stock 7.2, in the folder where it runs.
set -e
img=$QEMU_IMG
sec=secret,id=sec,data=abc

# At times 7.2 finds no time to measure ("Unable to get accurate CPU usage").
again() {
    for _ in 1 2 3 4 5 6 7 8; do
        "$@" && return
    done
    return 1
}

mixed a.raw 1M
cut_to short.raw 1000
printf abc >pass
"$img" convert -O qcow2 a.raw a.qcow2
"$img" convert -O qcow2 a.raw base.qcow2
"$img" create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
qemu-io -f qcow2 -c 'write -P 7 64k 64k' -c 'write -z 256k 64k' over.qcow2 >/dev/null
cp a.qcow2 snap.qcow2
"$img" snapshot -c s1 snap.qcow2
qemu-io -f qcow2 -c 'write -P 9 0 64k' snap.qcow2 >/dev/null
"$img" snapshot -c s2 snap.qcow2
"$img" bitmap --add -g 64k snap.qcow2 b0
"$img" bitmap --add --disable snap.qcow2 b1
cp a.qcow2 leak.qcow2
leaked=$(stat -c %s leak.qcow2)
cluster=$((leaked / 65536))
truncate -s $((leaked + 65536)) leak.qcow2
poke leak.qcow2 $((0x20000 + cluster * 2)) 0001
"$img" create -q -f qcow2 -u -b nosuch.img -F raw orphan.qcow2 1M
"$img" create -q -f qcow2 -o data_file=data.raw,data_file_raw=on data.qcow2 1M
qemu-io -f qcow2 -c 'write -P 5 64k 64k' data.qcow2 >/dev/null
again "$img" create -q -f qcow2 --object $sec -o encrypt.format=luks,encrypt.key-secret=sec,encrypt.iter-time=50 enc.qcow2 1M
"$img" create -q -f qcow2 -o compat=0.10 v2.qcow2 1M
again "$img" create -q -f luks --object $sec -o key-secret=sec,iter-time=50 a.luks 1M
for format in vmdk vdi vpc vhdx qed qcow parallels; do
    "$img" convert -O $format a.raw a.$format
done
: >empty
noise junk 3k
mkdir dir
ln -s nowhere dangling
cp a.raw comma,name
cp a.raw co:lon
cp a.raw noperm
chmod 0 noperm
