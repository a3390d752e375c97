#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest image as it was linked: it needs nothing, its parts can be protected separately, and
# only guest/arch can talk to what is outside.
. "$(dirname -- "$0")/tap.sh"
requires nm objdump readelf awk
plan 11
[ -f guest.elf ] || { echo "Bail out! guest.elf is not built"; exit 1; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

sections() {
    readelf -SW guest.elf | sed -n 's/^ *\[ *[0-9]*\] \(.*\)/\1/p'
}

# Sections in memory: the flags stand before the last three numbers.
odd_sections() {
    sections | awk '
        $1 ~ /^\./ {
            flags = $(NF - 3)
            if (flags !~ /A/) next
            if (flags ~ /W/ && flags ~ /X/) print $1 " is writable and executable"
            if ($1 !~ /^\.(text|rodata|data|bss)$/) print $1 " has no place in the linker script"
            if (flags ~ /X/ && $1 != ".text") print $1 " is executable"
            if (flags ~ /W/ && $1 !~ /^\.(data|bss)$/) print $1 " is writable"
        }'
}

address_of() {
    nm guest.elf | awk -v name="$1" '$3 == name { print $1 }'
}

# Read-only data and data each start on a new page, behind all that comes before them.
shared_pages() {
    rodata=$((0x$(address_of guest_rodata_start)))
    data=$((0x$(address_of guest_data_start)))
    [ $((rodata % 4096)) -eq 0 ] || echo "rodata starts inside a page"
    [ $((data % 4096)) -eq 0 ] || echo "data starts inside a page"
    sections | awk '$1 ~ /^\.(text|rodata|data|bss)$/ { print $1, $3, $5 }' |
        while read -r name at size; do
            start=$((0x$at))
            end=$((start + 0x$size))
            case $name in
            .text) low=$((0x400000)) high=$rodata ;;
            .rodata) low=$rodata high=$data ;;
            *) low=$data high=$((0x$(address_of guest_end))) ;;
            esac
            [ "$start" -ge "$low" ] && [ "$end" -le "$high" ] || echo "$name lies outside its pages"
        done
}

missing_entries() {
    for entry in start_kvm start_process guest_main __stack_chk_fail; do
        nm guest.elf | grep -q " [Tt] $entry\$" || echo "$entry is missing"
    done
}

wrong_header() {
    magic=$(head -c 8 guest.bin)
    [ "$magic" = STARCELL ] || echo "the image starts with $magic"
    [ $((0x$(address_of guest_file_end) - 0x400000)) -eq "$(wc -c <guest.bin)" ] ||
        echo "the file has another size"
}

# Instructions that leave the cell, with the function they are in. (ud2 only ends it.)
doors() {
    objdump -d --no-show-raw-insn guest.elf | awk '
        /^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name) }
        $2 ~ /^(syscall|sysenter|sysret|int|int3|int1|into|iret.*|vmcall|vmmcall|hlt|cli|sti)$/ ||
        $2 ~ /^(in|ins[bwl]?|out|outs[bwl]?|wrfsbase|wrgsbase|xsetbv|wrpkru)$/ { print name, $2 }'
}

no_door_at_all() {
    for wanted in out syscall; do
        doors | grep -q " $wanted\$" || echo "no $wanted was found: is the search right?"
    done
}

stray_doors() {
    nm guest.o/guest/arch/*.o | awk '$2 ~ /^[Tt]$/ { print $3 }' | sort -u >"$scratch/arch"
    doors | awk -v arch="$scratch/arch" '
        BEGIN { while ((getline name < arch) > 0) known[name] = 1 }
        !($1 in known) { print $2 " in " $1 }'
}

odd_doors() {
    doors | awk '
        $2 == "out" && $1 ~ /^doorbell_/ { next }
        $2 == "syscall" && ($1 == "start_process" || $1 == "fail" || $1 ~ /^doorbell_/) { next }
        { print $2 " in " $1 }'
}

# Our own code only; the archives choose by cpuid.
beyond_baseline() {
    find guest.o -type f -name '*.o' | while read -r object; do
        objdump -d --no-show-raw-insn "$object" |
            awk -v object="$object" '/%[yz]mm|%k[0-7]/ { print object ": " $0; exit }'
    done
}

host_headers() {
    find guest.o -name '*.d' -exec cat {} + | grep -o '/usr/include[^ ]*' | sort -u
    return 0
}

thread_local() {
    readelf -lSW guest.elf | grep -E '^ +TLS |\.tdata|\.tbss|init_array|fini_array|ctors'
    return 0
}

finds_nothing "no undefined symbol" nm -u guest.elf
finds_nothing "no section is out of place, none is writable and executable" odd_sections
finds_nothing "text, read-only data and data share no page" shared_pages
finds_nothing "the entry points are there, and the stack protector" missing_entries
finds_nothing "the flat image is the whole of it" wrong_header
finds_nothing "no thread-local or constructor section" thread_local
finds_nothing "the search for instructions that leave the cell works" no_door_at_all
finds_nothing "no instruction outside guest/arch leaves the cell" stray_doors
finds_nothing "inside guest/arch only the start and the doorbell do" odd_doors
finds_nothing "our code runs on a baseline processor" beyond_baseline
finds_nothing "no header of the host's C library was read" host_headers
