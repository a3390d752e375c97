/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of an image, from the snapshot table to the totals. What is looked at, in which order,
 * and what counts as what follows stock qemu-img 7.2, as its output on damaged images shows it.
 */
#include "guest/formats/qcow2_check.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define CLUSTERS_MAX INT32_MAX
#define WORK_MIN     (1ull << 29)

/* Version 3 demands this much extra data of a snapshot. */
#define SNAPSHOT_EXTRA_V3 16u

static void add(struct qcow2_check *c, enum qcow2_finding code, uint32_t flags, uint64_t n0,
                uint64_t n1, uint64_t n2)
{
    struct cell_finding finding = {
        .code = (uint32_t)code, .flags = flags, .number = {n0, n1, n2, 0}};

    c->findings->add(c->findings, &finding);
}

void qcow2_check_found(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                       uint64_t n2)
{
    add(c, code, 0, n0, n1, n2);
}

void qcow2_check_corrupt(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                         uint64_t n2)
{
    c->reply->corruptions++;
    add(c, code, 0, n0, n1, n2);
}

/* ---- the snapshot table ---- */

/* The table cannot be used: no check without it. */
static enum guest_err refuse_snapshots(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0,
                                       enum guest_err err)
{
    c->reply->check_errors++;
    add(c, code, CELL_FINDING_PREFIXED, n0, 0, 0);
    return err_plain(c->detail, err);
}

static enum guest_err read_snapshots(struct qcow2_check *c)
{
    const struct qcow2_header *h = &c->q->header;
    enum guest_err err =
        qcow2_check_table(c->q, h->snapshots_offset, h->nb_snapshots, QCOW2_SNAPSHOT_HEADER_BYTES,
                          (uint64_t)QCOW2_SNAPSHOT_HEADER_BYTES * QCOW2_SNAPSHOTS_MAX,
                          QCOW2_ERR_SNAPSHOTS_LARGE, QCOW2_ERR_SNAPSHOTS_OFFSET, c->detail);

    if (!err)
        err = qcow2_read_snapshots(c->q, c->detail);
    switch ((int)err) {
    case QCOW2_ERR_SNAPSHOTS_LARGE:
        return refuse_snapshots(c, QCOW2_FOUND_SNAPSHOTS_LARGE,
                                h->nb_snapshots - QCOW2_SNAPSHOTS_MAX, GUEST_ERR_FILE_TOO_LARGE);
    case QCOW2_ERR_SNAPSHOTS_OFFSET:
        return refuse_snapshots(c, QCOW2_FOUND_SNAPSHOTS_OFFSET, 0, GUEST_ERR_INVALID);
    case QCOW2_ERR_SNAPSHOT_EXTRA:
        return refuse_snapshots(c, QCOW2_FOUND_SNAPSHOT_EXTRA, c->q->nr_snapshots - 1,
                                GUEST_ERR_FILE_TOO_LARGE);
    case QCOW2_ERR_SNAPSHOT_TABLE_BIG:
        return refuse_snapshots(c, QCOW2_FOUND_SNAPSHOT_TABLE_BIG,
                                h->nb_snapshots - c->q->nr_snapshots + 1, GUEST_ERR_FILE_TOO_LARGE);
    default:
        return err;
    }
}

static void check_snapshot_entries(struct qcow2_check *c)
{
    for (uint32_t i = 0; c->q->header.version >= 3 && i < c->q->nr_snapshots; i++)
        if (c->q->snapshots[i].extra_data_size < SNAPSHOT_EXTRA_V3)
            qcow2_check_corrupt(c, QCOW2_FOUND_SNAPSHOT_INCOMPLETE, i, 0, 0);
}

/* ---- all of it ---- */

/* Enough for every table to be reached once from each L1 table, and then some for small images. */
static uint64_t work_allowed(const struct qcow2_check *c)
{
    uint64_t work = (c->q->nr_snapshots + 1ull) * c->nr_clusters;

    return mul_u64(work, c->q->l2_entries, &work) ? max_u64(work, WORK_MIN) : UINT64_MAX;
}

static enum guest_err start(struct qcow2_check *c)
{
    const struct qcow2 *q = c->q;

    if (!align_up_u64(q->source->size_bytes, QCOW2_SECTOR_BYTES, &c->file_bytes))
        return err_plain(c->detail, GUEST_ERR_FILE_TOO_LARGE);
    c->nr_clusters = div_round_up_u64(c->file_bytes, q->cluster_size);
    if (c->nr_clusters > CLUSTERS_MAX) {
        c->reply->check_errors++;
        return err_plain(c->detail, GUEST_ERR_FILE_TOO_LARGE);
    }
    c->reply->total_clusters = div_round_up_u64(qcow2_virtual_size(q), q->cluster_size);
    c->refcount_max = q->refcount_bits == 64 ? UINT64_MAX : (1ull << q->refcount_bits) - 1;
    c->work_left = work_allowed(c);
    /* A table may begin in the last cluster and end less than a cluster past it. */
    if (!qcow2_counts_init(&c->counts, c->nr_clusters + 1))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    return qcow2_read_reftable(c->q, &c->reftable, &c->reftable_entries, c->detail);
}

static enum guest_err run(struct qcow2_check *c)
{
    uint64_t highest = 0;
    enum guest_err err = start(c);

    if (!err)
        err = qcow2_check_count(c);
    if (!err)
        err = qcow2_check_compare(c, &highest);
    if (!err)
        err = qcow2_check_copied(c);
    if (err)
        return err;
    c->reply->has_image_end_offset = true;
    c->reply->image_end_offset = (highest + 1) << c->q->header.cluster_bits;
    return GUEST_OK;
}

/* Whether a repair would write anything: not built yet. */
static bool needs_repair(const struct qcow2_check *c)
{
    uint64_t flags = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT;

    return c->reply->leaks || c->reply->corruptions || c->reply->check_errors ||
           (c->q->header.incompatible_features & flags);
}

enum guest_err qcow2_check(struct node *node, const Abi__CheckRequest *request,
                           struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail)
{
    struct qcow2_check c = {
        .q = qcow2_of(node), .findings = findings, .reply = reply, .detail = detail};
    enum guest_err err;

    err = read_snapshots(&c);
    if (!err) {
        check_snapshot_entries(&c);
        err = run(&c);
    }
    if (!err && (request->fix_leaks || request->fix_errors) && needs_repair(&c))
        err = err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    qcow2_counts_clear(&c.counts);
    free(c.reftable);
    free(c.bad_blocks);
    return err;
}
