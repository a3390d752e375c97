#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run that is ended from outside leaves no process behind.
. "$(dirname "$0")/../lib/libtest.sh"
requires setsid ps
requires_stock
plan $((4 * $(nr_sandboxes)))

noise src.raw 8M
"$stock" convert -O qcow2 src.raw a.qcow2
run convert -O qcow2 a.qcow2 first.qcow2 # if that is not built, neither is what follows

# start ARG...: in a session of its own, throttled so that it takes a while.
start() {
    setsid "$QEMU_IMG" convert -r 1M -O qcow2 a.qcow2 o.qcow2 &
    child=$!
    for _ in $(seq 50); do
        [ -s o.qcow2 ] && break
        sleep 0.05
    done
    sleep 0.2
}

nr_in_session() {
    ps -o pid= -s "$child" 2>/dev/null | wc -l
}

gone() {
    for _ in $(seq 40); do
        [ "$(nr_in_session)" -eq 0 ] && return 0
        sleep 0.05
    done
    return 1
}

cases() {
    for signal in TERM INT KILL; do
        start
        [ "$(nr_in_session)" -ge 1 ]
        running=$?
        kill -s $signal "$child"
        wait "$child" 2>/dev/null
        code=$?
        [ $running -eq 0 ] && gone
        ok "[$INSTAR_SANDBOX] SIG$signal in the middle leaves no process"
        rm -f o.qcow2
    done
    start
    kill -s USR1 "$child" 2>/dev/null
    sleep 0.2
    [ "$(nr_in_session)" -ge 1 ]
    alive=$?
    kill -s TERM "$child" 2>/dev/null
    wait "$child" 2>/dev/null
    [ "$alive" -eq 0 ]
    ok "[$INSTAR_SANDBOX] SIGUSR1 asks for progress and ends nothing"
    rm -f o.qcow2
}
in_each_sandbox 4 cases 2>/dev/null
