/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New refcount structures for an image whose own are beyond repair.
 *
 * Blocks go where nothing is counted, each behind the start of what it counts if there is room, and
 * the table to the first gap that holds it; blocks and a table that are still counted from the old
 * structures are left alone until the header has switched. Then everything is counted again, with
 * the new structures instead of the old ones.
 * source: where stock 7.2 puts them, and what it reports meanwhile, as seen on damaged images.
 */
#include "guest/formats/qcow2_repair.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* ---- may it be written there ---- */

static bool meets(uint64_t a, uint64_t a_end, uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (size == 0)
        return false;
    return a < (add_u64(offset, size, &end) ? end : UINT64_MAX) && offset < a_end;
}

static bool meets_l2(const struct qcow2_check *c, uint64_t from, uint64_t to)
{
    for (uint64_t i = 0; i < c->q->l1_size; i++) {
        uint64_t offset = c->q->l1[i] & QCOW2_OFFSET_MASK;

        if (offset && meets(from, to, offset, c->q->cluster_size))
            return true;
    }
    return false;
}

static bool meets_inactive_l1(const struct qcow2_check *c, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < c->q->nr_snapshots; i++) {
        const struct qcow2_snapshot *s = &c->q->snapshots[i];

        if (s->l1_table_offset && meets(from, to, s->l1_table_offset, s->l1_size * 8ull))
            return true;
    }
    return false;
}

static bool meets_refblock(const struct qcow2_check *c, uint64_t from, uint64_t to)
{
    for (uint64_t i = 0; i < c->reftable_entries; i++) {
        uint64_t offset = c->reftable[i] & QCOW2_REFTABLE_MASK;

        if (offset && meets(from, to, offset, c->q->cluster_size))
            return true;
    }
    return false;
}

/* The metadata that lies in [from, to), clusters as a whole; 0: none. */
static enum qcow2_finding find_overlap(const struct qcow2_check *c, uint64_t from, uint64_t to,
                                       enum qcow2_finding own)
{
    const struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->header;

    if (from < q->cluster_size)
        return QCOW2_FOUND_OVERLAP_HEADER;
    if (own != QCOW2_FOUND_OVERLAP_L1 && h->l1_table_offset &&
        meets(from, to, h->l1_table_offset, q->l1_size * sizeof(uint64_t)))
        return QCOW2_FOUND_OVERLAP_L1;
    if (own != QCOW2_FOUND_OVERLAP_L2 && meets_l2(c, from, to))
        return QCOW2_FOUND_OVERLAP_L2;
    if (meets(from, to, h->refcount_table_offset, h->refcount_table_clusters * q->cluster_size))
        return QCOW2_FOUND_OVERLAP_REFTABLE;
    if (h->snapshots_offset && meets(from, to, h->snapshots_offset, q->snapshots_bytes))
        return QCOW2_FOUND_OVERLAP_SNAPSHOTS;
    if (meets_inactive_l1(c, from, to))
        return QCOW2_FOUND_OVERLAP_INACTIVE_L1;
    if (q->ext.has_bitmaps &&
        meets(from, to, q->ext.bitmap_directory_offset, q->ext.bitmap_directory_size))
        return QCOW2_FOUND_OVERLAP_BITMAPS;
    return meets_refblock(c, from, to) ? QCOW2_FOUND_OVERLAP_REFBLOCK : (enum qcow2_finding)0;
}

bool qcow2_check_may_write(struct qcow2_check *c, uint64_t offset, uint64_t size,
                           enum qcow2_finding own)
{
    uint64_t mask = c->q->cluster_size - 1, from = offset & ~mask;
    uint64_t to = (offset + size + mask) & ~mask, cost, cluster = from >> c->q->header.cluster_bits;
    enum qcow2_finding found;

    /* What is referred to once is what is written there, unless something was not counted. */
    if (own == QCOW2_FOUND_OVERLAP_L2 && !c->past_end && cluster < c->nr_clusters &&
        offset == from && cluster != 0 && qcow2_counts_get(&c->counts, cluster) == 1)
        return true;
    cost = c->q->l1_size + c->q->nr_snapshots + c->reftable_entries;
    if (c->work_left < cost)
        return false;
    c->work_left -= cost;
    found = find_overlap(c, from, to, own);
    if (!found)
        return true;
    qcow2_check_found(c, found, 0, 0, 0);
    qcow2_repair_mark_corrupt(c->repair, c->q);
    return false;
}

/* ---- places ---- */

/* The new structures while they are placed. */
struct places {
    uint64_t *table;
    uint64_t entries; /* whole clusters of them */
    uint64_t next;    /* where the search for a block goes on */
};

/* `nr` adjacent clusters that nothing is counted in, from `from` on; they are counted then. */
static enum guest_err take(struct qcow2_check *c, uint64_t from, uint64_t nr, uint64_t *out)
{
    uint64_t cluster = from;

    while (cluster < c->nr_clusters) {
        uint64_t used = qcow2_counts_next(&c->counts, cluster, c->nr_clusters);

        if (used - cluster >= nr || used == c->nr_clusters)
            break;
        cluster = used + 1;
    }
    if (cluster > INT32_MAX - nr)
        return err_plain(c->detail, GUEST_ERR_FILE_TOO_LARGE);
    if (!qcow2_counts_grow(&c->counts, cluster + nr + 1))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    c->nr_clusters = max_u64(c->nr_clusters, cluster + nr);
    for (uint64_t i = 0; i < nr; i++) {
        if (!qcow2_counts_set(&c->counts, cluster + i, 1))
            return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    }
    c->repair->highest = max_u64(c->repair->highest, cluster + nr - 1);
    *out = cluster;
    return GUEST_OK;
}

