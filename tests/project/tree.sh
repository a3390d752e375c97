#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rules for what is in the source tree.
. "$(dirname -- "$0")/tap.sh"
plan 9
cd "$top_srcdir" || exit 1

# Committed files; in a tarball, all that came with it.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files
    else
        find . -name '_*' -prune -o -name 'build*' -prune -o -name '*.pb-c.*' -prune -o -type f -print | sed 's,^\./,,'
    fi
}

sources() {
    files | grep -E '^(compat|crypto|fuzz|guest|src|tests|dev|\.ci)(/|\.d/|$)'
}

without_licence() {
    { sources; ls Makefile*.am configure.ac; } |
        grep -E '(\.(c|h|S|lds|proto|sh|py|am|ac)|/run|^dev)$' | while read -r file; do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
    done
}

# Where somebody's machine shows through.
machine_paths() {
    sources | grep -v '^fuzz/corpus/' |
        xargs grep -nIE '(^|[^a-zA-Z}])/(home|Users|root|work)/[a-z]|\b(localhost|[a-z0-9-]+\.(local|lan|internal|corp))\b' |
        grep -vE 'tests/project/tree.sh|nbd|ssh|http|host[=:]|XDG_|localhost:|localhost/'
    return 0
}

unsorted_lists() {
    for file in Makefile*.am; do
        awk -v file="$file" '
            /^[a-zA-Z_]+ \+?= *\\$/ { name = $1 ~ /LDADD|LIBS|FLAGS/ ? "" : $1; last = ""; next }
            /^\t.*\\$/ && name {
                word = $1
                if (word ~ /^[a-z]/ && last != "" && word < last) print file ": " name ": " word " after " last
                if (word ~ /^[a-z]/) last = word
                next
            }
            { name = "" }' "$file"
    done
}

# A list ends with $(NULL), so that its last line looks like the others.
open_lists() {
    for file in Makefile*.am; do
        awk -v file="$file" '
            /^[a-zA-Z_]+ \+?= *\\$/ { name = $1 }
            name && /^\t/ && !/\\$/ { if ($1 != "$(NULL)") print file ": " name " ends with " $1; name = "" }' "$file"
    done
}

# Every C file that the tree holds is compiled somewhere.
unbuilt() {
    sources | grep -E '\.(c|S)$' | while read -r file; do
        grep -qF -- "$file" Makefile*.am || grep -rqF -- "#include \"$file\"" tests fuzz || echo "$file"
    done
}

unlisted_headers() {
    sources | grep -E '^(compat|guest|src)/.*\.h$' | grep -v '^guest/lib/include/' | while read -r header; do
        sources | grep -E '\.([chS])$' | xargs grep -lF -- "\"$header\"" >/dev/null || echo "$header is included nowhere"
    done
}

# Variables that the program reads are in the manual page, and the other way round.
variables() {
    grep -rhoE '"INSTAR_[A-Z_]+"' compat src --include='*.c' --include='*.h' | tr -d '"' | sort -u
}
undocumented() {
    for variable in $(variables); do
        tr -d '\\' <man/qemu-img.1 | grep -q "$variable" || echo "$variable is not in the manual page"
    done
    for variable in $(cat man/*.1 README.md docs/*.md | tr -d '\\' | grep -oE 'INSTAR_[A-Z_]+' | sort -u); do
        grep -rqF "$variable" compat src tests || echo "$variable is documented, but nothing reads it"
    done
}

odd_bytes() {
    sources | grep -vE '^(fuzz/corpus|tests/data)/' | xargs grep -lIP '[ \t]+$|\r' | grep -vE '\.(txt|cases|expected)$|diff/known$'
    return 0
}

guest_includes() {
    sources | grep -E '^guest/.*\.[ch]$' | grep -v '^guest/lib/hosted.c' | xargs grep -nE '#include' |
        grep -vE '#include ("(crypto|guest)/|<(stdint|stddef|stdbool|string|stdlib|limits|errno|assert|inttypes|stdarg|libdeflate|zstd|zstd_errors|nettle/[a-z0-9-]*|protobuf-c/protobuf-c|cpuid)\.h>)'
    return 0
}

finds_nothing "each source file starts with its licence" without_licence
finds_nothing "no path or name of a machine" machine_paths
finds_nothing "lists in the Makefiles are sorted" unsorted_lists
finds_nothing "lists in the Makefiles end with NULL" open_lists
finds_nothing "every source file is built" unbuilt
finds_nothing "every header is included somewhere" unlisted_headers
finds_nothing "every INSTAR_ variable is documented, and every documented one is read" undocumented
finds_nothing "no trailing blanks or carriage returns" odd_bytes
finds_nothing "the guest includes its own headers and those of its archives only" guest_includes
