/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The COPIED flags: whether they tell the truth about refcounts of 1, once these are settled.
 */
#include "guest/formats/qcow2_repair.h"
#include "guest/lib/checked.h"

/* ---- refcounts ---- */

/* A refcount that is not among those compared, or too large for c->counts. */
static bool read_refcount(struct qcow2_check *c, uint64_t cluster, uint64_t *out)
{
    uint64_t index = cluster >> c->q->refblock_entries_bits;
    uint64_t within = cluster % (1ull << c->q->refblock_entries_bits);
    uint64_t offset, byte = within << c->q->header.refcount_order >> 3;
    uint8_t entry[8] = {0};
    uint64_t len = max_u64(c->q->refcount_bits / 8, 1);

    *out = 0;
    if ((c->repair && c->repair->rebuilt) || index >= c->reftable_entries)
        return true;
    offset = c->reftable[index] & QCOW2_REFTABLE_MASK;
    if (offset == 0)
        return true;
    if (offset % c->q->cluster_size != 0) {
        qcow2_check_event(c, offset, index);
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
        if (c->bad_blocks && !(c->repair && c->repair->rebuilt) &&
            c->bad_blocks[cluster >> c->q->refblock_entries_bits])
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

/* ---- L2 tables ---- */

static bool has_flag(const struct qcow2_check *c, struct qcow2_l2_entry e)
{
    enum qcow2_l2_kind kind;

    if (!e.raw || (c->zeros_fixed && qcow2_check_is_askew_zero(c, e)))
        return false;
    kind = qcow2_l2_cluster_kind(c->q, e);
    return kind == QCOW2_L2_NORMAL || kind == QCOW2_L2_ZERO_ALLOC;
}

/* Of a cluster in an external data file it is 1. False when it cannot be known. */
static bool refcount_of_entry(struct qcow2_check *c, struct qcow2_l2_entry e, uint64_t *out)
{
    *out = 1;
    return c->q->has_data_file || refcount_of(c, e.offset >> c->q->header.cluster_bits, out);
}

struct qcow2_l2_entry qcow2_check_copied_entry(struct qcow2_check *c, struct qcow2_l2_entry e)
{
    uint64_t refcount;

    if (has_flag(c, e) && refcount_of_entry(c, e, &refcount) && flag_is_wrong(e.raw, refcount))
        e.raw ^= QCOW2_OFLAG_COPIED;
    return e;
}

/* Returns how many entries are wrong. */
static uint64_t check_l2_flags(struct qcow2_check *c, struct span table, bool mend)
{
    uint64_t wrong = 0;

    for (uint32_t i = 0; i < c->q->l2_entries; i++) {
        struct qcow2_l2_entry e = qcow2_l2_entry_at(c->q, table, i);
        uint64_t refcount;

        if (!has_flag(c, e) || !refcount_of_entry(c, e, &refcount) ||
            !flag_is_wrong(e.raw, refcount))
            continue;
        wrong++;
        if (mend)
            qcow2_check_mended(c, QCOW2_FOUND_COPIED_DATA, e.raw, refcount, 0);
        else
            qcow2_check_corrupt(c, QCOW2_FOUND_COPIED_DATA, e.raw, refcount, 0);
    }
    return wrong;
}

static enum guest_err stop(struct qcow2_check *c)
{
    return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
}

/* Of several L1 entries that name one table, the first repairs it. */
static bool was_mended(const struct qcow2_check *c, uint64_t offset)
{
    uint64_t cluster = offset >> c->q->header.cluster_bits;

    return c->mended.pages && cluster < c->mended.nr && qcow2_counts_get(&c->mended, cluster);
}

static enum guest_err note_mended(struct qcow2_check *c, uint64_t offset)
{
    uint64_t cluster = offset >> c->q->header.cluster_bits;

    if (cluster >= c->nr_clusters || qcow2_counts_get(&c->counts, cluster) == 1)
        return GUEST_OK;
    if (!c->mended.pages && !qcow2_counts_init(&c->mended, c->nr_clusters))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    return qcow2_counts_set(&c->mended, cluster, 1) ? GUEST_OK
                                                    : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

/* The table of an L1 entry; the flags in it are wrong only if it is not written over metadata. */
static enum guest_err check_table(struct qcow2_check *c, struct qcow2_l2_window *window,
                                  uint64_t index, bool mend)
{
    uint64_t offset = window->l1[index] & QCOW2_OFFSET_MASK, wrong;
    struct span table;
    enum guest_err err;

    if (c->all_once && !(c->unflagged[index / 8] >> index % 8 & 1))
        return GUEST_OK;
    err = qcow2_l2_table(c->q, window, index, &table, c->detail);
    if (err == GUEST_ERR_IO) {
        qcow2_check_found(c, QCOW2_FOUND_L2_UNREADABLE, c->detail->number[0], 0, 0);
        c->reply->check_errors++;
    }
    if (err || (mend && was_mended(c, offset)))
        return err;
    wrong = check_l2_flags(c, table, mend);
    if (!wrong || !mend)
        return GUEST_OK;
    if (!qcow2_check_may_write(c, offset, c->q->cluster_size, QCOW2_FOUND_OVERLAP_L2)) {
        qcow2_check_found(c, QCOW2_FOUND_L2_WRITE, 0, 0, 0);
        c->reply->check_errors++;
        return stop(c);
    }
    c->repair->l2_changes = true;
    return note_mended(c, offset);
}

/* ---- the L1 table ---- */

static enum guest_err check_l1_flag(struct qcow2_check *c, uint64_t index, uint64_t refcount,
                                    bool mend)
{
    struct qcow2 *q = c->q;

    if (!flag_is_wrong(q->l1[index], refcount))
        return GUEST_OK;
    if (!mend) {
        qcow2_check_corrupt(c, QCOW2_FOUND_COPIED_L2, index, q->l1[index], refcount);
        return GUEST_OK;
    }
    qcow2_check_mended(c, QCOW2_FOUND_COPIED_L2, index, q->l1[index], refcount);
    if (!qcow2_check_may_write(c, q->header.l1_table_offset + index * sizeof(uint64_t),
                               sizeof(uint64_t), QCOW2_FOUND_OVERLAP_L1))
        return stop(c);
    q->l1[index] ^= QCOW2_OFLAG_COPIED;
    if (c->repair->l1_from == c->repair->l1_to)
        c->repair->l1_from = index;
    c->repair->l1_to = index + 1;
    return GUEST_OK;
}

/* Flags are repaired where refcounts may be trusted: all of them were repaired, or are right. */
static bool may_mend(const struct qcow2_check *c)
{
    const Abi__CheckReply *reply = c->reply;

    if (c->fix & QCOW2_MEND_ERRORS)
        return true;
    return c->fix && !reply->check_errors && !reply->corruptions && !reply->leaks;
}

/* Whether all that is referred to has a refcount of 1, so that a flag is never wrong when set. */
static bool is_all_once(const struct qcow2_check *c)
{
    const Abi__CheckReply *reply = c->reply;

    return !c->shared && !reply->corruptions && !reply->leaks && !reply->check_errors &&
           !reply->corruptions_fixed && !reply->leaks_fixed;
}

enum guest_err qcow2_check_copied(struct qcow2_check *c)
{
    struct qcow2 *q = c->q;
    struct qcow2_l2_window window = {0};
    enum guest_err err = GUEST_OK;
    bool mend = may_mend(c);

    c->zeros_fixed = c->fix & QCOW2_MEND_ERRORS;
    c->all_once = is_all_once(c);
    qcow2_l2_window_reset(&window, q->l1, q->l1_size);
    for (uint64_t i = 0; !err && i < q->l1_size; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET_MASK;
        uint64_t refcount;

        if (!offset || !refcount_of(c, offset >> q->header.cluster_bits, &refcount))
            continue;
        err = check_l1_flag(c, i, refcount, mend);
        if (!err)
            err = check_table(c, &window, i, mend);
        if (!err && c->repair)
            c->repair->l2_tables = i + 1;
    }
    qcow2_l2_window_clear(&window);
    return err;
}