static enum guest_err need_entries(struct qcow2_check *c, struct places *p, uint64_t index)
{
    uint64_t per_cluster = c->q->cluster_size / sizeof(uint64_t);
    uint64_t entries = (index / per_cluster + 1) * per_cluster;
    uint64_t *table;

    if (p->table && index < p->entries)
        return GUEST_OK;
    if (entries * sizeof(uint64_t) > QCOW2_REFTABLE_BYTES_MAX)
        return err_plain(c->detail, GUEST_ERR_FILE_TOO_LARGE);
    table = arena_array(entries, sizeof(*table));
    if (!table)
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    if (p->table)
        memcpy(table, p->table, p->entries * sizeof(*table));
    free(p->table);
    p->table = table;
    p->entries = entries;
    return GUEST_OK;
}

static enum guest_err place_block(struct qcow2_check *c, struct places *p, uint64_t index)
{
    uint64_t cluster = 0;
    enum guest_err err;

    p->next = max_u64(p->next, index << c->q->refblock_entries_bits);
    err = take(c, p->next, 1, &cluster);
    if (!err)
        err = need_entries(c, p, index);
    if (err)
        return err;
    p->next = cluster + 1;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): need_entries gave it room */
    p->table[index] = cluster << c->q->header.cluster_bits;
    if (!qcow2_check_may_write(c, p->table[index], c->q->cluster_size, (enum qcow2_finding)0)) {
        qcow2_check_prefixed(c, QCOW2_FOUND_REFBLOCK_WRITE, 0);
        return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    }
    return GUEST_OK;
}

/* A block for each cluster counted from `cluster` on, below `end` and below what is added. */
static enum guest_err place_blocks(struct qcow2_check *c, struct places *p, uint64_t cluster,
                                   bool to_the_end, uint64_t end)
{
    enum guest_err err = GUEST_OK;

    p->next = 0;
    while (!err) {
        uint64_t index;

        end = to_the_end ? c->nr_clusters : end;
        cluster = qcow2_counts_next(&c->counts, cluster, end);
        if (cluster >= end)
            break;
        index = cluster >> c->q->refblock_entries_bits;
        if (index >= p->entries || !p->table[index]) {
            err = place_block(c, p, index);
            /* The block may lie behind what the others count. */
            if (!err)
                end = max_u64(end, p->next);
        }
        cluster = (index + 1) << c->q->refblock_entries_bits;
    }
    return err;
}

enum guest_err qcow2_check_place_refcounts(struct qcow2_check *c)
{
    struct places p = {0};
    uint64_t cluster = 0, nr = 0, had;
    enum guest_err err = place_blocks(c, &p, 0, true, 0);

    do {
        had = p.entries;
        nr = p.entries * sizeof(uint64_t) / c->q->cluster_size;
        if (!err)
            err = take(c, 0, nr, &cluster);
        if (!err)
            err = place_blocks(c, &p, cluster, false, cluster + nr);
    } while (!err && p.entries != had);
    if (!err && !qcow2_check_may_write(c, cluster << c->q->header.cluster_bits,
                                       nr << c->q->header.cluster_bits, (enum qcow2_finding)0)) {
        qcow2_check_prefixed(c, QCOW2_FOUND_REFTABLE_WRITE, 0);
        err = err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    }
    if (err) {
        free(p.table);
        return err;
    }
    free(c->reftable);
    c->reftable = p.table;
    c->reftable_entries = p.entries;
    c->repair->rebuilt = true;
    c->repair->grown = true;
    c->q->header.refcount_table_offset = cluster << c->q->header.cluster_bits;
    c->q->header.refcount_table_clusters = (uint32_t)nr;
    c->file_bytes = max_u64(c->file_bytes, c->nr_clusters << c->q->header.cluster_bits);
    return GUEST_OK;
}

/* ---- rebuilding ---- */

/* Counts again, with the new structures, and frees the old ones. */
static enum guest_err count_again(struct qcow2_check *c, uint64_t *out_highest)
{
    Abi__CheckReply *reply = c->reply, counted;
    enum guest_err err;

    c->disk = c->counts;
    c->counts = (struct qcow2_counts){0};
    if (!qcow2_counts_init(&c->counts, c->disk.nr))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    c->counting_fixes = false;
    c->zeros_fixed = true;
    c->rebuild = false;
    c->settling = true;
    reply->corruptions = reply->leaks = 0;
    err = qcow2_check_count(c);
    if (err)
        return err;
    counted = *reply;
    c->mend = c->fix & QCOW2_MEND_LEAKS;
    err = qcow2_check_compare(c, out_highest);
    if (c->rebuild)
        qcow2_check_found(c, QCOW2_FOUND_REBUILT_BROKEN, 0, 0, 0);
    *reply = counted;
    c->repair->settled = true;
    return err;
}

enum guest_err qcow2_check_rebuild(struct qcow2_check *c, uint64_t *out_highest)
{
    Abi__CheckReply *reply = c->reply;
    uint64_t corruptions = reply->corruptions, leaks = reply->leaks;
    enum guest_err err;

    qcow2_check_found(c, QCOW2_FOUND_REBUILDING, 0, 0, 0);
    if (c->event_reported) { /* a marked image is not written any more */
        qcow2_check_prefixed(c, QCOW2_FOUND_REFBLOCK_WRITE, 0);
        return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    }
    err = qcow2_check_place_refcounts(c);
    if (!err)
        err = count_again(c, out_highest);
    if (err) {
        c->repair->rebuilt = false;
        return err;
    }
    if (reply->corruptions < corruptions)
        reply->corruptions_fixed += corruptions - reply->corruptions;
    if (reply->leaks < leaks)
        reply->leaks_fixed += leaks - reply->leaks;
    return GUEST_OK;
}
