/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refcounts of 1 to 64 bits inside a refcount block, and blocks as plan ops.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_REFBLOCK_H
#define INSTAR_GUEST_FORMATS_QCOW2_REFBLOCK_H

#include "guest/formats/qcow2_bump.h"
#include "guest/plan/plan.h"

/*
 * The refcount at `index` of a block.
 *
 * in:      order: log2 of the width in bits, 0 .. 6; index inside the block
 */
uint64_t qcow2_refblock_load(const uint8_t *block, uint64_t index, unsigned order);
void qcow2_refblock_store(uint8_t *block, uint64_t index, unsigned order, uint64_t value);

/* Counts up to `end` of a block, from where somebody looked, are `value`. */
struct qcow2_count_run {
    uint64_t end, value;
};

/* The run of counts that are like the one at `index`; it ends at `nr` at the latest. */
struct qcow2_count_run qcow2_refblock_run(const uint8_t *block, uint64_t index, uint64_t nr,
                                          unsigned order);

/* Makes counts [from, to) of a block `value`. */
void qcow2_refblock_fill(uint8_t *block, uint64_t from, uint64_t to, unsigned order,
                         uint64_t value);

/* Bytes of which counts that are alike consist, into unit, at most 8. returns: how many */
unsigned qcow2_refblock_unit(unsigned order, uint64_t value, uint8_t *unit);

/* The largest refcount of that width. */
uint64_t qcow2_refcount_max(unsigned order);

/*
 * Appends the ops that write one whole block: 1 for each cluster in `runs`, 0 for the others.
 *
 * in:      offset: of the block in the blob; first_cluster: counted by its entry 0; runs ascending
 * returns: false when the batch has no room; nothing was appended then
 */
bool qcow2_refblock_yield_runs(struct plan_sink *sink, uint32_t blob, uint64_t offset,
                               unsigned cluster_bits, unsigned order, uint64_t first_cluster,
                               const struct qcow2_run *runs, uint64_t nr_runs);

#endif
