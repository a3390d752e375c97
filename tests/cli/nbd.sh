#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Network block devices, as qemu-nbd and nbdkit serve them, beside stock.
. "$(dirname "$0")/../lib/libtest.sh"
requires_stock
requires qemu-nbd python3
plan 53
export INSTAR_QEMU_PROFILE=7.2
socket=$PWD/s
uri="nbd+unix:///?socket=$socket"

"$stock" create -q -f qcow2 clean.qcow2 4M
"$stock_io" -c 'write -q -P 3 1M 1M' -c 'write -q -P 4 3M 64k' clean.qcow2
"$stock" convert -O raw clean.qcow2 clean.raw
noise noise.raw 8M 5

# serve ARG... FILE: on the socket, until unserve.
serve() {
    qemu-nbd -k "$socket" --fork --pid-file=pid -t "$@"
}

unserve() {
    kill "$(cat pid)" 2>/dev/null
    for _ in $(seq 100); do
        [ -S "$socket" ] || return 0
        sleep 0.05
    done
    rm -f "$socket"
}

# agrees ARG...: stock and ours print the same and end alike.
agrees() {
    run_any "$stock" "$@"
    cp "$scratch/stdout" want-out
    cp "$scratch/stderr" want
    stock_code=$code
    run "$@"
    exits "$stock_code" && said want && cmp -s "$scratch/stdout" want-out
}

# fails_with WORDS COMMAND...: it ends with an error that says so.
fails_with() {
    local words=$1
    shift
    ! "$@" >failed-out 2>failed && grep -q -- "$words" failed
}

# ---- reading ----

cp clean.qcow2 served.qcow2
serve -r -f raw served.qcow2
agrees info "$uri"
ok "info of what qemu-nbd serves"
agrees info --output=json "nbd:unix:$socket"
ok "info in JSON, by the old name"
agrees info -f raw "$uri"
ok "info of the bytes"
agrees info "json:{'driver':'nbd','path':'$socket'}"
ok "info by a json: name"
agrees info --image-opts \
    "driver=qcow2,file.driver=nbd,file.server.type=unix,file.server.path=$socket,file.export="
ok "info by image options"
agrees info --image-opts "driver=raw,size=1M,file.driver=nbd,file.path=$socket"
ok "info of a window"
env INSTAR_QEMU_PROFILE=10.0 bash -c '"$0" info "$1" | grep -q "protocol type: nbd"' "$QEMU_IMG" "$uri"
ok "info says what newer ones say of the child"
agrees map "$uri"
ok "map"
agrees map --output=json "$uri"
ok "map in JSON"
agrees map --output=json -f raw "$uri"
ok "map of the bytes"
agrees check "$uri"
ok "check"
agrees measure -O qcow2 "$uri"
ok "measure"
agrees snapshot -l "$uri"
ok "snapshot -l"
agrees convert -O raw "$uri" o.raw
ok "convert from it"
cmp o.raw clean.raw
ok "... has its content"
agrees compare "$uri" clean.raw
ok "compare"
agrees dd -f qcow2 -O raw "if=$uri" of=o.raw bs=1M count=2
ok "dd from it"
cmp o.raw <(head -c 2M clean.raw)
ok "... has its content"
agrees create -f qcow2 -b "$uri" -F qcow2 o.qcow2
ok "an overlay of it, named by the user"
fails_with "not followed: the default policy" \
    "$QEMU_IMG" convert -O raw o.qcow2 o.raw
ok "an image is not followed to a server"
fails_with "only where the user names it" \
    env INSTAR_POLICY=qemu "$QEMU_IMG" convert -O raw o.qcow2 o.raw
ok "... whatever the policy"
agrees convert -n -O raw clean.raw "$uri"
ok "what may only be read cannot be written"
agrees resize -f raw "$uri" 2M
ok "... nor resized"
agrees compare -f raw "$uri" noise.raw
ok "... nor compared with a larger one"
unserve

# ---- names that lead nowhere ----

serve -x name -f raw clean.raw
agrees info "nbd+unix:///name?socket=$socket"
ok "an export that is there"
agrees info "nbd+unix:///other?socket=$socket"
ok "one that is not"
agrees info "$uri"
ok "none named"
unserve
for name in "nbd:unix:$PWD/no" "nbd+unix:///x?socket=$PWD/no" nbd://localhost:1/x nbd:localhost:1 nbd:x:y \
    nbd+unix:///x nbd: nbds://localhost:1; do
    agrees info "$name"
    ok "info $name"
done
agrees convert -O raw clean.raw "nbd:unix:$PWD/no"
ok "convert to nowhere"
agrees create -f nbd a 1M
ok "create nowhere"

# ---- writing ----

truncate -s 8M served.raw
serve -f raw served.raw
agrees convert -n -O raw noise.raw "$uri"
ok "convert into it"
"$QEMU_IMG" convert -f raw -O raw -W -m 16 "$uri" o.raw
ok "... and out again"
cmp o.raw noise.raw
ok "... has the content"
agrees convert -O qcow2 clean.qcow2 "$uri"
ok "convert makes an image in it"
"$stock" check -q "$uri"
ok "... that is sound"
"$stock" compare -q "$uri" clean.raw
ok "... and the same"
agrees convert -n -t directsync -O raw noise.raw "$uri"
ok "with every write durable"
agrees create -f raw "$uri" 1M
ok "create"
agrees create -f raw "$uri" 100M
ok "create of too large a disk"
agrees create -f raw -o preallocation=full "$uri" 1M
ok "create with what cannot be promised"
unserve

# ---- servers that are not ----

# tell HEX: whoever connects to ./fake hears this, and then nothing more.
cat >tell.py <<'END'
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind("fake")
server.listen()
open("listening", "w").close()
client, _ = server.accept()
client.settimeout(2)
try:
    client.sendall(bytes.fromhex(sys.argv[1]))
    while client.recv(4096):
        pass
except OSError:
    pass
END
tell() {
    rm -f fake listening
    python3 tell.py "$1" &
    teller=$!
    for _ in $(seq 100); do
        [ -f listening ] && break
        sleep 0.05
    done
}

# A greeting, and to the first option (structured replies) an answer of 4 GiB.
greeting=4e42444d4147494349484156454f505400 # NBDMAGIC IHAVEOPT and half a flag
huge=4e42444d4147494349484156454f505400030003e889045565a90000000800000001ffffffff
for words in 00 "$greeting" "$huge" 5353482d322e300d0a; do
    tell "$words"
    fails_with . timeout 30 "$QEMU_IMG" info "nbd:unix:$PWD/fake"
    ok "a server that says ${words:0:40}"
    wait $teller
done

# One that ends in the middle: told as a read that failed.
if command -v nbdkit >/dev/null; then
    fails_with "while reading" nbdkit -U - --filter=error pattern 8M \
        error-pread-rate=100% --run "'$QEMU_IMG' convert -f raw -O raw nbd+unix:///?socket=\$unixsocket o.raw"
    ok "a server that fails reads"
    nbdkit -U - --filter=blocksize-policy memory 64k blocksize-minimum=4k \
        blocksize-preferred=4k blocksize-maximum=32k blocksize-error-policy=error --run "
        '$QEMU_IMG' create -q -f qcow2 -o cluster_size=512 nbd+unix:///?socket=\$unixsocket 10k &&
        '$QEMU_IMG' check -q nbd+unix:///?socket=\$unixsocket"
    ok "one with blocks of 4 KiB"
else
    skip "a server that fails reads" "nbdkit is not installed"
    skip "one with blocks of 4 KiB" "nbdkit is not installed"
fi
