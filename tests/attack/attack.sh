#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A guest that an image has taken over tries the worst; each attempt ends in one clear line, exit 1,
# and no file touched. The program under test is qemu-img with an attacking guest image linked in
# (guest/attack/attack.c); everything on the host side is the real thing.
set -u
img="${ATTACK_QEMU_IMG:-$PWD/tests/attack/qemu-img}"
stock="${STOCK_QEMU_IMG:-/usr/bin/qemu-img}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

FAULT='crashed the sandboxed parser \(processor fault\)'
CALL='crashed the sandboxed parser \((forbidden system call|processor fault)\)'
INVALID='gave an invalid answer'
REFUSED='bug of its own: .*attack refused'

# number, method (1 open, 4 map), what kvm must say, what process must say, name
attacks="
01 01;$FAULT;$FAULT;writes its text
02 01;$FAULT;$FAULT;executes data
03 01;$FAULT;$FAULT;reads null
04 01;$FAULT;$FAULT;jumps outside
05 01;$FAULT;$FAULT;recurses without end
06 01;busy for 4 seconds without progress;busy for 4 seconds without progress;loops for ever
07 01;$FAULT;$FAULT;allocates without end
08 01;$INVALID \(doorbell\);$INVALID \(doorbell\);rings with nonsense
09 01;$REFUSED;$REFUSED;reads outside a blob
10 01;$REFUSED;$REFUSED;has its text overwritten by a read
11 01;$REFUSED;$REFUSED;reads with lengths that overflow
12 01;$INVALID \(read count\);$INVALID \(read count\);reads more pieces than there are
13 01;$INVALID \(response\);$INVALID \(response\);answers with malformed protobuf
14 01;$INVALID \(response length\);$INVALID \(response length\);answers with an oversized response
15 01;$INVALID \(emit type\);$INVALID \(emit type\);emits an unknown type
16 01;$INVALID \(emit count\);$INVALID \(emit count\);emits four billion records
17 01;$FAULT;$CALL;tries a system call
18 01;$FAULT;$FAULT;writes to another port
19 01;$REFUSED;$REFUSED;reads a blob it was not given
20 01;$FAULT;$FAULT;loads its own page tables
21 01;$FAULT;$CALL;tries a 32-bit system call
22 01;$FAULT;$FAULT;reads the clock
23 01;$FAULT;$FAULT;writes its constants
24 01;$FAULT;$FAULT;writes the boot page
25 01;$FAULT;it exited;leaves
26 01;stack smashed;stack smashed;smashes its stack
27 01;$FAULT;$FAULT;reads where the host's stack would be
28 01;$FAULT;$FAULT;reads the page of a local APIC
29 01;$FAULT;$FAULT;reads the register of a local APIC
06 04;busy for 4 seconds without progress;busy for 4 seconds without progress;loops for ever while mapping
30 04;$INVALID;$INVALID;claims four billion extents
31 04;$INVALID;$INVALID;names a blob that is not there
32 04;$INVALID;$INVALID;gives an offset that overflows
33 04;$INVALID;$INVALID;gives extents with a gap
34 04;$INVALID;$INVALID;gives an empty extent
35 04;$INVALID;$INVALID;gives an extent past the disk
36 04;$INVALID;$INVALID;gives an extent of an unknown kind
37 04;$INVALID;$INVALID;makes no progress
40 01;$INVALID;$INVALID;names a format full of control bytes
41 01;$INVALID;$INVALID;claims a disk of 2^64 bytes
42 01;$INVALID;$INVALID;names a hundred backing files
43 01;refused \(reason 60000\);refused \(reason 60000\);answers with an unknown error code
"

kinds="kvm process"
nr=$(grep -c ';' <<<"$attacks")
echo "1..$((2 * nr))"

n=0
result() { # ok/not ok, name
    n=$((n + 1))
    echo "$1 $n - $2"
}

make_image() { # attack, method
    "$stock" create -q -f qcow2 bad.qcow2 1M &&
        printf 'INSTAR-ATTACK %s %s\n' "$1" "$2" | dd of=bad.qcow2 bs=1 seek=32768 conv=notrunc status=none
}

# little memory, so that using it up is quick; time enough for a busy machine
export INSTAR_CELL_TIMEOUT=4 INSTAR_CELL_MEMORY=32M
for kind in $kinds; do
    while IFS=';' read -r which kvm_text process_text name; do
        [ -n "$which" ] || continue
        if [ "$kind" = kvm ] && ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then
            result ok "$kind: a guest that $name # SKIP /dev/kvm is missing"
            continue
        fi
        if [ "$kind $which" = "kvm 22 01" ] && [ -d /sys/module/kvm_pvm ]; then
            result ok "$kind: a guest that $name # SKIP kvm_pvm does not honour CR4.TSD"
            continue
        fi
        # shellcheck disable=SC2086  # two words
        make_image $which
        cp bad.qcow2 before.qcow2
        echo "precious" >canary
        want=$kvm_text
        [ "$kind" = process ] && want=$process_text
        INSTAR_SANDBOX=$kind timeout 30 "$img" map bad.qcow2 >out.txt 2>err.txt
        status=$?
        ok=ok
        [ "$status" -eq 1 ] || { ok='not ok'; echo "# exit status $status"; }
        grep -qE "$want" err.txt || { ok='not ok'; echo "# expected: $want"; }
            # a failure while mapping is followed by the line stock has for it
        [ "$(wc -l <err.txt)" -le $((1 + 10#${which#* } / 4)) ] || { ok='not ok'; echo "# too many lines"; }
        LC_ALL=C grep -q '[^ -~]' err.txt && { ok='not ok'; echo "# control bytes on stderr"; }
        cmp -s bad.qcow2 before.qcow2 || { ok='not ok'; echo "# the image was changed"; }
        # opening failed: a target that is there already must stay as it is
        if [ "${which#* }" = 01 ]; then
            INSTAR_SANDBOX=$kind timeout 30 "$img" convert -O raw bad.qcow2 canary >/dev/null 2>&1
            [ "$(cat canary)" = precious ] || { ok='not ok'; echo "# the target was touched"; }
        fi
        [ "$ok" = ok ] || sed 's/^/# stderr: /' err.txt
        result "$ok" "$kind: a guest that $name"
    done <<<"$attacks"
done
