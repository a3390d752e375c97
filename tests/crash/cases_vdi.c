/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of vdi: the rows of test_crash.
 */
#include "tests/crash/case.h"

/* Blocks in an order that is not that of the disk. */
#define FILL_VDI                                                                                   \
    "qemu-io -f vdi -c 'write -q -P 5 5M 64k' -c 'write -q -P 4 4M 200k' -c 'write -q -P 1 0 "     \
    "1500k' -c 'write -q -P 3 3M 10k' image;"

static const struct crash_case rows[] = {
    {"write-vdi", "static=off", FILL_VDI, 10 * M + 200 * K, 0, change_write, 0, 0},
    {"write-vdi-static", "static=on", FILL_VDI, 10 * M, 0, change_write, 0, 0},
    {"resize-vdi", "static=off", FILL_VDI, 5 * M + 200 * K, 0, change_resize, 9 * M, 0},
    {"resize-vdi-static", "static=on", FILL_VDI, 6 * M, 0, change_resize, 9 * M, 0},
    {"resize-vdi-full", "static=off", FILL_VDI, 6 * M, 0, change_resize, 8 * M, FULL},
    {"resize-vdi-map-moves", "static=off", FILL_VDI, 128 * M, 0, change_resize, 131 * M, 0},
    {"resize-vdi-map-moves-empty", "static=off", NULL, 127 * M, 0, change_resize, 131 * M, 0},
    {"shrink-vdi", "static=off", FILL_VDI, 6 * M, 0, change_resize, 2 * M + 512, 0},
    {"shrink-vdi-static", "static=on", FILL_VDI, 6 * M, 0, change_resize, 3 * M, 0},
};

const struct crash_cases crash_cases_vdi = {"vdi", rows, G_N_ELEMENTS(rows)};
