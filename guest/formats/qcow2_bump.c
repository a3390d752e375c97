/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_bump.h"

#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_layout.h"
#include "guest/lib/arena.h"

#define BLOCKS_MAX (QCOW2_REFTABLE_BYTES_MAX / 8)

/* First index whose run ends after `cluster`. */
static uint64_t find_run(const struct qcow2_bump *bump, uint64_t cluster)
{
    uint64_t low = 0, high = bump->nr_used;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (bump->used[mid].end > cluster)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static enum guest_err mark(struct qcow2_bump *bump, uint64_t start, uint64_t end)
{
    uint64_t i = find_run(bump, start);
    bool joins_left = i > 0 && bump->used[i - 1].end == start;
    bool joins_right = i < bump->nr_used && bump->used[i].start == end;
    if (joins_left && joins_right) {
        bump->used[i - 1].end = bump->used[i].end;
        bump->nr_used--;
        memmove(&bump->used[i], &bump->used[i + 1], (bump->nr_used - i) * sizeof(*bump->used));
    } else if (joins_left) {
        bump->used[i - 1].end = end;
    } else if (joins_right) {
        bump->used[i].start = start;
    } else {
        if (!arena_grow((void **)&bump->used, &bump->max_used, bump->nr_used + 1,
                        sizeof(*bump->used)))
            return GUEST_ERR_NO_MEMORY;
        memmove(&bump->used[i + 1], &bump->used[i], (bump->nr_used - i) * sizeof(*bump->used));
        bump->used[i] = (struct qcow2_run){start, end};
        bump->nr_used++;
    }
    return GUEST_OK;
}

/* The first nr adjacent free clusters from bump->next on, which moves behind them. */
static uint64_t search(struct qcow2_bump *bump, uint64_t nr)
{
    uint64_t at = bump->next;
    for (uint64_t i = find_run(bump, at); i < bump->nr_used; i++) {
        if (bump->used[i].start >= at && bump->used[i].start - at >= nr)
            break;
        at = bump->used[i].end;
    }
    bump->next = at + nr;
    return at;
}

enum guest_err qcow2_bump_set_block(struct qcow2_bump *bump, uint64_t index, uint64_t cluster)
{
    if (index >= BLOCKS_MAX)
        return GUEST_ERR_FILE_TOO_LARGE;
    if (!arena_grow((void **)&bump->block, &bump->max_blocks, index + 1, sizeof(*bump->block)))
        return GUEST_ERR_NO_MEMORY;
    bump->block[index] = cluster;
    bump->nr_blocks = max_u64(bump->nr_blocks, index + 1);
    return GUEST_OK;
}

static bool has_block(const struct qcow2_bump *bump, uint64_t index)
{
    return index < bump->nr_blocks && bump->block[index] != 0;
}

/*
 * Adds the block of `index`, or, when the place found for it has itself no block, only that other
 * one: the caller tries again.
 */
static enum guest_err add_block(struct qcow2_bump *bump, uint64_t index)
{
    for (;;) {
        uint64_t at = search(bump, 1);
        uint64_t counted_by = at >> bump->block_bits;
        if (counted_by == index || has_block(bump, counted_by)) {
            enum guest_err err = qcow2_bump_set_block(bump, index, at);
            return err ? err : mark(bump, at, at + 1);
        }
        index = counted_by;
    }
}

enum guest_err qcow2_bump_take(struct qcow2_bump *bump, uint64_t nr, uint64_t *out_cluster)
{
    for (;;) {
        uint64_t at = search(bump, nr);
        uint64_t index = at >> bump->block_bits;
        uint64_t last = (at + nr - 1) >> bump->block_bits;
        while (index <= last && has_block(bump, index))
            index++;
        if (index > last) {
            *out_cluster = at;
            return mark(bump, at, at + nr);
        }
        enum guest_err err = add_block(bump, index);
        if (err)
            return err;
        bump->next = min_u64(bump->next, at);
    }
}

enum guest_err qcow2_bump_claim(struct qcow2_bump *bump, uint64_t cluster, uint64_t nr)
{
    bump->next = max_u64(bump->next, cluster + nr);
    return nr ? mark(bump, cluster, cluster + nr) : GUEST_OK;
}

enum guest_err qcow2_bump_release(struct qcow2_bump *bump, uint64_t cluster)
{
    uint64_t i = find_run(bump, cluster);
    struct qcow2_run old = bump->used[i];
    if (!arena_grow((void **)&bump->used, &bump->max_used, bump->nr_used + 1, sizeof(*bump->used)))
        return GUEST_ERR_NO_MEMORY;
    memmove(&bump->used[i + 1], &bump->used[i], (bump->nr_used - i) * sizeof(*bump->used));
    bump->nr_used++;
    bump->used[i] = (struct qcow2_run){old.start, cluster};
    bump->used[i + 1] = (struct qcow2_run){cluster + 1, old.end};
    for (uint64_t k = i + 2; k-- > i;) {
        if (bump->used[k].start == bump->used[k].end) {
            bump->nr_used--;
            memmove(&bump->used[k], &bump->used[k + 1], (bump->nr_used - k) * sizeof(*bump->used));
        }
    }
    bump->next = min_u64(bump->next, cluster);
    return GUEST_OK;
}

uint64_t qcow2_bump_end(const struct qcow2_bump *bump)
{
    return bump->nr_used ? bump->used[bump->nr_used - 1].end : 0;
}

enum guest_err qcow2_bump_init(struct qcow2_bump *bump, unsigned block_bits, uint64_t rt_clusters)
{
    *bump = (struct qcow2_bump){.block_bits = block_bits};
    uint64_t end = 1 + rt_clusters;
    for (uint64_t index = 0; index << block_bits < end; index++) {
        enum guest_err err = qcow2_bump_set_block(bump, index, end++);
        if (err)
            return err;
    }
    return qcow2_bump_claim(bump, 0, end);
}

void qcow2_bump_clear(struct qcow2_bump *bump)
{
    free(bump->block);
    free(bump->used);
    *bump = (struct qcow2_bump){0};
}
