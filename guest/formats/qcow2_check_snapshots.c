/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot table in a check: too large, too much in an entry, too little; and the table without
 * these flaws.
 */
#include "guest/formats/qcow2_repair.h"
#include <string.h>

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Version 3 demands this much extra data of a snapshot; a repair gives it all that is known. */
#define EXTRA_V3   16u
#define EXTRA_FULL 24u

/* The table cannot be used: no check without it. */
static enum guest_err refuse(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0,
                             enum guest_err err)
{
    c->reply->check_errors++;
    qcow2_check_prefixed(c, code, n0);
    return err_plain(c->detail, err);
}

/* ---- reading ---- */

/* Entries that the table has too much of are left out. */
static void drop(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                 uint64_t n2, uint64_t corruptions)
{
    qcow2_check_found(c, code, n0, n1, n2);
    c->reply->corruptions_fixed += corruptions;
    c->repair->nr_flaws++;
}

static void take_flaw(void *user, enum qcow2_err flaw, uint64_t n0, uint64_t n1)
{
    struct qcow2_check *c = user;

    if (flaw == QCOW2_ERR_SNAPSHOT_EXTRA)
        drop(c, QCOW2_FOUND_SNAPSHOT_EXTRA_DROPPED, n0, n1, QCOW2_SNAPSHOT_EXTRA_MAX, 1);
    else
        drop(c, QCOW2_FOUND_SNAPSHOTS_BIG_DROPPED, n0, 0, 0, n0);
}

static enum guest_err read_mending(struct qcow2_check *c)
{
    struct qcow2_header *h = &c->q->header;
    struct qcow2_snapshot_flaws flaws = {.take = take_flaw, .user = c};
    uint32_t nr = h->nb_snapshots;
    enum guest_err err;

    if (nr > QCOW2_SNAPSHOTS_MAX) {
        drop(c, QCOW2_FOUND_SNAPSHOTS_DROPPED, nr - QCOW2_SNAPSHOTS_MAX, 0, 0,
             nr - QCOW2_SNAPSHOTS_MAX);
        h->nb_snapshots = QCOW2_SNAPSHOTS_MAX;
    }
    err = qcow2_check_table(c->q, h->snapshots_offset, h->nb_snapshots, QCOW2_SNAPSHOT_HEADER_BYTES,
                            (uint64_t)QCOW2_SNAPSHOT_HEADER_BYTES * QCOW2_SNAPSHOTS_MAX,
                            QCOW2_ERR_SNAPSHOTS_LARGE, QCOW2_ERR_SNAPSHOTS_OFFSET, c->detail);
    return err ? err : qcow2_read_snapshots_mending(c->q, &flaws, c->detail);
}

static enum guest_err read_strictly(struct qcow2_check *c)
{
    const struct qcow2_header *h = &c->q->header;
    enum guest_err err =
        qcow2_check_table(c->q, h->snapshots_offset, h->nb_snapshots, QCOW2_SNAPSHOT_HEADER_BYTES,
                          (uint64_t)QCOW2_SNAPSHOT_HEADER_BYTES * QCOW2_SNAPSHOTS_MAX,
                          QCOW2_ERR_SNAPSHOTS_LARGE, QCOW2_ERR_SNAPSHOTS_OFFSET, c->detail);

    return err ? err : qcow2_read_snapshots(c->q, c->detail);
}

static void look_at_entries(struct qcow2_check *c)
{
    for (uint32_t i = 0; c->q->header.version >= 3 && i < c->q->nr_snapshots; i++) {
        if (c->q->snapshots[i].extra_data_size >= EXTRA_V3)
            continue;
        if (!(c->fix & QCOW2_MEND_ERRORS)) {
            qcow2_check_corrupt(c, QCOW2_FOUND_SNAPSHOT_INCOMPLETE, i, 0, 0);
            continue;
        }
        qcow2_check_mended(c, QCOW2_FOUND_SNAPSHOT_INCOMPLETE, i, 0, 0);
        c->repair->nr_flaws++;
    }
}

