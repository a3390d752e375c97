/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first pass of a check: who refers to which cluster, and whether the references make sense.
 */
#include "guest/formats/qcow2_repair.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* ---- counting ---- */

/* One more reference to a cluster below c->counts.nr. */
static enum guest_err count_one(struct qcow2_check *c, uint64_t cluster)
{
    uint32_t count = qcow2_counts_get(&c->counts, cluster);

    c->shared = c->shared || count;
    if (count == c->refcount_max) {
        qcow2_check_corrupt(c, QCOW2_FOUND_COUNT_OVERFLOW, cluster << c->q->header.cluster_bits, 0,
                            0);
        return GUEST_OK;
    }
    return qcow2_counts_set(&c->counts, cluster, count + 1ull)
               ? GUEST_OK
               : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

/* One more reference to each of adjacent clusters: nearly always it is the first, or all have one.
 */
static enum guest_err count_run(struct qcow2_check *c, uint64_t cluster, uint64_t nr)
{
    enum guest_err err = GUEST_OK;

    while (!err && nr) {
        uint64_t done = qcow2_counts_fill(&c->counts, cluster, nr);

        if (done == 0) {
            done = qcow2_counts_raise(&c->counts, cluster, nr, c->refcount_max);
            c->shared = c->shared || done;
        }
        if (done == 0) {
            err = count_one(c, cluster);
            done = 1;
        }
        cluster += done;
        nr -= done;
    }
    return err;
}

enum guest_err qcow2_check_count_range(struct qcow2_check *c, uint64_t offset, uint64_t size)
{
    const struct qcow2 *q = c->q;
    uint64_t end, last;

    if (size == 0)
        return GUEST_OK;
    /* The last cluster of a file may be cut short. */
    if (!add_u64(offset, size, &end) || end >= c->file_bytes + q->cluster_size) {
        qcow2_check_corrupt(c, QCOW2_FOUND_PAST_END, offset, size, 0);
        c->past_end = true;
        return GUEST_OK;
    }
    last = (end - 1) >> q->header.cluster_bits;
    c->nr_clusters = max_u64(c->nr_clusters, last + 1);
    return count_run(c, offset >> q->header.cluster_bits,
                     last - (offset >> q->header.cluster_bits) + 1);
}

/* ---- L2 tables ---- */

bool qcow2_check_is_askew_zero(const struct qcow2_check *c, struct qcow2_l2_entry e)
{
    bool has_data = c->q->extended_l2 ? e.alloc != 0 : !(e.raw & QCOW2_OFLAG_ZERO);

    return !has_data && e.offset % c->q->cluster_size != 0;
}

struct qcow2_l2_entry qcow2_check_plain_zero(const struct qcow2_check *c)
{
    if (c->q->extended_l2)
        return (struct qcow2_l2_entry){.zero = UINT32_MAX};
    return (struct qcow2_l2_entry){.raw = QCOW2_OFLAG_ZERO};
}

/* One L2 table while its entries are looked at. */
struct l2_walk {
    uint64_t offset;          /* of the table */
    bool active;              /* the totals of the reply are about the active L1 table */
    bool unflagged;           /* an entry that may have the COPIED flag has not */
    uint64_t next_contiguous; /* where the next cluster would be if nothing were fragmented */
};

static enum guest_err check_compressed(struct qcow2_check *c, struct l2_walk *walk,
                                       struct qcow2_l2_entry e, uint32_t index)
{
    uint64_t offset, bytes;
    enum guest_err err;

