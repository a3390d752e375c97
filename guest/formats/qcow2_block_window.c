/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_block_window.h"

#include <stdlib.h>
#include <string.h>

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define GROWTH 4u /* times as many with each read that follows the one before */

void qcow2_block_window_init(struct qcow2_block_window *w, struct qcow2 *q, const uint64_t *table,
                             uint64_t entries)
{
    *w = (struct qcow2_block_window){.q = q, .table = table, .entries = entries};
}

void qcow2_block_window_clear(struct qcow2_block_window *w)
{
    free(w->bytes);
    *w = (struct qcow2_block_window){0};
}

/* How many to read from an index on: one, and more as a walk in order goes on. */
static uint64_t wanted(const struct qcow2_block_window *w, uint64_t index)
{
    uint64_t had = w->to - w->from, nr = 1;
    uint64_t most = max_u64(1, QCOW2_BLOCK_WINDOW_BYTES >> w->q->header.cluster_bits);
    if (had && index >= w->to && index - w->to < had)
        nr = had * GROWTH;
    return min_u64(min_u64(nr, w->entries - index), min_u64(most, QCOW2_BLOCK_WINDOW_MAX));
}

static bool make_room(struct qcow2_block_window *w, uint64_t nr)
{
    if (w->capacity >= nr)
        return true;
    free(w->bytes);
    w->capacity = 0;
    w->bytes = arena_array(nr, w->q->cluster_size);
    if (w->bytes)
        w->capacity = nr;
    return w->bytes != NULL;
}

/* Adds a block to a list of pieces; one that goes on from the last, here and on disk, joins it. */
static void add_piece(struct source_piece *pieces, unsigned *nr, uint64_t offset, uint64_t len,
                      uint8_t *dst)
{
    struct source_piece *last = *nr ? &pieces[*nr - 1] : NULL;
    if (last && last->offset + last->len == offset && (uint8_t *)last->dst + last->len == dst)
        last->len += len;
    else
        pieces[(*nr)++] = (struct source_piece){.offset = offset, .len = len, .dst = dst};
}

static enum guest_err fill(struct qcow2_block_window *w, uint64_t index,
                           struct guest_err_detail *detail)
{
    struct source_piece pieces[QCOW2_BLOCK_WINDOW_MAX];
    uint64_t size = w->q->source->size_bytes, bytes = w->q->cluster_size;
    uint64_t to = index + wanted(w, index);
    unsigned nr = 0;
    w->from = w->to = 0;
    if (!make_room(w, to - index))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = index; i < to; i++) {
        uint8_t *dst = &w->bytes[(i - index) * bytes];
        bool there = w->table[i] && w->table[i] < size;
        uint64_t len = there ? min_u64(bytes, size - w->table[i]) : 0;
        memset(&dst[len], 0, bytes - len);
        if (len)
            add_piece(pieces, &nr, w->table[i], len, dst);
    }
    enum guest_err err = nr ? w->q->source->read(w->q->source, pieces, nr, detail) : GUEST_OK;
    if (err)
        return err;
    w->from = index;
    w->to = to;
    return GUEST_OK;
}

enum guest_err qcow2_block_window_get(struct qcow2_block_window *w, uint64_t index,
                                      const uint8_t **out, struct guest_err_detail *detail)
{
    if (index < w->from || index >= w->to) {
        enum guest_err err = fill(w, index, detail);
        if (err)
            return err;
    }
    *out = &w->bytes[(index - w->from) * w->q->cluster_size];
    return GUEST_OK;
}
