# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # its users set and read these
#
# For test scripts in shell: TAP, a scratch folder, and running the program
# under test. A script reads:
#
#     . "$(dirname "$0")/../lib/libtest.sh"
#     plan 2
#     run create -f raw a.raw 1M
#     exits 0;                      ok "a raw image is made"
#     prints '^Formatting';         ok "and the line about it is printed"
#
# "ok TITLE" reports whether the command before it succeeded; a failure of a run
# that said "not built yet" is open work (TODO), not a defect. The script runs
# in the scratch folder, which goes away at its end.

set -u
export LC_ALL=C.UTF-8 TZ=UTC
unset POSIXLY_CORRECT

: "${QEMU_IMG:=./qemu-img}"
QEMU_IMG=$(realpath -- "$QEMU_IMG" 2>/dev/null || echo "$QEMU_IMG")
export QEMU_IMG
test_here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
test_lib=$(CDPATH='' cd -- "$test_here/../lib" && pwd)
. "$test_lib/inputs.sh"

test_number=0

# plan N: says how many results follow.
plan() {
    [ -x "$QEMU_IMG" ] || skip_all "$QEMU_IMG is not built"
    echo "1..$1"
    test_planned=$1
}

# skip_all WHY: instead of a plan.
skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

# requires TOOL...: skips the whole script without them.
requires() {
    for test_tool; do
        command -v "$test_tool" >/dev/null 2>&1 || skip_all "$test_tool is not installed"
    done
}

# requires_stock: skips the whole script without a stock qemu-img; sets
# $stock and $stock_io.
requires_stock() {
    stock=$("$test_lib/oracle" 7.2) || skip_all "stock qemu-img (qemu-utils) is not installed"
    stock_io=$("$test_lib/oracle" 7.2 qemu-io) || skip_all "stock qemu-io (qemu-utils) is not installed"
}

diag() {
    printf '%s\n' "$*" | sed 's/^/# /'
}

# ok TITLE: reports the exit status of the command before.
ok() {
    test_status=$?
    test_number=$((test_number + 1))
    if [ $test_status -eq 0 ]; then
        echo "ok $test_number - $1"
        return 0
    fi
    if grep -q 'command is not built yet in instar' "$scratch/stderr"; then
        echo "not ok $test_number - $1 # TODO not built yet"
        return 1
    fi
    echo "not ok $test_number - $1"
    diag "exit code $code, standard output and error were:"
    head -c 2000 "$scratch/stdout" | cat -v | sed 's/^/#  | /'
    head -c 2000 "$scratch/stderr" | cat -v | sed 's/^/#  ! /'
    return 1
}

# skip TITLE WHY [COUNT]: reports as skipped.
skip() {
    for _ in $(seq "${3:-1}"); do
        test_number=$((test_number + 1))
        echo "ok $test_number - $1 # SKIP $2"
    done
}

# run ARG...: the program under test; its results are in $code, stdout, stderr.
run() {
    run_any "$QEMU_IMG" "$@"
}

# run_any COMMAND...: any command, with results in the same places. It is
# killed after a minute, and then $code is 137.
run_any() {
    timeout -s KILL "${TEST_TIMEOUT:-60}" "$@" >"$scratch/stdout" 2>"$scratch/stderr" </dev/null
    code=$?
}

# limited SECONDS ARG...: the program under test with what orchestrators allow
# it: 1 GiB of address space (a sanitized build needs more) and some processor.
limited() {
    test_seconds=$1
    shift
    if [ -n "${INSTAR_TEST_SANITIZED:-}" ]; then
        run "$@"
        return
    fi
    run_any prlimit --as=1073741824 --cpu="$test_seconds" "$QEMU_IMG" "$@"
}

exits() {
    [ "$code" = "$1" ]
}

# prints REGEX, says REGEX: a line on standard output, on standard error.
prints() {
    grep -qE -e "$1" "$scratch/stdout"
}

says() {
    grep -qE -e "$1" "$scratch/stderr"
}

silent() {
    [ ! -s "$scratch/stdout" ] && [ ! -s "$scratch/stderr" ]
}

# printed FILE, said FILE: all of it.
printed() {
    cmp -s "$1" "$scratch/stdout"
}

said() {
    cmp -s "$1" "$scratch/stderr"
}

# in_each_sandbox COUNT FUNCTION: calls it with INSTAR_SANDBOX set to each kind
# of cell; each call reports COUNT results. A kind that this machine cannot run
# is skipped by name.
sandboxes=${INSTAR_TEST_SANDBOXES:-kvm process}
in_each_sandbox() {
    for INSTAR_SANDBOX in $sandboxes; do
        export INSTAR_SANDBOX
        if [ "$INSTAR_SANDBOX" = kvm ] && ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then
            skip "[kvm]" "/dev/kvm cannot be opened" "$1"
        else
            "$2"
        fi
    done
    unset INSTAR_SANDBOX
}

nr_sandboxes() {
    echo $sandboxes | wc -w
}

# A script that reports all it planned ends well, whatever it reported.
test_end() {
    test_status=$?
    cd /
    chmod -R u+rwx "$scratch" 2>/dev/null
    rm -rf "$scratch"
    [ "$test_number" -ne "$test_planned" ] || test_status=0
    exit $test_status
}

code=0
test_planned=-1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/instar-test.XXXXXX") || exit 1
chmod 755 "$scratch"
trap test_end EXIT
trap 'exit 1' HUP INT TERM
# Where python3 is a wrapper in shell (pyenv), what it wraps is looked for once: it is slow.
test_python=$(command -v python3) && if [ "$(head -c 2 "$test_python")" = '#!' ]; then
    mkdir "$scratch/bin"
    ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$scratch/bin/python3"
    PATH=$scratch/bin:$PATH
fi
mkdir "$scratch/work"
: >"$scratch/stdout"
: >"$scratch/stderr"
cd "$scratch/work" || exit 1
