/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of qed: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define QED_SMALL "cluster_size=4k,table_size=2"

#define FILL_QED                                                                                   \
    "qemu-io -f qed -c 'write -q -P 1 0 100k' -c 'write -q -z 128k 64k' "                          \
    "-c 'write -q -P 2 300k 50k' image;"

/* Not closed; entries behind the end of the disk lie, of L1 and of the table behind 25 clusters. */
#define HURT_QED                                                                                   \
    "printf '\\002' | dd of=image bs=1 seek=16 conv=notrunc status=none;"                          \
    "printf 'lies' | dd of=image bs=1 seek=4136 conv=notrunc status=none;"                         \
    "printf 'lies' | dd of=image bs=1 seek=117088 conv=notrunc status=none;"

static const struct crash_case rows[] = {
    {"write-qed", QED_SMALL, FILL_QED, 5 * M, 0, change_write, 0, 0},
    {"write-qed-backing", QED_SMALL, FILL_QED, M, M, change_write, 0, 0},
    {"write-qed-64k", "table_size=2", FILL_QED, M, 0, change_write, 0, 0},
    {"resize-qed", QED_SMALL, FILL_QED, 510 * K, 0, change_resize, 5 * M, 0},
    {"repair-qed", QED_SMALL, FILL_QED HURT_QED, M, 0, change_repair, 0, 0},
    {"shrink-qed", QED_SMALL, FILL_QED, 5 * M, 0, change_resize, 150 * K, 0},
    {"shrink-qed-backing", QED_SMALL, FILL_QED, 5 * M, M, change_resize, 310 * K, 0},
    {"backing-change-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0},
    {"backing-change-long-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0},
    {"backing-change-long-qed-64k", "table_size=2", FILL_QED, M, M, change_backing, 0, 0},
    {"backing-add-long-qed", QED_SMALL, FILL_QED, M, 0, change_backing, 0, 0},
    {"backing-drop-qed", QED_SMALL, FILL_QED, M, M, change_backing, 0, 0},
    {"rebase-change-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0},
    {"rebase-change-long-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0},
    {"rebase-drop-qed", QED_SMALL, FILL_QED, M, M, change_rebase, 0, 0},
};

const struct crash_cases crash_cases_qed = {"qed", rows, G_N_ELEMENTS(rows)};