    qcow2_compressed_range(c->q, e.raw, &offset, &bytes);
    if (e.raw & QCOW2_OFLAG_COPIED) {
        qcow2_check_corrupt(c, QCOW2_FOUND_COMPRESSED_COPIED, offset, 0, 0);
        e.raw &= ~QCOW2_OFLAG_COPIED;
    }
    if (c->q->has_data_file) {
        qcow2_check_corrupt(c, QCOW2_FOUND_COMPRESSED_DATA_FILE, index, e.raw, 0);
        return GUEST_OK;
    }
    if (e.alloc || e.zero) {
        qcow2_check_corrupt(c, QCOW2_FOUND_COMPRESSED_BITMAP, index, e.raw, 0);
        return GUEST_OK;
    }
    err = qcow2_check_count_range(c, offset, bytes);
    if (walk->active) {
        c->reply->allocated_clusters++;
        c->reply->compressed_clusters++;
        c->reply->fragmented_clusters++; /* by their nature */
    }
    return err;
}

/* A misplaced cluster without data: nothing is lost with it. */
static enum guest_err mend_askew_zero(struct qcow2_check *c, const struct l2_walk *walk,
                                      struct qcow2_l2_entry e, uint32_t index)
{
    if (c->zeros_fixed)
        return GUEST_OK;
    qcow2_check_mended(c, QCOW2_FOUND_ZERO_UNALIGNED, e.offset, 0, 0);
    return qcow2_repair_add_zero(c->repair, walk->offset + (uint64_t)index * c->q->l2_entry_bytes)
               ? GUEST_OK
               : err_plain(c->detail, GUEST_ERR_NO_MEMORY);
}

static enum guest_err check_allocated(struct qcow2_check *c, struct l2_walk *walk,
                                      struct qcow2_l2_entry e, uint32_t index)
{
    bool askew_zero = qcow2_check_is_askew_zero(c, e);

    walk->unflagged = walk->unflagged || !(e.raw & QCOW2_OFLAG_COPIED);
    if (e.alloc & e.zero)
        qcow2_check_corrupt(c, QCOW2_FOUND_BITMAP_CORRUPT, e.offset, 0, 0);
    if (askew_zero && (c->counting_fixes || c->zeros_fixed))
        return mend_askew_zero(c, walk, e, index);
    if (e.offset % c->q->cluster_size != 0)
        qcow2_check_corrupt(c, askew_zero ? QCOW2_FOUND_ZERO_UNALIGNED : QCOW2_FOUND_DATA_UNALIGNED,
                            e.offset, 0, 0);
    if (walk->active) {
        c->reply->allocated_clusters++;
        if (walk->next_contiguous && e.offset != walk->next_contiguous)
            c->reply->fragmented_clusters++;
        walk->next_contiguous = e.offset + c->q->cluster_size;
    }
    if (c->q->has_data_file)
        return GUEST_OK; /* the data file has no refcounts */
    return qcow2_check_count_range(c, e.offset, c->q->cluster_size);
}

static enum guest_err check_l2_entry(struct qcow2_check *c, struct l2_walk *walk,
                                     struct qcow2_l2_entry e, uint32_t index)
{
    enum qcow2_l2_kind kind = qcow2_l2_cluster_kind(c->q, e);

