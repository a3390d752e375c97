/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refcount blocks of an existing image, to be looked at in the order of their indexes: many are
 * read in one call, straight to where they are looked at, as they are not read again soon.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_BLOCK_WINDOW_H
#define INSTAR_GUEST_FORMATS_QCOW2_BLOCK_WINDOW_H

#include "guest/formats/qcow2.h"

#define QCOW2_BLOCK_WINDOW_MAX   64u
#define QCOW2_BLOCK_WINDOW_BYTES (1u << 20)

struct qcow2_block_window {
    struct qcow2 *q;
    const uint64_t *table; /* offsets of blocks; inside the file, or 0: none */
    uint64_t entries;
    uint8_t *bytes;
    uint64_t capacity; /* blocks that `bytes` has room for */
    uint64_t from, to; /* the blocks at hand; none when equal */
};

/* in: table, of `entries` entries, outlives the window, and may be changed by its owner */
void qcow2_block_window_init(struct qcow2_block_window *w, struct qcow2 *q, const uint64_t *table,
                             uint64_t entries);
void qcow2_block_window_clear(struct qcow2_block_window *w);

/*
 * Gives the block at an index, as it is on disk.
 *
 * out:     *out: one cluster, until the next call; zeros where there is no block, or behind the end
 *          of the file
 * returns: GUEST_ERR_IO; GUEST_ERR_NO_MEMORY
 * bound:   QCOW2_BLOCK_WINDOW_BYTES, or one cluster, of memory
 */
enum guest_err qcow2_block_window_get(struct qcow2_block_window *w, uint64_t index,
                                      const uint8_t **out, struct guest_err_detail *detail);

#endif
