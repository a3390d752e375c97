#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names inside images are data: they steer no terminal, forge no line, and JSON
# stays JSON.
. "$(dirname "$0")/../lib/libtest.sh"
requires python3
plan $((10 * 3 + 4))

# What reaches a terminal: only printable UTF-8, newline, and tab.
harmless() {
    python3 -c '
import sys, unicodedata
for name in sys.argv[1:]:
    text = open(name, "rb").read().decode("utf-8")
    bad = [c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs")]
    if bad:
        print("control characters:", bad[:5])
        sys.exit(1)
' "$scratch/stdout" "$scratch/stderr" >"$scratch/why" 2>&1 || { diag "$(cat "$scratch/why")"; return 1; }
}

is_json() {
    python3 -c '
import json, sys
json.loads(open(sys.argv[1], "rb").read().decode("utf-8"))
' "$scratch/stdout" 2>/dev/null
}

for image in name-with-newline name-with-escape name-not-utf8 name-with-c1-control snapshot-name-with-escape \
    snapshot-name-not-utf8 bitmap-name-with-escape data-file-name-with-escape backing-format-with-escape \
    unknown-feature-name-with-escapes; do
    fab $image a.qcow2
    run info a.qcow2
    { exits 0 || exits 1; } && harmless && [ "$(grep -c '^file format:' "$scratch/stdout")" -le 1 ]
    ok "$image: info steers no terminal and forges no line"
    run info --output=json a.qcow2
    { exits 0 && is_json && harmless; } || { exits 1 && harmless; }
    ok "$image: info --output=json is JSON in UTF-8"
    run convert -O raw a.qcow2 o.raw
    { exits 0 || exits 1; } && harmless
    ok "$image: convert's messages are harmless"
done

# Names given by the user are the user's own affair, but a file beside is not.
printf 'x\n' >"$(printf 'b\033[31m.raw')"
fab name-with-escape a.qcow2
run check a.qcow2
{ exits 0 || exits 1; } && harmless
ok "check's messages are harmless"
fab snapshot-name-with-escape a.qcow2
run map a.qcow2
{ exits 0 || exits 1; } && harmless
ok "map's output is harmless"
run convert -l "$(printf 's\033[31m\nfile format: raw')" -O raw a.qcow2 o.raw
exits 0 || exits 1
ok "a snapshot is found by whatever name it has, or not at all"
fab name-not-utf8 a.qcow2
run info --backing-chain --output=json a.qcow2
{ exits 0 || exits 1; } && harmless
ok "a chain through a name that is not UTF-8"