    if (kind == QCOW2_L2_COMPRESSED)
        return check_compressed(c, walk, e, index);
    if (e.raw & QCOW2_L2_RESERVED)
        qcow2_check_corrupt(c, QCOW2_FOUND_L2_RESERVED, e.raw, 0, 0);
    if (kind == QCOW2_L2_NORMAL || kind == QCOW2_L2_ZERO_ALLOC)
        return check_allocated(c, walk, e, index);
    if (kind == QCOW2_L2_UNALLOCATED && e.alloc)
        qcow2_check_corrupt(c, QCOW2_FOUND_UNALLOCATED_BITMAP, 0, 0, 0);
    return GUEST_OK;
}

/*
 * The entry that nearly all are: a cluster inside the file, without flags but COPIED. Told apart
 * first, since a large image has millions.
 */
static inline bool is_plain_data(const struct qcow2_check *c, uint64_t raw)
{
    uint64_t offset = raw & QCOW2_OFFSET_MASK;

    return (raw & ~(QCOW2_OFFSET_MASK | QCOW2_OFLAG_COPIED)) == 0 && offset != 0 &&
           (offset & (c->q->cluster_size - 1)) == 0 &&
           range_inside_u64(offset, c->q->cluster_size, c->file_bytes);
}

/* How many entries from `index` on are plain and name adjacent clusters; at least 1. */
static uint32_t plain_run(const struct qcow2_check *c, struct span table, uint32_t index,
                          uint64_t raw)
{
    uint64_t step = c->q->cluster_size, offset = raw & QCOW2_OFFSET_MASK;
    uint64_t most = min_u64(c->q->l2_entries - index, (c->file_bytes - offset) / step);
    const uint8_t *at = &table.data[(uint64_t)index * 8];
    uint32_t nr = 1;

    while (nr < most && load_be64(&at[(uint64_t)nr * 8]) == raw + nr * step)
        nr++;
    return nr;
}

/* Plain entries from `index` on are counted; *out_index is the first that is not. */
static enum guest_err count_plain(struct qcow2_check *c, struct l2_walk *walk, struct span table,
                                  uint32_t index, uint32_t *out_index)
{
    uint32_t cluster_bits = c->q->header.cluster_bits, first = index;
    enum guest_err err = GUEST_OK;

    while (!err && index < c->q->l2_entries) {
        uint64_t raw = load_be64(&table.data[(uint64_t)index * 8]);
        uint64_t offset = raw & QCOW2_OFFSET_MASK;
        uint32_t nr;

        if (!is_plain_data(c, raw))
            break;
        nr = plain_run(c, table, index, raw);
        if (walk->active) {
            c->reply->fragmented_clusters +=
                walk->next_contiguous && offset != walk->next_contiguous;
            walk->next_contiguous = offset + ((uint64_t)nr << cluster_bits);
        }
        walk->unflagged = walk->unflagged || !(raw & QCOW2_OFLAG_COPIED);
        err = count_run(c, offset >> cluster_bits, nr);
        index += nr;
    }
    if (walk->active)
        c->reply->allocated_clusters += index - first;
    *out_index = index;
    return err;
}

static enum guest_err check_l2_table(struct qcow2_check *c, struct l2_walk *walk, struct span table)
{
    bool plain = !c->q->extended_l2 && !c->q->has_data_file;

    if (c->work_left < c->q->l2_entries)
        return err_plain(c->detail, GUEST_ERR_TOO_MUCH_WORK);
    c->work_left -= c->q->l2_entries;
    for (uint32_t i = 0; i < c->q->l2_entries; i++) {
        enum guest_err err = plain ? count_plain(c, walk, table, i, &i) : GUEST_OK;
        struct qcow2_l2_entry e;

        if (err || i == c->q->l2_entries)
            return err;
        e = qcow2_l2_entry_at(c->q, table, i);
        if (!e.raw && !e.alloc)
            continue;
        err = check_l2_entry(c, walk, e, i);
        if (err)
            return err;
    }
    return GUEST_OK;
}

/* ---- L1 tables ---- */

static enum guest_err check_l1_entry(struct qcow2_check *c, struct qcow2_l2_window *window,
                                     uint64_t index, bool active)
{
    uint64_t entry = window->l1[index];
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    struct l2_walk walk = {.offset = offset, .active = active};
    struct span table;
    enum guest_err err;

    if (entry & QCOW2_L1_RESERVED)
        qcow2_check_corrupt(c, QCOW2_FOUND_L1_RESERVED, entry, 0, 0);
    err = qcow2_check_count_range(c, offset, c->q->cluster_size);
    if (err)
        return err;
    if (offset % c->q->cluster_size != 0)
        qcow2_check_corrupt(c, QCOW2_FOUND_L2_UNALIGNED, offset, 0, 0);
    err = qcow2_l2_table(c->q, window, index, &table, c->detail);
    if (err == GUEST_ERR_IO) {
        qcow2_check_found(c, QCOW2_FOUND_L2_IO, 0, 0, 0);
        c->reply->check_errors++;
    }
    if (!err)
        err = check_l2_table(c, &walk, table);
    if (active && walk.unflagged)
        c->unflagged[index / 8] |= (uint8_t)(1u << index % 8);
    return err;
}

/* Everything below an L1 table; the table itself is counted already. */
static enum guest_err check_l1(struct qcow2_check *c, const uint64_t *l1, uint64_t l1_size,
                               bool active)
{
    struct qcow2_l2_window window = {0};
    enum guest_err err = GUEST_OK;

    qcow2_l2_window_reset(&window, l1, l1_size);
    for (uint64_t i = 0; !err && i < l1_size; i++)
        if (l1[i])
            err = check_l1_entry(c, &window, i, active);
    qcow2_l2_window_clear(&window);
    return err;
}

/* ---- snapshots ---- */

/* Sends "id (name)" ahead of the finding that shows it. */
static void send_snapshot_name(struct qcow2_check *c, const struct qcow2_snapshot *s)
{
    const struct span parts[] = {s->id_str, span_of(" (", 2), s->name, span_of(")", 1)};
    struct cell_finding finding = {.flags = CELL_FINDING_TEXT};
    uint8_t text[sizeof(finding.number)];

    for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
        for (size_t i = 0; i < parts[p].len; i++) {
            text[finding.code++] = parts[p].data[i];
            if (finding.code == sizeof(text)) {
                memcpy(finding.number, text, sizeof(text));
                c->findings->add(c->findings, &finding);
                finding.code = 0;
            }
        }
    }
    if (finding.code) {
        memcpy(finding.number, text, sizeof(text));
        c->findings->add(c->findings, &finding);
    }
}

