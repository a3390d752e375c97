/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case of the crash tests: how to make an image, and who changes it.
 *
 * One file a format (cases_FORMAT.c) has its rows. A later planner adds a row there, and if need be
 * a function that produces its plan to changes.c.
 */
#ifndef INSTAR_TESTS_CRASH_CASE_H
#define INSTAR_TESTS_CRASH_CASE_H

#include <glib.h>

#include "tests/crash/bench.h"
#include "tests/crash/changes.h"

#define K 1024ull
#define M (K * K)

struct crash_case {
    const char *name;
    const char *options; /* stock's -o; NULL: the image does not exist before */
    const char *prepare; /* shell, after creation */
    uint64_t size;       /* virtual, before */
    uint64_t backing_size;
    crash_change *change;
    uint64_t new_size;
    Abi__Preallocation preallocation;
};

/* The rows of one format. */
struct crash_cases {
    const char *format;
    const struct crash_case *rows;
    unsigned nr;
};

extern const struct crash_cases crash_cases_qcow2;
extern const struct crash_cases crash_cases_parallels;
extern const struct crash_cases crash_cases_qcow;
extern const struct crash_cases crash_cases_qed;
extern const struct crash_cases crash_cases_vdi;
extern const struct crash_cases crash_cases_vhdx;
extern const struct crash_cases crash_cases_vmdk;
extern const struct crash_cases crash_cases_vpc;

/* Printf's octal bytes over those at an offset, which may be a sum. */
#define POKE(at, bytes)                                                                            \
    "printf '" bytes "' | dd of=image bs=1 seek=$((" #at ")) conv=notrunc status=none;"

/* The last fields of a row that is repaired. */
#define REPAIR   change_repair, 0, 0
#define METADATA ABI__PREALLOCATION__PREALLOC_METADATA
#define FULL     ABI__PREALLOCATION__PREALLOC_FULL

#endif
