#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VMDK of several files, resized by the real program, which is killed at each of its writes or has
# one refused: the image opens, is of the old size, the new one or one between, and reads as before;
# the next try takes over what was left behind.
# (test_crash and interrupt.sh look at images of one file.)
. "$(dirname "$0")/../lib/libtest.sh"
requires strace
requires_stock
strace -o /dev/null true 2>/dev/null || skip_all "strace may not trace here"
[ -z "${INSTAR_TEST_SANITIZED:-}" ] || skip_all "a sanitized build takes too long under strace"
writes=pwrite64,pwritev,pwritev2,ftruncate,fallocate,fdatasync,fsync,rename,unlink

# reads_as_before: what is in the disk lies before the smallest size; the rest is zeros.
reads_as_before() {
    "$stock" compare -q -f vmdk -F raw t.vmdk ../content.raw && "$stock" check -q t.vmdk &&
        size=$("$stock" info t.vmdk | sed -n 's/^virtual size:.*(\([0-9]*\) bytes).*/\1/p') &&
        [ "$size" -ge "$1" ] && [ "$size" -le "$2" ]
}

# again: the next resize takes over what was left behind, and leaves nothing itself
again() {
    "$QEMU_IMG" resize -q --shrink t.vmdk "$to" >../said 2>&1 && reads_as_before "$low" "$high" &&
        [ "$size" = "$(numfmt --from=iec "$to")" ] && [ "$(find . -name '*.resiz*' | wc -l)" = 0 ]
}

# interrupted HOW FROM TO KIND
interrupted() {
    local how=$1 from=$2 to=$3 kind=$4 n inject low high
    low=$(numfmt --from=iec "$from") high=$(numfmt --from=iec "$to")
    [ "$low" -le "$high" ] || { n=$low low=$high high=$n; }
    rm -rf base && mkdir base
    (cd base && "$stock" create -q -f vmdk -o "subformat=$kind" t.vmdk "$from" &&
        "$stock_io" -f vmdk -c 'write -q -P 3 100k 300k' -c 'write -q -P 4 2060M 64k' t.vmdk) || return
    for ((n = 1; ; n += n < 12 ? 1 : n / 4)); do
        rm -rf work && cp -a --sparse=always base work && cd work || return
        case $how in
        kill) inject=signal=KILL ;;
        *) inject=error=$how ;;
        esac
        (exec 2>/dev/null; strace -f -qq -o ../trace -e trace="$writes" -e inject="$writes:$inject:when=$n" "$QEMU_IMG" resize --shrink t.vmdk "$to" >../said 2>&1)
        grep -qE 'INJECTED|killed by SIGKILL' ../trace || { cd ..; break; }
        reads_as_before "$low" "$high" || { diag "$how at write $n of $kind from $from to $to: $size"; cd ..; return 1; }
        again || { diag "$how at write $n of $kind from $from to $to: the next try: $(cat ../said)"; cd ..; return 1; }
        hits=$((hits + 1))
        cd ..
    done
    [ $n -gt 1 ] || { diag "nothing was interrupted"; return 1; }
}

# damage TABLE..: two entries with one grain and one over the descriptor, in each table of both extents
damage() {
    python3 - "$@" <<'END'
import struct, sys
for name, used in zip(sys.argv[1:], (1, 192)):
    with open(name, "r+b") as f:
        f.seek(48)
        tables = [struct.unpack("<I", (f.seek(at * 512), f.read(4))[1])[0] * 512 for at in struct.unpack("<QQ", f.read(16))]
        f.seek(tables[1] + used * 4)
        entry = f.read(4)
        for table in tables:
            f.seek(table + used * 4 + 16)
            f.write(entry + struct.pack("<I", 1))
        f.seek(tables[0] + used * 4 + 4)
        f.write(b"\xff\xff\xff\x7f")
END
}

# repaired HOW: check -r all, interrupted; it reads as before, and the next one ends the work
repaired() {
    local how=$1 n inject
    rm -rf base && mkdir base
    (cd base && "$stock" create -q -f vmdk -o subformat=twoGbMaxExtentSparse t.vmdk 2100M &&
        "$stock_io" -f vmdk -c 'write -q -P 3 64k 300k' -c 'write -q -P 4 2060M 64k' t.vmdk &&
        damage t-s001.vmdk t-s002.vmdk && "$stock" convert -O qcow2 t.vmdk ../expected.qcow2) || return
    for ((n = 1; ; n++)); do
        rm -rf work && cp -a --sparse=always base work && cd work || return
        case $how in
        kill) inject=signal=KILL ;;
        *) inject=error=$how ;;
        esac
        (exec 2>/dev/null; strace -f -qq -o ../trace -e trace="$writes" -e inject="$writes:$inject:when=$n" "$QEMU_IMG" check -r all t.vmdk >../said 2>&1)
        grep -qE 'INJECTED|killed by SIGKILL' ../trace || { cd ..; break; }
        if ! "$stock" compare -q t.vmdk ../expected.qcow2 || ! "$QEMU_IMG" check -q -r all t.vmdk 2>/dev/null ||
            ! "$QEMU_IMG" check -q t.vmdk || ! "$stock" compare -q t.vmdk ../expected.qcow2; then
            diag "$how at write $n"
            cd ..
            return 1
        fi
        hits=$((hits + 1))
        cd ..
    done
    [ $n -gt 2 ] || { diag "nothing was interrupted"; return 1; }
}

hits=0
plan 14
truncate -s 2100M content.raw
"$stock_io" -f raw -c 'write -q -P 3 100k 300k' -c 'write -q -P 4 2060M 64k' content.raw
for kind in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
    for how in kill EIO ENOSPC; do
        for sizes in '2100M 9G' '9G 2100M'; do
            # shellcheck disable=SC2086 # two words
            interrupted "$how" $sizes "$kind"
            ok "$how: $kind from ${sizes% *} to ${sizes#* }"
        done
    done
done
for how in kill EIO; do
    repaired $how
    ok "$how: repair of twoGbMaxExtentSparse"
done
diag "$hits interruptions"
