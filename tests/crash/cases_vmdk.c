/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of vmdk: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FILL_VMDK "qemu-io -f vmdk -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

#define STREAM      "subformat=streamOptimized"
#define FILL_STREAM "qemu-io -f vmdk -c 'write -q -P 1 0 64k' image;"

/* Ours has a footer, and tables only where there are grains. */
#define FOOTER                                                                                     \
    "\"$QEMU_IMG\" convert -f vmdk -O vmdk -o subformat=streamOptimized image t && mv t image;"

/* Entries of the directory (sector 26), of its table (27), of the redundant one (22). */
#define DAMAGE                                                                                     \
    POKE(13824, "\\377\\377\\377\\0")                                                              \
    POKE(11268, "\\7\\7\\7\\0")                                                                    \
    POKE(13840, "\\0\\0\\0\\1") POKE(11280, "\\0\\0\\0\\1") POKE(10752, "\\0\\0\\377\\377")

/* Entries of both tables: 2 is the grain of 0, 3 the descriptor, 5 lies across 0 and the next. */
#define SHARED                                                                                     \
    POKE(13832, "\\200\\0\\0\\0\\12\\0\\0\\0")                                                     \
    POKE(11272, "\\200\\0\\0\\0\\12\\0\\0\\0")                                                     \
    POKE(13844, "\\277\\0\\0\\0") POKE(11284, "\\277\\0\\0\\0")

static const struct crash_case rows[] = {
    {"write-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_write, 0, 0},
    {"write-vmdk-zeroed", "zeroed_grain=on", FILL_VMDK, 3 * M, 0, change_write, 0, 0},
    {"append-vmdk", STREAM, FILL_STREAM, 1 * M, 0, change_write_stream, 0, 0},
    {"append-vmdk-footer", STREAM, FILL_STREAM FOOTER, 1 * M, 0, change_write_stream, 0, 0},
    {"append-vmdk-tables", STREAM, FILL_STREAM FOOTER, 100 * M, 0, change_write_stream, 0, 0},
    {"repair-vmdk", "adapter_type=ide", FILL_VMDK DAMAGE, 3 * M, 0, REPAIR},
    {"repair-vmdk-shared", "adapter_type=ide", FILL_VMDK SHARED, 3 * M, 0, REPAIR},
    {"repair-vmdk-both", "adapter_type=ide", FILL_VMDK DAMAGE SHARED, 3 * M, 0, REPAIR},
    {"resize-vmdk", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 2 * M, 0},
    {"resize-vmdk-tables", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 70 * M, 0},
    {"shrink-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_resize, 200 * K, 0},
};

const struct crash_cases crash_cases_vmdk = {"vmdk", rows, G_N_ELEMENTS(rows)};
