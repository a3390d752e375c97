/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of vhdx: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FAR_VHDX "qemu-io -f vhdx -c 'write -q -P 3 2M 100k' image;"

#define FILL_VHDX "qemu-io -f vhdx -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

/* Block 2 lies where block 0 does. */
#define ENTRY_VHDX                                                                                 \
    "dd if=image of=image bs=8 skip=262144 seek=262146 count=1 conv=notrunc status=none;"

/* A BAT whose region has room for one entry: in both region tables its length, and the checksum. */
#define REGION_OF_ONE(at) POKE(at + 4, "\\152\\064\\137\\202") POKE(at + 40, "\\010\\000\\000")
#define SMALL_BAT_VHDX    REGION_OF_ONE(196608) REGION_OF_ONE(262144)

static const struct crash_case rows[] = {
    {"write-vhdx", "block_size=1M", FILL_VHDX, 3 * M, 0, change_write, 0, 0},
    {"write-vhdx-fixed", "subformat=fixed,block_state_zero=off", FILL_VHDX, M, 0, change_write, 0,
     0},
    {"grow-vhdx", "block_size=1M", FILL_VHDX, 500 * K, 0, change_resize, 3 * M, 0},
    {"shrink-vhdx", "block_size=1M", FILL_VHDX FAR_VHDX, 3 * M, 0, change_resize, 310 * K, 0},
    {"write-child-vhdx", "", NULL, 3 * M, 2 * M, change_write, 0, 0},
    {"write-child-vhdx-filled", "", NULL, 3 * M, 2 * M, change_write, 0, 0},
    {"backing-child-vhdx-filled", "", NULL, 3 * M, 2 * M, change_backing, 0, 0},
    {"empty-child-vhdx-filled", "", NULL, 3 * M, 3 * M, change_empty, 0, 0},
    {"repair-vhdx-header", "block_size=1M", FILL_VHDX POKE(131072, "x"), 3 * M, 0, REPAIR},
    {"repair-vhdx-twice", "block_size=1M", FILL_VHDX ENTRY_VHDX, 3 * M, 0, REPAIR},
    {"grow-vhdx-fixed", "subformat=fixed,block_size=1M,block_state_zero=off", FILL_VHDX, 500 * K, 0,
     change_resize, 2 * M + 5 * K, 0},
    {"grow-vhdx-bat", "block_size=1M", FILL_VHDX SMALL_BAT_VHDX, 500 * K, 0, change_resize, 3 * M,
     0},
    {"grow-vhdx-bat-fixed", "subformat=fixed,block_size=1M,block_state_zero=off",
     FILL_VHDX SMALL_BAT_VHDX, 500 * K, 0, change_resize, 2 * M + 5 * K, 0},
    {"grow-child-vhdx", "", NULL, 1536 * K, 4 * M, change_resize, 3 * M + 5 * K, 0},
    {"grow-child-vhdx-filled", "", NULL, 1400 * K, 4 * M, change_resize, 3 * M, 0},
    {"grow-child-vhdx-filled-short", "", NULL, 2500 * K, M, change_resize, 4 * M, 0},
    {"shrink-child-vhdx-filled", "", NULL, 3 * M, 2 * M, change_resize, 1300 * K, 0},
    {"repair-vhdx-regions", "block_size=1M", FILL_VHDX POKE(262150, "x"), 3 * M, 0, REPAIR},
};

const struct crash_cases crash_cases_vhdx = {"vhdx", rows, G_N_ELEMENTS(rows)};