static enum guest_err check_snapshot(struct qcow2_check *c, const struct qcow2_snapshot *s)
{
    uint64_t *l1;
    enum guest_err err;

    if (s->l1_table_offset % c->q->cluster_size != 0) {
        send_snapshot_name(c, s);
        qcow2_check_corrupt(c, QCOW2_FOUND_SNAPSHOT_L1_OFFSET, s->l1_table_offset, 0, 0);
        return GUEST_OK;
    }
    if (s->l1_size > QCOW2_L1_BYTES_MAX / sizeof(uint64_t)) {
        send_snapshot_name(c, s);
        qcow2_check_corrupt(c, QCOW2_FOUND_SNAPSHOT_L1_SIZE, s->l1_size, 0, 0);
        return GUEST_OK;
    }
    if (s->l1_size == 0)
        return GUEST_OK;
    err = qcow2_check_count_range(c, s->l1_table_offset, s->l1_size * sizeof(uint64_t));
    if (err)
        return err;
    err = qcow2_read_l1(c->q, s->l1_table_offset, s->l1_size, &l1, c->detail);
    if (err) {
        if (err == GUEST_ERR_NO_MEMORY)
            return err;
        qcow2_check_found(c, QCOW2_FOUND_L1_IO, 0, 0, 0);
        c->reply->check_errors++;
        return err_numbers(c->detail, GUEST_ERR_IO, QCOW2_EIO, s->l1_table_offset, 0, 0);
    }
    err = check_l1(c, l1, s->l1_size, false);
    free(l1);
    return err;
}

static enum guest_err check_snapshots(struct qcow2_check *c)
{
    enum guest_err err = GUEST_OK;

    if (c->q->has_data_file && c->q->nr_snapshots)
        qcow2_check_corrupt(c, QCOW2_FOUND_SNAPSHOTS_DATA_FILE, c->q->nr_snapshots, 0, 0);
    for (uint32_t i = 0; !err && i < c->q->nr_snapshots; i++)
        err = check_snapshot(c, &c->q->snapshots[i]);
    if (!err)
        err = qcow2_check_count_range(c, c->q->header.snapshots_offset, c->q->snapshots_bytes);
    return err;
}

/* ---- bitmaps ---- */

static enum guest_err check_bitmap(struct qcow2_check *c, const struct qcow2_bitmap *b)
{
    uint64_t *table;
    enum guest_err err =
        qcow2_check_count_range(c, b->table_offset, b->table_size * sizeof(uint64_t));

    if (err)
        return err;
    err = qcow2_read_bitmap_table(c->q, b, &table, c->detail);
    if (err) {
        c->reply->corruptions++;
        return err;
    }
    for (uint32_t i = 0; !err && i < b->table_size; i++) {
        uint64_t offset = table[i] & QCOW2_OFFSET_MASK;

        if (!qcow2_bitmap_entry_ok(c->q, table[i]))
            c->reply->corruptions++; /* without a line of its own, as in stock */
        else if (offset)
            err = qcow2_check_count_range(c, offset, c->q->cluster_size);
    }
    free(table);
    return err;
}

