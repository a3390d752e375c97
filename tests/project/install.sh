#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make install` leaves, beside a stock qemu-img and in a package's staging folder.
. "$(dirname -- "$0")/tap.sh"
plan 9
[ -x qemu-img ] || { echo "Bail out! qemu-img is not built"; exit 1; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL

# A build folder of its own with other names in it; the objects are not built a second time.
suffixed() {
    mkdir "$scratch/suffixed" && cd "$scratch/suffixed" &&
        "$top_srcdir/configure" -q --program-suffix=-instar --prefix=/usr --mandir=/usr/share/man
}

# Every file under the staging folder.
installed() {
    (cd "$scratch/root" && find . ! -type d | sort)
}

install_plain() {
    make -s install DESTDIR="$scratch/root" prefix=/opt/instar
}

other_than() {
    installed | diff "$1" -
}

# -o: what was borrowed is not made again
install_suffixed() {
    cp -p qemu-img "$scratch/suffixed/" &&
        make -s -C "$scratch/suffixed" -o qemu-img install-binPROGRAMS install-man1 install-data-local DESTDIR="$scratch/root"
}

uninstalled() {
    make -s uninstall DESTDIR="$scratch/root" prefix=/opt/instar >/dev/null && installed
}

needed_libraries() {
    sanitizers=
    ! grep -q '^SANITIZE_FLAGS = -f' Makefile || sanitizers='|libasan|libubsan|libgcc_s'
    readelf -d qemu-img | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE "^(libc|libm|libglib-2\.0|libgio-2\.0|libprotobuf-c|libdeflate|libzstd|libseccomp|ld-linux-x86-64$sanitizers)\.so"
    return 0
}

unprotected() {
    readelf -h qemu-img | grep -q 'Type:.*DYN' || echo "not position-independent"
    readelf -lW qemu-img | grep -q 'GNU_STACK.* RW ' || echo "the stack is executable"
    readelf -lW qemu-img | grep -q GNU_RELRO || echo "no read-only relocations"
    readelf -d qemu-img | grep -qE 'BIND_NOW|FLAGS_1.*NOW' || echo "relocations are not bound at start"
}

printf '%s\n' ./opt/instar/bin/qemu-img ./opt/instar/share/bash-completion/completions/qemu-img \
    ./opt/instar/share/man/man1/qemu-img.1 >"$scratch/plain"
printf '%s\n' ./usr/bin/qemu-img-instar ./usr/share/bash-completion/completions/qemu-img-instar \
    ./usr/share/man/man1/qemu-img-instar.1 >"$scratch/with-suffix"

succeeds "it installs into DESTDIR under a prefix given late" install_plain
finds_nothing "the program, its manual page and completion, and nothing else" other_than "$scratch/plain"
succeeds "the installed program runs" "$scratch/root/opt/instar/bin/qemu-img" --version
finds_nothing "uninstall takes them away" uninstalled
succeeds "configure takes --program-suffix" suffixed
rm -rf "$scratch/root"
succeeds "and installs the same program under the other name" install_suffixed
finds_nothing "all of them have the suffix" other_than "$scratch/with-suffix"
finds_nothing "it needs no library but the documented ones" needed_libraries
finds_nothing "it is hardened as distributions ask" unprotected
