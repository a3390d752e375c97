/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second pass of a check: references against refcounts, and the COPIED flags.
 */
#include "guest/formats/qcow2_check.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* ---- comparing ---- */

static enum guest_err compare_one(struct qcow2_check *c, uint64_t cluster, uint64_t on_disk,
                                  uint64_t counted)
{
    if (on_disk < counted) {
        qcow2_check_corrupt(c, QCOW2_FOUND_MISSING, cluster, on_disk, counted);
    } else {
        qcow2_check_found(c, QCOW2_FOUND_LEAK, cluster, on_disk, counted);
        c->reply->leaks++;
    }
    return qcow2_counts_set(&c->counts, cluster, on_disk)
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

/* The same for clusters whose refcount block cannot be read. */
static enum guest_err compare_unreadable(struct qcow2_check *c, uint64_t index, uint64_t first,
                                         uint64_t nr, uint64_t error_number)
{
    if (!c->bad_blocks) {
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

/* A refcount block in an impossible place is a corruption event: the first one is announced. */
static void report_event(struct qcow2_check *c, uint64_t offset, uint64_t index)
{
    if (!c->event_reported)
        qcow2_check_found(c, QCOW2_FOUND_REFBLOCK_EVENT, offset, index, 0);
    c->event_reported = true;
}

static enum guest_err compare_at(struct qcow2_check *c, uint64_t index, uint8_t *block,
                                 uint64_t *out_highest)
{
    uint64_t per_block = 1ull << c->q->refblock_entries_bits;
    uint64_t first = index << c->q->refblock_entries_bits;
    uint64_t nr = min_u64(per_block, c->nr_clusters - first);
    uint64_t offset = c->reftable[index] & QCOW2_REFTABLE_MASK;
    struct guest_err_detail detail;

    if (offset == 0)
        return compare_absent(c, first, nr, out_highest);
    if (offset % c->q->cluster_size != 0) {
        report_event(c, offset, index);
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

/* ---- COPIED flags ---- */

/* A refcount that is not among those compared, or too large for c->counts. */
static bool read_refcount(struct qcow2_check *c, uint64_t cluster, uint64_t *out)
{
    uint64_t index = cluster >> c->q->refblock_entries_bits;
    uint64_t within = cluster % (1ull << c->q->refblock_entries_bits);
    uint64_t offset, byte = within << c->q->header.refcount_order >> 3;
    uint8_t entry[8] = {0};
    uint64_t len = max_u64(c->q->refcount_bits / 8, 1);

    *out = 0;
    if (index >= c->reftable_entries)
        return true;
    offset = c->reftable[index] & QCOW2_REFTABLE_MASK;
    if (offset == 0)
        return true;
    if (offset % c->q->cluster_size != 0) {
        report_event(c, offset, index);
        return false;
    }
    if (qcow2_read(c->q, offset + byte, len, entry, NULL))
        return false;
    *out = qcow2_refcount_get(span_of(entry, sizeof(entry)),
                              c->q->refcount_bits < 8 ? within % (8 / c->q->refcount_bits) : 0,
                              c->q->header.refcount_order);
    return true;
}

/* False when the refcount cannot be known: that was reported already. */
static bool refcount_of(struct qcow2_check *c, uint64_t cluster, uint64_t *out)
{
    if (cluster < c->nr_clusters) {
        if (c->bad_blocks && c->bad_blocks[cluster >> c->q->refblock_entries_bits])
            return false;
        *out = qcow2_counts_get(&c->counts, cluster);
        if (*out != UINT32_MAX)
            return true;
    }
    return read_refcount(c, cluster, out);
}

static bool flag_is_wrong(uint64_t entry, uint64_t refcount)
{
    return (refcount == 1) != !!(entry & QCOW2_OFLAG_COPIED);
}

static void check_l2_flags(struct qcow2_check *c, struct span table)
{
    for (uint32_t i = 0; i < c->q->l2_entries; i++) {
        struct qcow2_l2_entry e = qcow2_l2_entry_at(c->q, table, i);
        enum qcow2_l2_kind kind;
        uint64_t refcount = 1; /* of a cluster in an external data file */

        if (!e.raw)
            continue;
        kind = qcow2_l2_cluster_kind(c->q, e);
        if (kind != QCOW2_L2_NORMAL && kind != QCOW2_L2_ZERO_ALLOC)
            continue;
        if (!c->q->has_data_file &&
            !refcount_of(c, e.offset >> c->q->header.cluster_bits, &refcount))
            continue;
        if (flag_is_wrong(e.raw, refcount))
            qcow2_check_corrupt(c, QCOW2_FOUND_COPIED_DATA, e.raw, refcount, 0);
    }
}

enum guest_err qcow2_check_copied(struct qcow2_check *c)
{
    struct qcow2 *q = c->q;
    struct qcow2_l2_window window = {0};
    enum guest_err err = GUEST_OK;

    qcow2_l2_window_reset(&window, q->l1, q->l1_size);
    for (uint64_t i = 0; !err && i < q->l1_size; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET_MASK;
        uint64_t refcount;
        struct span table;

        if (!offset || !refcount_of(c, offset >> q->header.cluster_bits, &refcount))
            continue;
        if (flag_is_wrong(q->l1[i], refcount))
            qcow2_check_corrupt(c, QCOW2_FOUND_COPIED_L2, i, q->l1[i], refcount);
        err = qcow2_l2_table(q, &window, i, &table, c->detail);
        if (err == GUEST_ERR_IO) {
            qcow2_check_found(c, QCOW2_FOUND_L2_UNREADABLE, c->detail->number[0], 0, 0);
            c->reply->check_errors++;
        }
        if (!err)
            check_l2_flags(c, table);
    }
    qcow2_l2_window_clear(&window);
    return err;
}
