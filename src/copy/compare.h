/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparison engine: two images read side by side, by the same pool, readers and codec cells
 * that copies use. What reads as zeros on both sides is not read at all, and the first thing that
 * is wrong, in order of offsets, is what is told, whichever thread met it first.
 */
#ifndef INSTAR_SRC_COPY_COMPARE_H
#define INSTAR_SRC_COPY_COMPARE_H

#include "src/graph/graph.h"
#include "src/sandbox/sandbox.h"

/* Address space that a worker may take, with a codec cell for either side. */
#define COMPARE_WORKER_ADDRESSES (192ull << 20)

enum compare_outcome {
    COMPARE_SAME,
    COMPARE_DIFFERS,        /* offset: the first sector that differs */
    COMPARE_STATUS_DIFFERS, /* strict: the run at offset is stored differently */
    COMPARE_STATUS_FAILED,  /* where side's data is could not be found out */
    COMPARE_READ_FAILED,    /* side's request at offset could not be read */
    COMPARE_BROKEN,         /* see error */
};

struct compare_event {
    enum compare_outcome outcome;
    guint64 offset;   /* bytes */
    guint side;       /* 0 or 1: which image failed */
    int error_number; /* READ_FAILED */
    GError *error;    /* freed by the caller; may be NULL */
};

struct compare_options {
    guint workers;
    gboolean strict;
    gboolean progress;
    struct cell_config cell;
    void (*before_tail)(void *user); /* the common part is the same, the sizes are not */
    void *user;
};

/*
 * Compares the virtual disks. The longer one must read as zeros behind the end of the other.
 *
 * out:     *event is the first that was met, or COMPARE_SAME
 */
void compare_run(struct image *const images[2], const struct compare_options *options,
                 struct compare_event *event);

#endif
