#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dmg images with chunks that no stock at hand reads (bzip2, LZFSE, ADC), whole
# and damaged, and vvfat, which is refused by name.
. "$(dirname "$0")/../lib/libtest.sh"
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is not installed"; exit 0; }
kinds="ADC:0x80000004 zlib:0x80000005 bzip2:0x80000006 LZFSE:0x80000007"
plan $((4 * 11 + 6))

fabr dmg-expected expected.raw
for kind in $kinds; do
    name=${kind%:*}
    fabr dmg-codecs a.dmg kind="${kind#*:}"
    run info a.dmg
    exits 0 && prints '^file format: dmg$'
    ok "$name: recognised"
    run convert -O raw a.dmg o.raw
    exits 0 && cmp -s o.raw expected.raw
    ok "$name: converted"
    run compare a.dmg expected.raw
    exits 0
    ok "$name: compared"
    run dd if=a.dmg of=o.dd bs=700 skip=33 count=99
    exits 0 && run dd if=expected.raw of=expected.dd bs=700 skip=33 count=99 && cmp -s o.dd expected.dd
    ok "$name: parts of chunks"
    # item 4662, for LZFSE: what decodes to less than the chunk is an error
    for change in short long cut junk empty; do
        fabr dmg-second b.dmg kind="${kind#*:}" change=$change
        run convert -O raw b.dmg o.raw
        exits 1 && says 'error while reading at byte 0: Input/output error'
        ok "$name: a chunk that is $change cannot be read"
    done
    fabr dmg-second b.dmg kind="${kind#*:}" change=more
    run convert -O raw b.dmg o.raw
    exits 0
    ok "$name: bytes behind a chunk's stream do not matter"
    fabr dmg-lie b.dmg kind="${kind#*:}" key=length value=9
    run convert --salvage -O raw b.dmg o.raw
    exits 0 && [ "$(stat -c %s o.raw)" = $((24 * 512)) ] &&
        cmp -s <(head -c 4096 o.raw) <(fabr dmg-lie c.dmg key=count value=8 && run_any "$QEMU_IMG" dd if=c.dmg of=o.part bs=4096 count=1 && cat o.part)
    ok "$name: what can be read is salvaged"
done
if [ -f "${INSTAR_SHARED_IMAGES:-/nonexistent}/simple-dmg.dmg.bz2" ]; then
    bzcat "$INSTAR_SHARED_IMAGES/simple-dmg.dmg.bz2" >simple.dmg
    run convert -O raw simple.dmg o.raw
    exits 0 && [ "$(stat -c %s o.raw)" = 1799168 ]
    ok "an image of macOS is read"
else
    skip "an image of macOS is read" "INSTAR_SHARED_IMAGES has no simple-dmg.dmg.bz2"
fi
fabr dmg-bomb bomb.dmg
if [ -z "${INSTAR_TEST_SANITIZED:-}" ]; then
    run_any prlimit --as=$((1 << 30)) --cpu=20 "$QEMU_IMG" dd if=bomb.dmg of=o.raw bs=1M count=70
    exits 0 && [ "$(stat -c %s o.raw)" = $((70 << 20)) ]
    ok "chunks of 64 MiB take bounded memory"
else
    skip "chunks of 64 MiB take bounded memory" "a sanitized build needs more address space"
fi
mkdir dir
for words in "info fat:dir" "info -f vvfat expected.raw" "convert -O raw fat:dir o.raw" "create -f vvfat o 1M"; do
    # shellcheck disable=SC2086 # words
    run $words
    exits 1 && says 'vvfat|fat:'
    ok "$words: refused by name"
done
