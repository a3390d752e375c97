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

static const struct crash_case rows[] = {
    {"write-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_write, 0, 0},
    {"write-vmdk-zeroed", "zeroed_grain=on", FILL_VMDK, 3 * M, 0, change_write, 0, 0},
    {"append-vmdk", STREAM, FILL_STREAM, 1 * M, 0, change_write_stream, 0, 0},
    {"append-vmdk-footer", STREAM, FILL_STREAM FOOTER, 1 * M, 0, change_write_stream, 0, 0},
    {"append-vmdk-tables", STREAM, FILL_STREAM FOOTER, 100 * M, 0, change_write_stream, 0, 0},
    {"resize-vmdk", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 2 * M, 0},
    {"resize-vmdk-tables", "adapter_type=ide", FILL_VMDK, 1500 * K, 0, change_resize, 70 * M, 0},
    {"shrink-vmdk", "adapter_type=ide", FILL_VMDK, 3 * M, 0, change_resize, 200 * K, 0},
};

const struct crash_cases crash_cases_vmdk = {"vmdk", rows, G_N_ELEMENTS(rows)};
