# SPDX-License-Identifier: Apache-2.0
# bash completion for qemu-img. What can be completed is asked of the program itself.

# The words that help lists: "  -f, --format FMT" gives -f and --format.
_qemu_img_options() {
    "$1" "$2" --help 2>/dev/null |
        sed -n 's/^  \(-[^ ,]*\(, -[^ ,]*\)*\).*/\1/p' | tr -d ',' | tr ' ' '\n' | grep -v '^$'
}

_qemu_img_formats() {
    "$1" --help 2>/dev/null | sed -n 's/^Supported formats: //p' | tr ' ' '\n'
}

# The keys of `-o help` for the format that the line names, as KEY=.
_qemu_img_keys() {
    local program=$1 verb=$2 format=$3
    "$program" "$verb" -f "$format" -o help 2>/dev/null | sed -n 's/^  \([^ =]*=\)<.*/\1/p'
}

_qemu_img() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local verb=${COMP_WORDS[1]} verbs='amend bench bitmap check commit compare convert create dd info map measure rebase
        resize snapshot' words='' i format=raw

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$current")
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -f | -O | --format | --target-format) format=${COMP_WORDS[i + 1]} ;;
        esac
    done
    case $before in
    -f | -F | -O | -B | --format | --source-format | --target-format | --backing-format | --a-format | --b-format | \
        --output-format)
        words=$(_qemu_img_formats "$program")
        ;;
    -t | -T | --cache | --source-cache | --target-cache | --backing-cache)
        words='none off writeback unsafe writethrough directsync'
        ;;
    --output) words='human json' ;;
    --preallocation) words='off metadata falloc full' ;;
    -r | --repair) [ "$verb" != check ] || words='leaks all' ;;
    -i | --aio) words='threads native io_uring' ;;
    -o | --options | --target-format-options)
        compopt -o nospace
        words=$(_qemu_img_keys "$program" create "$format")
        ;;
    esac
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_qemu_img_options "$program" "$verb")" -- "$current")
    elif [ "$verb" = dd ] && [[ $current != *=* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W 'if= of= bs= count= skip=' -- "$current")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -F _qemu_img qemu-img
