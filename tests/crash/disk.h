/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image and its data file in memory, as steps leave them.
 */
#ifndef INSTAR_TESTS_CRASH_DISK_H
#define INSTAR_TESTS_CRASH_DISK_H

#include <glib.h>

#include "tests/crash/bench.h"
#include "tests/crash/replay.h"

struct disk {
    GByteArray *file[2]; /* by blob */
};

void disk_new(struct disk *disk);
void disk_free(struct disk *disk);

/* What the bench's files hold. */
void disk_load(struct disk *disk, const struct bench *bench);
void disk_copy(struct disk *to, const struct disk *from);

/* Carries out the bytes from..to of one step: the rest of it never reached the disk. */
void disk_step(struct disk *disk, const struct step *step, uint64_t from, uint64_t to);

#endif
