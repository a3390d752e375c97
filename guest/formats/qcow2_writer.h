/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning what a copy does to a qcow2 image: where data goes, and the tables that then refer to
 * it.
 *
 * Three ways to find room. A fresh image without tables leases room ahead of use. An external data
 * file is linear: offset x lies at offset x. All others place run by run, since a cluster may exist
 * already: it is written in place when nothing else refers to it, otherwise it gets a new cluster.
 *
 * Tables change in memory. When they take too much of it, and at the end, they leave as a plan:
 *
 *   1 file size, zeroed clusters, barrier      data that tables will refer to is durable now
 *   2 refcounts, barrier                       what was taken is counted
 *   3 L2 tables, barrier                       in place, or in new clusters
 *   4 L1 entries, barrier
 *   5 refcounts of what is referred to no more
 *
 * An L2 entry is not written before the data it refers to was reported with WRITER_COMMIT. What was
 * placed and never reported counts as written when the copy is finished.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_WRITER_H
#define INSTAR_GUEST_FORMATS_QCOW2_WRITER_H

#include "guest/formats/qcow2_alloc.h"

struct qcow2_writer_options {
    bool fresh;      /* the image was just made by us and is empty */
    bool compressed; /* only compressed clusters will come */
};

/* See WriterOpenReply in guest/abi/writer.proto. */
struct qcow2_writer_shape {
    uint64_t unit;
    bool lease;
    uint32_t data_blob;
    uint32_t max_sharers;
    bool zero_by_default;
    bool linear;
    uint64_t zero_unit;
};

struct qcow2_writer;

/*
 * Starts writing to an opened image.
 *
 * in:      node: a qcow2 image opened read-write, its data file linked
 * returns: GUEST_ERR_NOT_SUPPORTED for other formats; GUEST_ERR_PLAN_DIRTY, _BITMAPS, _ENCRYPTED;
 *          what qcow2_alloc_init gives
 */
enum guest_err qcow2_writer_open(struct node *node, const struct qcow2_writer_options *options,
                                 struct qcow2_writer **out, struct qcow2_writer_shape *out_shape,
                                 struct guest_err_detail *detail);
void qcow2_writer_free(struct qcow2_writer *writer);

/* Hands out room for `bytes` bytes, rounded up to whole clusters. Only when shape.lease. */
enum guest_err qcow2_writer_lease(struct qcow2_writer *writer, uint64_t bytes, uint64_t *out_offset,
                                  uint64_t *out_bytes, struct guest_err_detail *detail);

/*
 * Finds room for runs that may exist already.
 *
 * in:      in: nr runs, on cluster boundaries but for the disk's end
 * out:     the same runs, cut where offsets jump: at most max of them
 * returns: GUEST_ERR_TOO_MUCH_WORK when they do not fit: nothing was placed from the run at
 *          *out_nr on
 */
enum guest_err qcow2_writer_place(struct qcow2_writer *writer, const struct cell_place *in,
                                  uint32_t nr, struct cell_place *out, uint32_t max,
                                  uint32_t *out_nr, struct guest_err_detail *detail);

/* Takes note of runs whose bytes were written, or that read as zeros from now on. */
enum guest_err qcow2_writer_commit(struct qcow2_writer *writer, const struct cell_place *runs,
                                   uint32_t nr, struct guest_err_detail *detail);

/* Whether the tables should be written now: qcow2_writer_plan then. */
bool qcow2_writer_wants_plan(const struct qcow2_writer *writer);

/* The plan that writes what has changed; the writer can go on after it. Owned by the writer. */
struct plan *qcow2_writer_plan(struct qcow2_writer *writer);

/*
 * Ends the copy: everything that was placed counts as written, room that was leased and not used
 * is free again. The plan is the last.
 *
 * in:      unused_offset: where the unused rest of the last lease starts, or any offset
 */
struct plan *qcow2_writer_finish(struct qcow2_writer *writer, uint64_t unused_offset);

#endif
