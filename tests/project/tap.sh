# SPDX-License-Identifier: Apache-2.0
#
# TAP for the tests of the project itself. They run in the build folder, by `make check` or by hand:
#
#     cd build && ../tests/project/guest-image.sh
#
# A check is a command that prints what is wrong, and nothing when all is well:
#
#     plan 1
#     finds_nothing "no undefined symbol" nm -u guest.elf

set -u
export LC_ALL=C
tap_here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top_srcdir=$(CDPATH='' cd -- "$tap_here/../.." && pwd)
top_builddir=$PWD
export top_srcdir top_builddir
tap_number=0

plan() {
    [ -f config.status ] || skip_all "run it in the build folder"
    echo "1..$1"
}

# skip_all WHY: instead of a plan.
skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

# skip TITLE WHY
skip() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}

# requires TOOL...: skips the whole script without them.
requires() {
    for tap_tool; do
        command -v "$tap_tool" >/dev/null 2>&1 || skip_all "$tap_tool is not installed"
    done
}

# finds_nothing TITLE COMMAND...: ok when it succeeds and prints nothing.
finds_nothing() {
    tap_title=$1
    shift
    tap_number=$((tap_number + 1))
    if tap_said=$("$@" 2>&1) && [ -z "$tap_said" ]; then
        echo "ok $tap_number - $tap_title"
    else
        echo "not ok $tap_number - $tap_title"
        printf '%s\n' "$tap_said" | head -n 40 | sed 's/^/#   /'
    fi
}

# succeeds TITLE COMMAND...: ok when it exits 0, whatever it prints.
succeeds() {
    tap_title=$1
    shift
    tap_number=$((tap_number + 1))
    if tap_said=$("$@" 2>&1); then
        echo "ok $tap_number - $tap_title"
    else
        echo "not ok $tap_number - $tap_title"
        printf '%s\n' "$tap_said" | tail -n 40 | sed 's/^/#   /'
    fi
}
