#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bash completion: words for commands, options, formats, keys and files.
. "$(dirname "$0")/../lib/libtest.sh"
plan 9
completion=$test_here/../../completion/qemu-img.bash

# completed WORD...: what would be offered for the last word, one a line.
completed() {
    # shellcheck disable=SC2016 # the inner shell expands
    bash -c '
        program=$1; . "$2"; shift 2
        compopt() { :; }
        COMP_WORDS=("$program" "$@"); COMP_CWORD=$#
        _qemu_img
        printf "%s\n" "${COMPREPLY[@]}"' - "$QEMU_IMG" "$completion" "$@" >offered
}

offers() {
    local word
    for word; do
        grep -qxF -e "$word" offered || { diag "not offered: $word"; return 1; }
    done
}

completed c
offers check commit compare convert create && ! grep -q info offered
ok "commands by their first letters"

completed convert --ta
offers --target-format --target-image-opts --target-is-zero --target-cache
ok "long options"

all_listed() {
    local verb
    for verb in amend bench bitmap check commit compare convert create dd info map measure rebase resize snapshot; do
        completed "$verb" -
        offers --object --help || return 1
    done
}
all_listed
ok "every command has its options"

completed info -f q
offers qcow2
ok "formats after -f"

completed convert -t ''
offers none writeback unsafe writethrough directsync
ok "cache modes after -t"

completed create -f qcow2 -o c
offers cluster_size= compat= compression_type=
ok "creation options of the format that is named"

completed check -r ''
offers leaks all
ok "what check repairs"

completed dd i
offers if=
ok "operands of dd"

touch disk.qcow2
completed info dis
offers disk.qcow2
ok "files"