enum guest_err qcow2_check_snapshots(struct qcow2_check *c)
{
    const struct qcow2_header *h = &c->q->header;
    enum guest_err err = c->fix & QCOW2_MEND_ERRORS ? read_mending(c) : read_strictly(c);

    switch ((int)err) {
    case GUEST_OK:
        look_at_entries(c);
        return GUEST_OK;
    case QCOW2_ERR_SNAPSHOTS_LARGE:
        return refuse(c, QCOW2_FOUND_SNAPSHOTS_LARGE, h->nb_snapshots - QCOW2_SNAPSHOTS_MAX,
                      GUEST_ERR_FILE_TOO_LARGE);
    case QCOW2_ERR_SNAPSHOTS_OFFSET:
        return refuse(c, QCOW2_FOUND_SNAPSHOTS_OFFSET, 0, GUEST_ERR_INVALID);
    case QCOW2_ERR_SNAPSHOT_EXTRA:
        return refuse(c, QCOW2_FOUND_SNAPSHOT_EXTRA, c->q->nr_snapshots - 1,
                      GUEST_ERR_FILE_TOO_LARGE);
    case QCOW2_ERR_SNAPSHOT_TABLE_BIG:
        return refuse(c, QCOW2_FOUND_SNAPSHOT_TABLE_BIG, h->nb_snapshots - c->q->nr_snapshots + 1,
                      GUEST_ERR_FILE_TOO_LARGE);
    default:
        return err;
    }
}

/* ---- the new table ---- */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 7) & ~7ull;
}

/*
 * One entry: its fields and names as they are, with extra data of a length that is right. *at is
 * where it is, and then where the next one is; *to where it goes in the new table.
 */
static enum guest_err copy_entry(struct qcow2_check *c, const struct qcow2_snapshot *s,
                                 uint64_t *at, uint64_t *to)
{
    struct source *source = c->q->source;
    uint8_t *out = &c->repair->snapshots[aligned(*to)];
    uint64_t from = aligned(*at), names,
             extra = min_u64(s->extra_data_size, QCOW2_SNAPSHOT_EXTRA_MAX);
    enum guest_err err =
        source_read_padded(source, from, QCOW2_SNAPSHOT_HEADER_BYTES, out, c->detail);

    if (err)
        return err;
    names = (uint64_t)load_be16(&out[12]) + load_be16(&out[14]);
    from += QCOW2_SNAPSHOT_HEADER_BYTES;
    err = source_read_padded(source, from, extra, &out[QCOW2_SNAPSHOT_HEADER_BYTES], c->detail);
    if (!err && extra < EXTRA_V3 && c->q->header.version >= 3) {
        uint8_t *fields = &out[QCOW2_SNAPSHOT_HEADER_BYTES];

        store_be64(fields, s->vm_state_size);
        store_be64(&fields[8], s->disk_size);
        store_be64(&fields[16], UINT64_MAX); /* no instructions were counted */
        extra = EXTRA_FULL;
    }
    store_be32(&out[36], (uint32_t)extra);
    from += s->extra_data_size;
    if (!err)
        err = source_read_padded(source, from, names, &out[QCOW2_SNAPSHOT_HEADER_BYTES + extra],
                                 c->detail);
    *at = from + names;
    *to = aligned(*to) + QCOW2_SNAPSHOT_HEADER_BYTES + extra + names;
    return err;
}

static enum guest_err make_table(struct qcow2_check *c)
{
    struct qcow2_repair *r = c->repair;
    uint64_t at = c->q->header.snapshots_offset, to = 0;
    uint64_t room = c->q->snapshots_bytes + c->q->nr_snapshots * (EXTRA_FULL + 16ull);
    enum guest_err err = GUEST_OK;

    r->snapshots = arena_array(1, room + 8);
    if (!r->snapshots)
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; !err && i < c->q->nr_snapshots; i++)
        err = copy_entry(c, &c->q->snapshots[i], &at, &to);
    r->snapshots_bytes = to;
    return err;
}

/* Whether a refcount block exists for each of the clusters, so that they can be counted in place.
 */
