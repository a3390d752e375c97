/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a format's writer is: where the data of a copy goes in an image, and the tables that then
 * refer to it. guest/abi/writer.proto is the host's view of the same verbs.
 *
 * A writer changes tables in memory. They leave as a plan when they take too much of it, and at
 * the end; a table entry is not written before the data it refers to was reported (commit).
 */
#ifndef INSTAR_GUEST_FORMATS_WRITER_H
#define INSTAR_GUEST_FORMATS_WRITER_H

#include "guest/abi/hypercall.h"
#include "guest/plan/plan.h"

struct image_writer_options {
    bool fresh;        /* the image was just made by us and is empty */
    bool compressed;   /* only compressed units will come */
    bool keep_zeros;   /* zeros are recorded even where nothing else would show */
    bool bitmaps_told; /* dirty bitmaps have the bits of what will be written */
    uint64_t random;   /* for ids that change with the content */
    bool same_disk;    /* what the chain shows stays the same (commit, rebase) */
};

/* See WriterOpenReply in guest/abi/writer.proto. */
struct image_writer_shape {
    uint64_t unit; /* bytes: runs start and end on multiples, not the size of a block */
    bool lease;
    uint32_t data_blob;
    uint32_t max_sharers;
    bool zero_by_default;
    uint32_t comp_align; /* bytes, 0 counts as 1 */
    bool linear;
    uint64_t linear_offset; /* bytes */
    uint64_t zero_unit;
    bool plain_zeros;
};

struct image_writer;

struct image_writer_verbs {
    /*
     * Hands out room for `bytes` bytes, rounded up to whole units; NULL unless shape.lease.
     */
    enum guest_err (*lease)(struct image_writer *writer, uint64_t bytes, uint64_t *out_offset,
                            uint64_t *out_bytes, struct guest_err_detail *detail);

    /*
     * Finds room for runs that may exist already; NULL when shape.lease or shape.linear is all
     * the format ever says.
     *
     * in:      in: nr runs, on unit boundaries but for the disk's end
     * out:     the same runs, cut where offsets jump: at most max of them
     * returns: GUEST_ERR_TOO_MUCH_WORK when they do not fit: nothing was placed from the run at
     *          *out_nr on
     */
    enum guest_err (*place)(struct image_writer *writer, const struct cell_place *in, uint32_t nr,
                            struct cell_place *out, uint32_t max, uint32_t *out_nr,
                            struct guest_err_detail *detail);

    /* Takes note of runs whose bytes were written, or that read as zeros from now on. */
    enum guest_err (*commit)(struct image_writer *writer, const struct cell_place *runs,
                             uint32_t nr, struct guest_err_detail *detail);

    /* Whether the tables should be written now: plan then. */
    bool (*wants_plan)(const struct image_writer *writer);

    /* The plan that writes what has changed; the writer can go on after it. Owned by the writer. */
    struct plan *(*plan)(struct image_writer *writer);

    /*
     * Ends the copy: everything that was placed counts as written, room that was leased and not
     * used is free again. The plan is the last.
     *
     * in:      unused_offset: where the unused rest of the last lease starts, or any offset
     */
    struct plan *(*finish)(struct image_writer *writer, uint64_t unused_offset);

    void (*free)(struct image_writer *writer);
};

/* The head of every format's writer; `plan` is what the plan verbs give. */
struct image_writer {
    struct plan plan;
    const struct image_writer_verbs *verbs;
    struct image_writer_shape shape;
};

#endif
