#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What public flaws did with qcow2, tried with the other formats: images that
# are their own parents, names that steer a terminal or a graph, grains that
# unpack to too much, key slots that ask for hours, disks that look like images.
# Each answer is cheap, and a file that an image names is neither shown nor changed.
. "$(dirname "$0")/../lib/libtest.sh"
requires prlimit python3
plan 39

secret=$scratch/secret
yes 'the canary sings' | head -c 1M >"$secret"
secret_sum=$(sha256sum "$secret")
unharmed() { # and not told
    [ "$secret_sum" = "$(sha256sum "$secret")" ] && ! grep -qF 'canary sings' "$@" "$scratch/stdout" "$scratch/stderr" 2>/dev/null
}
harmless() {
    ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$scratch/stdout" "$scratch/stderr" &&
        [ "$(grep -c '^file format:' "$scratch/stdout")" -le 1 ]
}
sed_in() { LC_ALL=C sed -i "$@"; }

# ---- chains that do not end ----
# loops TITLE: a.img is refused wherever its parent is wanted, and told about elsewhere.
loops() {
    limited 5 info a.img
    exits 0 && prints '^backing file: '
    ok "$1: info tells the name"
    limited 5 info --backing-chain a.img
    exits 1 && says '[ab].img'
    ok "$1: info --backing-chain ends"
    limited 5 convert -O raw a.img o.raw
    exits 1 && says '[ab].img' && [ ! -e o.raw ]
    ok "$1: convert ends"
}
own_parent() { # FORMAT: an image that names itself
    rm -f -- *.img
    run create -q -f "$1" b.img 2M
    run create -q -f "$1" -b b.img -F "$1" a.img
    mv a.img b.img
}
own_parent vmdk
cp b.img a.img
sed_in 's/parentFileNameHint="b.img"/parentFileNameHint="a.img"/' a.img
loops "vmdk, its own parent"
own_parent vmdk
cp b.img a.img
sed_in 's/parentFileNameHint="b.img"/parentFileNameHint="a.img"/' b.img
loops "vmdk, each the other's parent"
own_parent vpc
python3 -B "$test_lib/vhd_child.py" b.img W2ru a.img
cp b.img a.img
loops "VHD, its own parent"
own_parent vhdx
LC_ALL=C python3 - <<'END'
data = open("b.img", "rb").read()
old, new = (".\\" + name for name in ("b.img", "a.img"))
for one in ("b.img", "b.img".replace("/", "\\")):
    data = data.replace(one.encode("utf-16-le"), one.replace("b", "a").encode("utf-16-le"))
open("a.img", "wb").write(data)
END
loops "VHDX, its own parent"

# ---- names ----
for name in 'nbd:localhost:1' 'json:{"driver":"null-co"}' 'fat:rw:.'; do
    rm -f -- *.img
    run create -q -f vmdk b.img 2M
    run create -q -f vmdk -b b.img -F vmdk a.img
    python3 - "$name" <<'END'
import sys
data = open("a.img", "rb").read()
old, name = b'parentFileNameHint="b.img"\n', sys.argv[1].replace('"', "'").encode()
at = data.index(old)
end = data.index(b"\0", at)
new = data[at:end].replace(old, b'parentFileNameHint="' + name + b'"\n')
open("a.img", "wb").write(data[:at] + new + data[at + len(new):])
END
    limited 5 info a.img
    exits 0
    ok "a parent named $name is only told"
    limited 5 convert -O raw a.img o.raw
    exits 1 && [ ! -e o.raw ] && [ -z "$(find . -name 'QEMU*')" ]
    ok "a parent named $name is not followed"
done
rm -f -- *.img