static enum guest_err check_bitmaps(struct qcow2_check *c)
{
    enum guest_err err = GUEST_OK;

    if (c->q->ext.has_bitmaps)
        err = qcow2_check_count_range(c, c->q->ext.bitmap_directory_offset,
                                      c->q->ext.bitmap_directory_size);
    for (uint32_t i = 0; !err && i < c->q->nr_bitmaps; i++)
        err = check_bitmap(c, &c->q->bitmaps[i]);
    return err;
}

/* ---- refcount blocks ---- */

/* A block past the end of the file: a repair makes the file longer, so that the block is zeros. */
static enum guest_err take_outside(struct qcow2_check *c, uint64_t index, uint64_t offset)
{
    uint64_t cluster = offset >> c->q->header.cluster_bits;

    if (!c->counting_fixes) {
        qcow2_check_corrupt(c, QCOW2_FOUND_REFBLOCK_OUTSIDE, index, 0, 0);
        return GUEST_OK;
    }
    qcow2_check_mended(c, QCOW2_FOUND_REFBLOCK_OUTSIDE, index, 0, 0);
    if (cluster >= INT32_MAX) {
        c->reply->corruptions_fixed--;
        c->reply->corruptions++;
        c->rebuild = true;
        qcow2_check_prefixed(c, QCOW2_FOUND_RESIZE_LIMIT, 0);
        qcow2_check_found(c, QCOW2_FOUND_RESIZE_FAILED, 0, 0, 0);
        return GUEST_OK;
    }
    if (!qcow2_counts_grow(&c->counts, cluster + 2))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    c->nr_clusters = cluster + 1;
    c->file_bytes = c->nr_clusters << c->q->header.cluster_bits;
    c->repair->grown = true;
    return qcow2_check_count_range(c, offset, c->q->cluster_size);
}

static enum guest_err check_refblocks(struct qcow2_check *c)
{
    for (uint64_t i = 0; i < c->reftable_entries; i++) {
        uint64_t entry = c->reftable[i];
        uint64_t offset = entry & QCOW2_REFTABLE_MASK;
        uint64_t cluster = offset >> c->q->header.cluster_bits;
        enum guest_err err;

        if (entry == 0)
            continue;
        if (entry & QCOW2_REFTABLE_RESERVED) {
            qcow2_check_corrupt(c, QCOW2_FOUND_REFTABLE_RESERVED, i, 0, 0);
            c->rebuild = true;
            continue;
        }
        if (offset % c->q->cluster_size != 0) {
            qcow2_check_corrupt(c, QCOW2_FOUND_REFBLOCK_UNALIGNED, i, 0, 0);
            c->rebuild = true;
            continue;
        }
        if (cluster >= c->nr_clusters) {
            err = take_outside(c, i, offset);
            if (err)
                return err;
            continue;
        }
        err = qcow2_check_count_range(c, offset, c->q->cluster_size);
        if (err)
            return err;
        if (qcow2_counts_get(&c->counts, cluster) != 1) {
            qcow2_check_corrupt(c, QCOW2_FOUND_REFBLOCK_SHARED, i,
                                qcow2_counts_get(&c->counts, cluster), 0);
            c->rebuild = true;
        }
    }
    return GUEST_OK;
}

enum guest_err qcow2_check_count(struct qcow2_check *c)
{
    struct qcow2 *q = c->q;
    enum guest_err err = qcow2_check_count_range(c, 0, q->cluster_size); /* the header */

    if (!err)
        err = qcow2_check_count_range(c, q->header.l1_table_offset, q->l1_size * sizeof(uint64_t));
    if (!err)
        err = check_l1(c, q->l1, q->l1_size, true);
    if (!err)
        err = check_snapshots(c);
    if (!err)
        err = qcow2_check_count_range(c, q->header.refcount_table_offset,
                                      c->reftable_entries * sizeof(uint64_t));
    if (!err && q->ext.has_crypto)
        err = qcow2_check_count_range(c, q->ext.crypto_offset, q->ext.crypto_length);
    if (!err)
        err = check_bitmaps(c);
    return err ? err : check_refblocks(c);
}
