/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of vpc: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FILL_VPC "qemu-io -f vpc -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

/* Blocks of 64 KiB in an image of 4 MiB: the entries, the size, the header's checksum. */
#define SMALL_BLOCKS_VPC                                                                           \
    "printf '\\000\\000\\000\\100\\000\\001\\000\\000\\377\\377\\364\\126' | "                     \
    "dd of=image bs=1 seek=540 conv=notrunc status=none;"

/* Block 2 lies where block 0 does. */
#define ENTRY_VPC "dd if=image of=image bs=4 skip=384 seek=386 count=1 conv=notrunc status=none;"

static const struct crash_case rows[] = {
    {"write-vpc", "force_size=on", FILL_VPC, 4 * M, 0, change_write, 0, 0},
    {"write-vpc-small-blocks", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_write,
     0, 0},
    {"grow-vpc", "force_size=on", FILL_VPC, 3 * M, 0, change_resize, 3 * M + 5 * K, 0},
    {"grow-vpc-table", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_resize,
     5 * M + 300 * K, 0},
    {"shrink-vpc", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC, 4 * M, 0, change_resize, 310 * K, 0},
    {"grow-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_resize, 2 * M, 0},
    {"shrink-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_resize, 310 * K,
     0},
    {"write-child-vpc", "", NULL, 5 * M, 4 * M, change_write, 0, 0},
    {"write-child-vpc-filled", "", NULL, 5 * M, 4 * M, change_write, 0, 0},
    {"backing-child-vpc-filled", "", NULL, 5 * M, 4 * M, change_backing, 0, 0},
    {"empty-child-vpc-filled", "", NULL, 5 * M, 5 * M, change_empty, 0, 0},
    {"repair-vpc-end", "force_size=on", FILL_VPC "truncate -s -512 image", 4 * M, 0, REPAIR},
    {"repair-vpc-checksum", "force_size=on", FILL_VPC POKE(548, "\\000"), 4 * M, 0, REPAIR},
    {"repair-vpc-twice", "force_size=on", SMALL_BLOCKS_VPC FILL_VPC ENTRY_VPC, 4 * M, 0, REPAIR},
    {"grow-child-vpc", "", NULL, 3 * M, 7 * M, change_resize, 8 * M, 0},
    {"grow-child-vpc-filled", "", NULL, 3 * M + 5 * K, 7 * M, change_resize, 6 * M, 0},
    {"grow-child-vpc-filled-short", "", NULL, 5 * M, 3 * M, change_resize, 8 * M, 0},
    {"shrink-child-vpc-filled", "", NULL, 5 * M, 4 * M, change_resize, 1300 * K, 0},
    {"write-vpc-fixed", "subformat=fixed,force_size=on", FILL_VPC, M, 0, change_write, 0, 0},
};

const struct crash_cases crash_cases_vpc = {"vpc", rows, G_N_ELEMENTS(rows)};
