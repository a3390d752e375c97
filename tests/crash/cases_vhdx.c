/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of vhdx: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FAR_VHDX "qemu-io -f vhdx -c 'write -q -P 3 2M 100k' image;"

#define FILL_VHDX "qemu-io -f vhdx -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

static const struct crash_case rows[] = {
    {"write-vhdx", "block_size=1M", FILL_VHDX, 3 * M, 0, change_write, 0, 0},
    {"write-vhdx-fixed", "subformat=fixed,block_state_zero=off", FILL_VHDX, M, 0, change_write, 0,
     0},
    {"grow-vhdx", "block_size=1M", FILL_VHDX, 500 * K, 0, change_resize, 3 * M, 0},
    {"shrink-vhdx", "block_size=1M", FILL_VHDX FAR_VHDX, 3 * M, 0, change_resize, 310 * K, 0},
    {"grow-vhdx-fixed", "subformat=fixed,block_size=1M,block_state_zero=off", FILL_VHDX, 500 * K, 0,
     change_resize, 2 * M + 5 * K, 0},
};

const struct crash_cases crash_cases_vhdx = {"vhdx", rows, G_N_ELEMENTS(rows)};
