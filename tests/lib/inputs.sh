# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # its users set and read these
#
# Words for scripts that make test images. Sourced by the differential suite
# around each "$!" line and by libtest.sh; $test_lib is the folder it is in.

# poke FILE OFFSET HEX...: overwrites bytes in place.
poke() {
    poke_file=$1
    poke_at=$2
    shift 2
    printf '%b' "$(printf '%s' "$*" | tr -d ' ' | sed 's/../\\x&/g')" |
        dd of="$poke_file" bs=64k seek="$((poke_at))" oflag=seek_bytes conv=notrunc status=none
}

# cut_to FILE SIZE: truncates.
cut_to() {
    truncate -s "$2" "$1"
}

# text FILE SIZE [SEED]: repeatable, compressible content.
text() {
    python3 -c '
import random, sys
r = random.Random(sys.argv[3])
words = [bytes(r.choices(b"abcdefghijklmnopqrstuvwxyz", k=r.randint(2, 9))) for _ in range(400)]
left = int(sys.argv[2])
with open(sys.argv[1], "wb") as out:
    while left > 0:
        block = b" ".join(r.choices(words, k=4096))[:left]
        out.write(block)
        left -= len(block)
' "$1" "$(numfmt --from=iec "$(echo "$2" | tr k K)")" "${3:-1}"
}

# noise FILE SIZE [SEED]: repeatable content that does not compress.
noise() {
    python3 -c '
import random, sys
r = random.Random(sys.argv[3])
left = int(sys.argv[2])
with open(sys.argv[1], "wb") as out:
    while left > 0:
        out.write(r.randbytes(min(left, 1 << 20)))
        left -= min(left, 1 << 20)
' "$1" "$(numfmt --from=iec "$(echo "$2" | tr k K)")" "${3:-1}"
}

# put FILE-OF-BYTES IMAGE OFFSET: writes them into a raw file.
put() {
    dd if="$1" of="$2" bs=64k seek="$(numfmt --from=iec "$(echo "$3" | tr k K)")" oflag=seek_bytes conv=notrunc status=none
}

# mixed FILE SIZE: a sparse raw disk with text, noise, zeros and holes by turns.
mixed() {
    python3 -c '
import random, sys
r = random.Random(7)
size = int(sys.argv[2])
letters = bytes(r.choices(b"etaoinshrdlu", k=120000))
text = b" ".join(letters[i : i + 6] for i in range(0, 120000, 6))
with open(sys.argv[1], "wb") as out:
    out.truncate(size)
    at = 0
    while at < size:
        length = min(size - at, r.choice((512, 4096, 12288, 65536, 196608, 524288)))
        kind = r.choice(("hole", "hole", "text", "noise", "zero"))
        out.seek(at)
        if kind == "text":
            start = r.randrange(1000)
            out.write((text * (length // len(text) + 2))[start : start + length])
        elif kind == "noise":
            out.write(r.randbytes(length))
        elif kind == "zero":
            out.write(bytes(length))
        at += length
' "$1" "$(numfmt --from=iec "$(echo "$2" | tr k K)")"
}

# ext4 FILE SIZE: a raw disk with a file system that has files in it.
ext4() {
    mkdir tree tree/etc tree/var tree/usr
    text tree/etc/words 300K 2
    text tree/usr/more-words 700K 3
    noise tree/var/noise 400K 4
    : >tree/var/empty
    truncate -s 3M tree/var/sparse
    truncate -s "$2" "$1"
    mke2fs -q -F -t ext4 -U 6a2f0a2e-5c1e-4d7a-9d59-3f1f5f6a7b8c -E hash_seed=6a2f0a2e-5c1e-4d7a-9d59-3f1f5f6a7b8c,root_owner=0:0 \
        -d tree "$1"
    rm -r tree
}

# fab NAME FILE: one of the fabricated images of hostile_images.py.
fab() {
    python3 -B "$test_lib/hostile_images.py" "$1" "$2"
}

# vhd_edit FILE FIELD=VALUE...: see vhd_edit.py.
vhd_edit() {
    python3 -B "$test_lib/vhd_edit.py" "$@"
}

# vmdkfab stream|cowd|sesparse FILE [NAME=NUMBER]...: a VMDK extent with fields set, see vmdk_fab.py.
vmdkfab() {
    python3 -B "$test_lib/vmdk_fab.py" "$@"
}

# descriptor FILE CREATETYPE LINE...: a VMDK descriptor with these lines behind its first four.
descriptor() {
    descriptor_file=$1
    printf '# Disk DescriptorFile\nversion=1\nCID=1111\nparentCID=ffffffff\ncreateType="%s"\n' "$2" >"$descriptor_file"
    shift 2
    printf '%b\n' "$@" >>"$descriptor_file"
}

# vhdx_edit FILE FIELD=VALUE...: see vhdx_edit.py.
vhdx_edit() {
    python3 -B "$test_lib/vhdx_edit.py" "$@"
}

# parallels_ext IMAGE WORDS...: a format extension; see parallels_fab.py.
parallels_ext() {
    python3 -B "$test_lib/parallels_fab.py" "$@"
}

# fabr NAME FILE [KEY=VALUE..]: one of the images of readonly_fab.py.
fabr() {
    python3 -B "$test_lib/readonly_fab.py" "$@"
}

# on_loop FILE NAME [OPTION...]: makes NAME a block device that holds FILE, until the script ends.
on_loop() {
    loop_file=$1
    loop_name=$2
    shift 2
    loop_device=$(losetup -f --show "$@" "$loop_file") || return
    loop_devices="${loop_devices:-} $loop_device"
    # shellcheck disable=SC2064 # as many as there are now
    trap "losetup -d $loop_devices" EXIT
    ln -s "$loop_device" "$loop_name"
}

# stock_luks ARGS...: stock qemu-img where it makes LUKS headers, the newest there is.
stock_luks() {
    for stock_version in 11.1 10.0 7.2; do
        if "$test_lib/oracle" "$stock_version" >/dev/null 2>&1; then
            "$test_lib/oracle" --run "$stock_version" qemu-img "$@"
            return
        fi
    done
    return 1
}

# vhdx_dirty FILE HOW...: a log that must be replayed, see vhdx_dirty.py.
vhdx_dirty() {
    python3 -B "$test_lib/vhdx_dirty.py" "$@"
}

# qcow2_header FILE...: see qcow2_header.py.
qcow2_header() {
    python3 -B "$test_lib/qcow2_header.py" "$@"
}
