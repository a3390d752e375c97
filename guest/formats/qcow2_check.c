/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of an image, from the snapshot table to the totals. What is looked at, in which order,
 * what counts as what and what is repaired follows stock qemu-img 7.2 to 11.1, as its output on
 * damaged images shows it.
 */
#include "guest/formats/qcow2_check.h"

#include "guest/formats/qcow2_repair.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define CLUSTERS_MAX INT32_MAX
#define WORK_MIN     (1ull << 29)

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

void qcow2_check_mended(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                        uint64_t n2)
{
    c->reply->corruptions_fixed++;
    add(c, code, CELL_FINDING_REPAIRED, n0, n1, n2);
}

void qcow2_check_prefixed(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0)
{
    add(c, code, CELL_FINDING_PREFIXED, n0, 0, 0);
}

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
    c->counting_fixes = c->fix & QCOW2_MEND_ERRORS;
    c->settling = !c->fix;
    /* A table may begin in the last cluster and end less than a cluster past it. */
    c->unflagged = arena_array(q->l1_size / 8 + 1, 1);
    if (!c->unflagged || !qcow2_counts_init(&c->counts, c->nr_clusters + 1))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    return qcow2_read_reftable(c->q, &c->reftable, &c->reftable_entries, c->detail);
}

/*
 * What the first comparison of a repairing check found is repaired by a second one, whose totals
 * replace the first one's: `before` are those before it.
 */
static enum guest_err settle(struct qcow2_check *c, const Abi__CheckReply *before,
                             uint64_t *out_highest)
{
    Abi__CheckReply *reply = c->reply;

    if (c->rebuild && c->fix & QCOW2_MEND_ERRORS)
        return qcow2_check_rebuild(c, out_highest);
    if (c->rebuild) {
        qcow2_check_found(c, QCOW2_FOUND_REBUILD_NEEDED, 0, 0, 0);
        return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    }
    c->repair->settled = true;
    if (!reply->leaks && !reply->corruptions)
        return GUEST_OK;
    reply->leaks = before->leaks;
    reply->corruptions = before->corruptions;
    reply->check_errors = before->check_errors;
    c->settling = true;
    c->mend = c->fix;
    return qcow2_check_compare(c, out_highest);
}

static enum guest_err run(struct qcow2_check *c)
{
    uint64_t highest = 0;
    Abi__CheckReply before;
    enum guest_err err = start(c);

    if (!err)
        err = qcow2_check_count(c);
    before = *c->reply;
    if (!err)
        err = qcow2_check_compare(c, &highest);
    if (!err && c->fix)
        err = settle(c, &before, &highest);
    if (!err && c->repair)
        c->repair->highest = highest;
    if (!err)
        err = qcow2_check_copied(c);
    if (err)
        return err;
    c->reply->has_image_end_offset = true;
    c->reply->image_end_offset = (highest + 1) << c->q->header.cluster_bits;
    return GUEST_OK;
}

/*
 * An image whose refcounts are right is not dirty; one without a flaw left is not corrupt either.
 * source: stock clears the dirty bit at the latest when it closes the image.
 */
static void mend_features(struct qcow2_check *c)
{
    uint64_t features = c->q->header.incompatible_features, cleared = 0;
    bool right = c->reply->corruptions == 0 || c->fix & QCOW2_MEND_ERRORS;

    if (c->reply->check_errors || c->repair->marked)
        return;
    if (c->repair->settled && right)
        cleared |= QCOW2_INCOMPAT_DIRTY;
    if (c->reply->corruptions == 0)
        cleared |= QCOW2_INCOMPAT_CORRUPT;
    c->repair->set_features = features & cleared;
    c->repair->features = features & ~cleared;
}

static enum guest_err check(struct qcow2_check *c)
{
    enum guest_err err = qcow2_check_snapshots(c);

    if (!err)
        err = run(c);
    if (!err && c->repair)
        err = qcow2_check_mend_snapshots(c);
    if (!err && c->repair)
        mend_features(c);
    return err;
}

enum guest_err qcow2_check(struct node *node, const Abi__CheckRequest *request,
                           struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail)
{
    struct qcow2_check c = {
        .q = qcow2_of(node), .findings = findings, .reply = reply, .detail = detail};
    enum guest_err err;

    if (request->fix_leaks)
        c.fix |= QCOW2_MEND_LEAKS;
    if (request->fix_errors)
        c.fix |= QCOW2_MEND_ERRORS;
    if (c.fix) {
        c.repair = qcow2_repair_new();
        if (!c.repair)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    err = check(&c);
    if (c.repair && err && err != GUEST_ERR_IO)
        qcow2_repair_free(c.repair); /* what was decided is not to be trusted */
    else if (c.repair)
        node->repair = qcow2_repair_finish(c.repair, &c);
    qcow2_counts_clear(&c.counts);
    qcow2_counts_clear(&c.disk);
    qcow2_counts_clear(&c.mended);
    free(c.reftable);
    free(c.bad_blocks);
    free(c.unflagged);
    return err;
}
