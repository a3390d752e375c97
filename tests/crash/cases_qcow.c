/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of qcow: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FILL_QCOW "qemu-io -f qcow -c 'write -q -P 1 0 100k' -c 'write -q -P 2 150k 9k' image;"

#define NULL_OPTIONS "encryption=off"

static const struct crash_case rows[] = {
    {"write-qcow", NULL_OPTIONS, FILL_QCOW, 600 * K, 0, change_write, 0, 0},
    {"write-qcow-backing", NULL_OPTIONS, FILL_QCOW, 200 * K, M, change_write, 0, 0},
    {"empty-qcow", NULL_OPTIONS, FILL_QCOW, 200 * K, M, change_empty, 0, 0},
};

const struct crash_cases crash_cases_qcow = {"qcow", rows, G_N_ELEMENTS(rows)};