# Lines of a terminal.
descriptor a.vmdk "$(printf 'vmfs\033[2J')" 'RW 1 FLAT "f\033]0;x\007.raw" 0'
limited 5 info a.vmdk
exits 1 && harmless
ok "an extent's name steers no terminal"
head -c 512 /dev/zero >f.raw
descriptor a.vmdk "$(printf 'vmfs\033[2J')" 'RW 1 FLAT "f.raw" 0'
limited 5 info a.vmdk
{ exits 0 || exits 1; } && harmless
ok "a type steers no terminal"
limited 5 info --output=json a.vmdk
{ exits 0 && python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$scratch/stdout" && harmless; } || { exits 1 && harmless; }
ok "and JSON with it is JSON"
run create -q -f qed -u -b x -F raw a.qed 1M
python3 - <<'END'
data = bytearray(open("a.qed", "rb").read())
at = int.from_bytes(data[56:60], "little")
name = b"b\033[31m\nfile format: raw\n"
data[at : at + len(name)] = name
data[60:64] = len(name).to_bytes(4, "little")
open("a.qed", "wb").write(data)
END
limited 5 info a.qed
exits 0 && harmless
ok "qed: a backing file's name forges no line"
run create -q -f vpc -o force_size=on p.img 2M
run create -q -f vpc -b p.img -F vpc c.img
python3 -B "$test_lib/vhd_child.py" c.img W2ru "$(printf 'p\033[31m\nfile format: raw')"
limited 5 info c.img
{ exits 0 || exits 1; } && harmless
ok "VHD: nor does a parent locator"
rm -f -- *.img a.*

# ---- grains that are too much ----
vmdkfab stream a.vmdk data_bytes=$((512 << 20))
limited 3 convert -O raw a.vmdk o.raw
{ exits 1 && says 'error while reading at byte 0'; } || { exits 0 && [ "$(stat -c %s o.raw)" = 1048576 ]; }
ok "a grain that unpacks to 512 MiB"
limited 3 info a.vmdk
exits 0
ok "info unpacks nothing"
vmdkfab sparse a.vmdk header_capacity=0x7fffffffffff header_grain_size=8 header_gtes_per_gt=512
limited 3 check a.vmdk
! exits 0 && ! exits 137
ok "a directory larger than its file is refused"
vmdkfab sparse a.vmdk header_capacity=$((1 << 32)) header_grain_size=128 header_gtes_per_gt=512
limited 3 map --output=json a.vmdk
! exits 137 && ! exits 124
ok "a map over what is not there ends"
rm -f o.raw

# ---- key slots ----
key="--object secret,id=s,data=x"
# shellcheck disable=SC2086
run create -q -f luks $key -o key-secret=s,iter-time=10 a.luks 1M
poke a.luks 212 ffffffff # iterations of slot 0
# shellcheck disable=SC2086
limited 5 convert -O raw $key --image-opts driver=luks,key-secret=s,file.filename=a.luks o.raw
exits 1 && says 'needs 4294967295 iterations to unlock, which is more than is allowed$' && [ ! -e o.raw ]
ok "luks: a slot of 2^32-1 iterations is refused, and soon"
limited 3 info a.luks
exits 0 && prints 'iters: 4294967295'
ok "luks: info shows them"
# shellcheck disable=SC2086
run create -q -f luks $key -o key-secret=s,iter-time=10 a.luks 1M
poke a.luks 164 ffffffff # iterations of the key's digest
# shellcheck disable=SC2086
limited 5 convert -O raw $key --image-opts driver=luks,key-secret=s,file.filename=a.luks o.raw
exits 1 && says 'more than is allowed$' && [ ! -e o.raw ]
ok "luks: a digest of as many is"
# shellcheck disable=SC2086
run create -q -f luks $key -o key-secret=s,iter-time=10 a.luks 1M
poke a.luks 252 ffffffff # stripes of slot 0
# shellcheck disable=SC2086
limited 5 convert -O raw $key --image-opts driver=luks,key-secret=s,file.filename=a.luks o.raw
exits 1 && [ ! -e o.raw ]
ok "luks: stripes past the file are refused"

# ---- disks that look like images ----
# A guest wrote it into its raw disk: -f raw is binding, and what it names stays as it is.
mixed disk.raw 2M
descriptor lie.vmdk monolithicFlat "RW 2048 FLAT \"$secret\" 0"
run create -q -f vpc -o subformat=fixed,force_size=on lie.vpc 1M
tail -c 512 lie.vpc >lie.footer
cp disk.raw vmdk.raw
put lie.vmdk vmdk.raw 0
cp disk.raw vpc.raw
put lie.footer vpc.raw $((2 * 1048576 - 512))
for kind in vmdk vpc; do
    limited 3 convert -f raw -O raw $kind.raw o.raw
    exits 0 && cmp -s $kind.raw o.raw && unharmed o.raw
    ok "$kind: convert -f raw copies the bytes"
    cp $kind.raw o.raw
    limited 3 resize -f raw o.raw 3M
    exits 0 && cmp -s -n 2097152 $kind.raw o.raw && unharmed o.raw
    ok "$kind: resize -f raw grows the disk"
    cp $kind.raw o.raw
    limited 3 convert -n -f raw -O raw disk.raw o.raw
    exits 0 && cmp -s disk.raw o.raw && unharmed o.raw
    ok "$kind: a target is not probed"
done
cp vmdk.raw o.raw
limited 3 resize o.raw 3M
unharmed o.raw
ok "vmdk: resize without a format leaves what is named alone"
limited 3 convert -O raw vmdk.raw o.raw
unharmed o.raw
ok "vmdk: convert without a format does not show it"