static bool have_blocks(const struct qcow2_check *c, uint64_t cluster, uint64_t nr)
{
    uint32_t bits = c->q->refblock_entries_bits;

    for (uint64_t i = cluster >> bits; i <= (cluster + nr - 1) >> bits; i++) {
        if (i >= c->reftable_entries || !(c->reftable[i] & QCOW2_REFTABLE_MASK))
            return false;
    }
    return true;
}

/* The first run of free clusters; the counters grow as needed. */
static enum guest_err find_room(struct qcow2_check *c, uint64_t nr, uint64_t *out)
{
    uint64_t cluster = 0;

    if (!qcow2_counts_grow(&c->counts, c->nr_clusters + nr + 1))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    for (;;) {
        uint64_t used = qcow2_counts_next(&c->counts, cluster, c->nr_clusters);

        if (used - cluster >= nr || used == c->nr_clusters)
            break;
        cluster = used + 1;
    }
    *out = cluster;
    c->nr_clusters = max_u64(c->nr_clusters, cluster + nr);
    c->repair->highest = max_u64(c->repair->highest, cluster + nr - 1);
    return GUEST_OK;
}

static enum guest_err release(struct qcow2_check *c, uint64_t cluster)
{
    uint64_t count = cluster < c->nr_clusters ? qcow2_counts_get(&c->counts, cluster) : 0;

    return count == 0 || qcow2_counts_set(&c->counts, cluster, count - 1)
               ? GUEST_OK
               : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

/* No block counts the new table's clusters: all refcounts move to new blocks. */
static enum guest_err renew_refcounts(struct qcow2_check *c)
{
    uint64_t offset = c->q->header.refcount_table_offset, entries = c->reftable_entries;
    uint64_t nr = c->q->header.refcount_table_clusters, *old = arena_array(entries, sizeof(*old));
    uint32_t bits = c->q->header.cluster_bits;
    enum guest_err err = old ? GUEST_OK : err_plain(c->detail, GUEST_ERR_NO_MEMORY);

    if (!err) {
        memcpy(old, c->reftable, entries * sizeof(*old));
        err = qcow2_check_place_refcounts(c);
    }
    for (uint64_t i = 0; !err && i < nr; i++)
        err = release(c, (offset >> bits) + i);
    for (uint64_t i = 0; !err && i < entries; i++) {
        if (old[i] & QCOW2_REFTABLE_MASK)
            err = release(c, (old[i] & QCOW2_REFTABLE_MASK) >> bits);
    }
    free(old);
    return err;
}

static enum guest_err place_table(struct qcow2_check *c)
{
    struct qcow2_repair *r = c->repair;
    uint64_t nr = div_round_up_u64(r->snapshots_bytes, c->q->cluster_size);
    enum guest_err err = find_room(c, nr, &r->snapshots_cluster);

    if (!err && !qcow2_check_may_write(c, r->snapshots_cluster << c->q->header.cluster_bits,
                                       r->snapshots_bytes, (enum qcow2_finding)0)) {
        qcow2_check_found(c, QCOW2_FOUND_SNAPSHOTS_WRITE, 0, 0, 0);
        c->reply->check_errors++;
        return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    }
    for (uint64_t i = 0; !err && i < nr; i++) {
        if (!qcow2_counts_set(&c->counts, r->snapshots_cluster + i, 1) ||
            !qcow2_repair_touch(r, c, r->snapshots_cluster + i))
            err = err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    }
    r->grown = true;
    return !err && !have_blocks(c, r->snapshots_cluster, nr) ? renew_refcounts(c) : err;
}

enum guest_err qcow2_check_mend_snapshots(struct qcow2_check *c)
{
    struct qcow2_repair *r = c->repair;
    enum guest_err err = GUEST_OK;

    if (!r->nr_flaws)
        return GUEST_OK;
    r->old_snapshots_offset = c->q->header.snapshots_offset;
    r->old_snapshots_bytes = c->q->snapshots_bytes;
    if (c->q->nr_snapshots) {
        err = make_table(c);
        if (!err)
            err = place_table(c);
    }
    r->new_snapshots = !err;
    return err;
}
