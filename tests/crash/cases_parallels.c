/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points of parallels: the rows of test_crash.
 */
#include "tests/crash/case.h"

#define FILL_PARALLELS                                                                             \
    "qemu-io -f parallels -c 'write -q -P 1 0 100k' -c 'write -q -P 2 300k 50k' image;"

/* Not closed; the second of two entries that name one cluster, and too much at the end. */
#define HURT_PARALLELS                                                                             \
    "printf 'Ynot' | dd of=image bs=1 seek=44 conv=notrunc status=none;"                           \
    "printf '\\003' | dd of=image bs=1 seek=76 conv=notrunc status=none;"                          \
    "truncate -s +9000 image;"

/* Two entries that name one cluster, and two holes. */
#define TWICE_PARALLELS POKE(64, "\\0") POKE(72, "\\4") POKE(80, "\\0")

/* A format extension without features, at the end of the file: magic, MD5 of its zeros, zeros. */
#define EXT_PARALLELS                                                                              \
    POKE(56, "\\070\\1")                                                                           \
    "printf '\\207\\352\\334\\043\\357\\114\\043\\253"                                             \
    "\\257\\232\\351\\342\\054\\322\\000\\157\\001\\253\\310\\055\\024\\250\\016\\360' >>image;"   \
    "truncate -s +4072 image;"

static const struct crash_case rows[] = {
    {"write-parallels", "cluster_size=16k", FILL_PARALLELS, 600 * K, 0, change_write, 0, 0},
    {"resize-parallels", "cluster_size=4k", FILL_PARALLELS, 600 * K, 0, change_resize, 7 * M, 0},
    {"shrink-parallels", "cluster_size=4k", FILL_PARALLELS, 600 * K, 0, change_resize, 110 * K, 0},
    {"repair-parallels", "cluster_size=4k", FILL_PARALLELS HURT_PARALLELS, 600 * K, 0,
     change_repair, 0, 0},
    {"repair-parallels-holes", "cluster_size=4k", FILL_PARALLELS TWICE_PARALLELS, 600 * K, 0,
     change_repair, 0, 0},
    {"repair-parallels-ext", "cluster_size=4k",
     FILL_PARALLELS TWICE_PARALLELS EXT_PARALLELS "truncate -s +9000 image;", 600 * K, 0,
     change_repair, 0, 0},
    {"write-parallels-ext", "cluster_size=4k", FILL_PARALLELS EXT_PARALLELS, 600 * K, 0,
     change_write, 0, 0},
    {"resize-parallels-ext", "cluster_size=4k", FILL_PARALLELS EXT_PARALLELS, 600 * K, 0,
     change_resize, 7 * M, 0},
};

const struct crash_cases crash_cases_parallels = {"parallels", rows, G_N_ELEMENTS(rows)};
