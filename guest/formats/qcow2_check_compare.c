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

/* Compares clusters [first, first + nr), whose refcounts are in the block, from its start on. */
static enum guest_err compare_block(struct qcow2_check *c, uint64_t first, uint64_t nr,
                                    struct span block, uint64_t *out_highest)
{
    uint32_t order = c->q->header.refcount_order;

    for (uint64_t i = 0; i < nr; i++) {
        /* 16 bits by far the most often: without the switch for each. */
        uint64_t on_disk =
            order == 4 ? load_be16(&block.data[i * 2]) : qcow2_refcount_get(block, i, order);
        uint64_t counted = qcow2_counts_get(&c->counts, first + i);
        enum guest_err err;

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

    for (uint64_t i = first; i < end; i++) {
        const struct qcow2_counts_page *page = &c->counts.pages[i >> QCOW2_COUNTS_PAGE_BITS];
        uint64_t counted;
        enum guest_err err;

        if (!page->narrow && !page->wide) {
            i |= QCOW2_COUNTS_PAGE - 1; /* nothing in this page */
            continue;
        }
        counted = qcow2_counts_get(&c->counts, i);
        if (!counted)
            continue;
        *out_highest = i;
        err = compare_one(c, i, 0, counted);
        if (err)
            return err;
    }
    return GUEST_OK;
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

static enum guest_err compare_at(struct qcow2_check *c, uint64_t index, uint8_t *block,
                                 uint64_t *out_highest)
{
    uint64_t per_block = 1ull << c->q->refblock_entries_bits;
    uint64_t first = index << c->q->refblock_entries_bits;
    uint64_t nr = min_u64(per_block, c->nr_clusters - first);
    uint64_t offset = c->reftable[index] & QCOW2_REFTABLE_MASK;
    struct guest_err_detail detail;

    if (c->disk.pages)
        return compare_rebuilt(c, first, nr, out_highest);
    if (offset == 0)
        return compare_absent(c, first, nr, out_highest);
    if (offset % c->q->cluster_size != 0) {
        qcow2_check_event(c, offset, index);
        return compare_unreadable(c, index, first, nr, QCOW2_EIO);
    }
    if (qcow2_read(c->q, offset, c->q->cluster_size, block, &detail))
        return compare_unreadable(c, index, first, nr, detail.number[0]);
    return compare_block(c, first, nr, span_of(block, c->q->cluster_size), out_highest);
}

enum guest_err qcow2_check_compare(struct qcow2_check *c, uint64_t *out_highest)
{
    uint64_t blocks = div_round_up_u64(c->nr_clusters, 1ull << c->q->refblock_entries_bits);
    uint64_t covered = min_u64(blocks, c->reftable_entries);
    uint8_t *block = arena_bytes(c->q->cluster_size);
    enum guest_err err = block ? GUEST_OK : err_plain(c->detail, GUEST_ERR_NO_MEMORY);

    for (uint64_t i = 0; !err && i < covered; i++)
        err = compare_at(c, i, block, out_highest);
    free(block);
    if (!err && covered < blocks) {
        uint64_t first = covered << c->q->refblock_entries_bits;
        err = compare_absent(c, first, c->nr_clusters - first, out_highest);
    }
    return err;
}
