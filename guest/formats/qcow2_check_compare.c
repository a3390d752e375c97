/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second pass of a check: references against refcounts.
 */
#include "guest/formats/qcow2_repair.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* ---- comparing ---- */

/* A difference that this comparison repairs: the count stays, as the refcount to be. */
static enum guest_err mend_one(struct qcow2_check *c, uint64_t cluster, uint64_t on_disk,
                               uint64_t counted)
{
    qcow2_check_mended(c, QCOW2_FOUND_MISSING, cluster, on_disk, counted);
    if (on_disk > counted) {
        c->reply->corruptions_fixed--;
        c->reply->leaks_fixed++;
    }
    if (counted == 0)
        qcow2_repair_add_freed(c->repair, cluster);
    return qcow2_repair_touch(c->repair, c, cluster) ? GUEST_OK
                                                     : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

static enum guest_err compare_one(struct qcow2_check *c, uint64_t cluster, uint64_t on_disk,
                                  uint64_t counted)
{
    if (on_disk == 0)
        c->rebuild = true; /* nothing may be allocated in an image with such a block */
    else if (c->mend & (on_disk < counted ? QCOW2_MEND_ERRORS : QCOW2_MEND_LEAKS))
        return mend_one(c, cluster, on_disk, counted);
    if (on_disk < counted) {
        qcow2_check_corrupt(c, QCOW2_FOUND_MISSING, cluster, on_disk, counted);
    } else {
        qcow2_check_found(c, QCOW2_FOUND_LEAK, cluster, on_disk, counted);
        c->reply->leaks++;
    }
    return !c->settling || qcow2_counts_set(&c->counts, cluster, on_disk)
               ? GUEST_OK
               : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

/*
 * Eight clusters whose refcounts are 16 bits wide: whether each count is 0 and so is the refcount,
 * or each is 1. All but a few are.
 */
static inline bool eight_agree(const struct qcow2_check *c, uint64_t cluster, const uint8_t *at,
                               uint64_t *out_highest)
{
    uint64_t counted;

    if (!qcow2_counts_get8(&c->counts, cluster, &counted))
        return false;
    if (counted == 0)
        return (load_be64(at) | load_be64(&at[8])) == 0;
    if (counted != 0x0101010101010101ull || load_be64(at) != 0x0001000100010001ull ||
        load_be64(&at[8]) != 0x0001000100010001ull)
        return false;
    *out_highest = cluster + 7;
    return true;
}

/* Compares clusters [first, first + nr), whose refcounts are in the block, from its start on. */
static enum guest_err compare_block(struct qcow2_check *c, uint64_t first, uint64_t nr,
                                    struct span block, uint64_t *out_highest)
{
    uint32_t order = c->q->header.refcount_order;

    for (uint64_t i = 0; i < nr; i++) {
        uint64_t on_disk, counted;
        enum guest_err err;

        while (order == 4 && i % 8 == 0 && i + 8 <= nr &&
               eight_agree(c, first + i, &block.data[i * 2], out_highest))
            i += 8;
        if (i == nr)
            break;
        on_disk = qcow2_refcount_get(block, i, order);
        counted = qcow2_counts_get(&c->counts, first + i);
        if (on_disk | counted)
            *out_highest = first + i;
        if (on_disk == counted)
            continue;
        err = compare_one(c, first + i, on_disk, counted);
        if (err)
            return err;
    }
    return GUEST_OK;
}

/* The same for clusters without a refcount block: their refcounts are 0. */
static enum guest_err compare_absent(struct qcow2_check *c, uint64_t first, uint64_t nr,
                                     uint64_t *out_highest)
{
    uint64_t end = first + nr;
    enum guest_err err = GUEST_OK;

    for (uint64_t i = first; !err; i++) {
        i = qcow2_counts_next(&c->counts, i, end);
        if (i == end)
            break;
        *out_highest = i;
        err = compare_one(c, i, 0, qcow2_counts_get(&c->counts, i));
    }
    return err;
}

/* The same for clusters whose refcount block has just been made anew. */
static enum guest_err compare_rebuilt(struct qcow2_check *c, uint64_t first, uint64_t nr,
                                      uint64_t *out_highest)
{
    enum guest_err err = GUEST_OK;
    uint64_t end = first + nr;

    for (uint64_t i = first; !err; i++) {
        uint64_t on_disk, counted;

        i = min_u64(qcow2_counts_next(&c->disk, i, end), qcow2_counts_next(&c->counts, i, end));
        if (i == end)
            break;
        on_disk = qcow2_counts_get(&c->disk, i);
        counted = qcow2_counts_get(&c->counts, i);
        *out_highest = i;
        if (on_disk != counted)
            err = compare_one(c, i, on_disk, counted);
    }
    return err;
}

/* The same for clusters whose refcount block cannot be read. */
static enum guest_err compare_unreadable(struct qcow2_check *c, uint64_t index, uint64_t first,
                                         uint64_t nr, uint64_t error_number)
{
    if (!c->bad_blocks || index >= c->nr_bad_blocks) {
        free(c->bad_blocks);
        c->nr_bad_blocks = (c->nr_clusters >> c->q->refblock_entries_bits) + 1;
        c->bad_blocks = arena_array(c->nr_bad_blocks, 1);
        if (!c->bad_blocks)
            return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    }
    c->bad_blocks[index] = 1;
    for (uint64_t i = 0; i < nr; i++) {
        qcow2_check_found(c, QCOW2_FOUND_NO_REFCOUNT, first + i, error_number, 0);
        c->reply->check_errors++;
    }
    return GUEST_OK;
}

/*
 * A refcount block in an impossible place is a corruption event: the first one is announced, and an
 * image that is written is marked.
 */
void qcow2_check_event(struct qcow2_check *c, uint64_t offset, uint64_t index)
{
    if (!c->event_reported)
        qcow2_check_found(c, c->repair ? QCOW2_FOUND_MARKED_REFBLOCK : QCOW2_FOUND_REFBLOCK_EVENT,
                          offset, index, 0);
    c->event_reported = true;
    if (c->repair)
        qcow2_repair_mark_corrupt(c->repair, c->q);
}

/* ---- reading blocks, many at a time ---- */

#define AHEAD_MAX   16u
#define AHEAD_BYTES (1ull << 20)

struct block_window {
    uint8_t *bytes;
    uint64_t first; /* index of the first block of the window */
    uint32_t nr;    /* blocks of the window */
    uint32_t ready; /* a bit for each: it was read */
};

static bool is_readable(const struct qcow2_check *c, uint64_t index)
{
    uint64_t offset = c->reftable[index] & QCOW2_REFTABLE_MASK;

    return offset != 0 && offset % c->q->cluster_size == 0 &&
           range_inside_u64(offset, c->q->cluster_size, c->q->source->size_bytes);
}

/* Reads the blocks from `index` on, below `end`; what cannot be read so is read alone later. */
static void fill_window(struct qcow2_check *c, struct block_window *w, uint64_t index, uint64_t end)
{
    struct source_piece pieces[AHEAD_MAX];
    uint64_t size = c->q->cluster_size, most = max_u64(AHEAD_BYTES / size, 1);
    unsigned nr_pieces = 0;

    w->first = index;
    w->nr = (uint32_t)min_u64(min_u64(end - index, most), AHEAD_MAX);
    w->ready = 0;
    for (uint32_t i = 0; i < w->nr; i++) {
        if (!is_readable(c, index + i))
            continue;
        pieces[nr_pieces++] =
            (struct source_piece){.offset = c->reftable[index + i] & QCOW2_REFTABLE_MASK,
                                  .len = size,
                                  .dst = &w->bytes[i * size]};
        w->ready |= 1u << i;
    }
    if (nr_pieces && c->q->source->read(c->q->source, pieces, nr_pieces, NULL))
        w->ready = 0;
}

/* The block at an index, read. */
static enum guest_err get_block(struct qcow2_check *c, struct block_window *w, uint64_t index,
                                uint64_t end, uint8_t **out, struct guest_err_detail *detail)
{
    uint64_t size = c->q->cluster_size;

    if (index < w->first || index - w->first >= w->nr)
        fill_window(c, w, index, end);
    *out = &w->bytes[(index - w->first) * size];
    if (w->ready >> (index - w->first) & 1)
        return GUEST_OK;
    return qcow2_read(c->q, c->reftable[index] & QCOW2_REFTABLE_MASK, size, *out, detail);
}

static enum guest_err compare_at(struct qcow2_check *c, struct block_window *w, uint64_t index,
                                 uint64_t end, uint64_t *out_highest)
{
    uint64_t per_block = 1ull << c->q->refblock_entries_bits;
    uint64_t first = index << c->q->refblock_entries_bits;
    uint64_t nr = min_u64(per_block, c->nr_clusters - first);
    uint64_t offset = c->reftable[index] & QCOW2_REFTABLE_MASK;
    struct guest_err_detail detail;
    uint8_t *block;

    if (c->disk.pages)
        return compare_rebuilt(c, first, nr, out_highest);
    if (offset == 0)
        return compare_absent(c, first, nr, out_highest);
    if (offset % c->q->cluster_size != 0) {
        qcow2_check_event(c, offset, index);
        return compare_unreadable(c, index, first, nr, QCOW2_EIO);
    }
    if (get_block(c, w, index, end, &block, &detail))
        return compare_unreadable(c, index, first, nr, detail.number[0]);
    return compare_block(c, first, nr, span_of(block, c->q->cluster_size), out_highest);
}

enum guest_err qcow2_check_compare(struct qcow2_check *c, uint64_t *out_highest)
{
    uint64_t blocks = div_round_up_u64(c->nr_clusters, 1ull << c->q->refblock_entries_bits);
    uint64_t covered = min_u64(blocks, c->reftable_entries);
    struct block_window w = {.bytes = arena_bytes(max_u64(AHEAD_BYTES, c->q->cluster_size))};
    enum guest_err err = w.bytes ? GUEST_OK : err_plain(c->detail, GUEST_ERR_NO_MEMORY);

    for (uint64_t i = 0; !err && i < covered; i++)
        err = compare_at(c, &w, i, covered, out_highest);
    free(w.bytes);
    if (!err && covered < blocks) {
        uint64_t first = covered << c->q->refblock_entries_bits;
        err = compare_absent(c, first, c->nr_clusters - first, out_highest);
    }
    return err;
}
