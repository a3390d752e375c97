/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the clusters of a new qcow2 image lie.
 *
 * Room is handed out upwards; a refcount block is put where the search for room stands when the
 * first cluster of its range is wanted. This gives the same layout as stock qemu-img, so that
 * created images are the same bytes: when a run needs a block that does not exist yet, the block
 * goes behind the run that was looked at, and the run is looked for anew.
 * source: observed with stock 7.2 over a grid of sizes, cluster sizes and refcount widths.
 *
 * Left out: growing the refcount table. The caller gives its final size and starts over with a
 * larger one when qcow2_bump_blocks outgrows it.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_BUMP_H
#define INSTAR_GUEST_FORMATS_QCOW2_BUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/err.h"

/* Clusters [start, end) are in use. */
struct qcow2_run {
    uint64_t start;
    uint64_t end;
};

struct qcow2_bump {
    unsigned block_bits;    /* log2 of the clusters that one refcount block counts */
    uint64_t next;          /* where the search for room starts */
    uint64_t *block;        /* cluster of each refcount block, 0: none */
    uint64_t nr_blocks;     /* one more than the last existing block */
    uint64_t max_blocks;    /* entries of `block` */
    struct qcow2_run *used; /* ascending, not touching */
    uint64_t nr_used;
    uint64_t max_used;
};

/*
 * Lays out the start of an image: header, refcount table, and the blocks that count them.
 *
 * in:      rt_clusters: clusters of the refcount table, which starts at cluster 1
 * out:     *bump, to be released with qcow2_bump_clear, also after a failure
 * returns: GUEST_OK; GUEST_ERR_NO_MEMORY
 */
enum guest_err qcow2_bump_init(struct qcow2_bump *bump, unsigned block_bits, uint64_t rt_clusters);
void qcow2_bump_clear(struct qcow2_bump *bump);

/*
 * Takes nr adjacent clusters, and what refcount blocks they need.
 *
 * out:     *out_cluster the first of them
 * returns: GUEST_OK; GUEST_ERR_NO_MEMORY; GUEST_ERR_FILE_TOO_LARGE past QCOW2_REFTABLE_BYTES_MAX
 * bound:   (blocks in the run) squared, in practice a handful of steps
 */
enum guest_err qcow2_bump_take(struct qcow2_bump *bump, uint64_t nr, uint64_t *out_cluster);

/*
 * Takes the nr clusters at `cluster`, which must be free and must be counted by blocks the caller
 * sets himself.
 */
enum guest_err qcow2_bump_claim(struct qcow2_bump *bump, uint64_t cluster, uint64_t nr);

/* Gives a cluster back, and lets the next search start there. */
enum guest_err qcow2_bump_release(struct qcow2_bump *bump, uint64_t cluster);

/* Sets where a refcount block lies. */
enum guest_err qcow2_bump_set_block(struct qcow2_bump *bump, uint64_t index, uint64_t cluster);

/* One more than the last cluster in use. */
uint64_t qcow2_bump_end(const struct qcow2_bump *bump);

#endif
