/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping guest offsets to host offsets through L1 and L2 tables.
 *
 * L2 tables are read some at a time (struct qcow2_l2_window): one at first, more with every miss
 * that follows its predecessor, so that a walk over all tables of a large image takes few reads.
 * Standard tables are scanned entry by entry in one tight loop, tables with subclusters by bit
 * masks. A run never crosses an L2 table: guest/plan/map.c joins what continues.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* L1 entries without a table that a window goes over: what one look at an L1 table may cost. */
#define WINDOW_GAP_MAX 4096u

/* ---- reading tables ---- */

void qcow2_l2_window_reset(struct qcow2_l2_window *w, const uint64_t *l1, uint64_t l1_size)
{
    w->l1 = l1;
    w->l1_size = l1_size;
    w->nr_tables = 0;
    w->walked = 0;
}

void qcow2_l2_window_clear(struct qcow2_l2_window *w)
{
    free(w->bytes);
    *w = (struct qcow2_l2_window){0};
}

/* The next L1 entry behind `at` that names a table; l1_size: none near enough. */
static uint64_t next_table(const struct qcow2_l2_window *w, uint64_t at)
{
    uint64_t end = min_u64(w->l1_size, at + 1 + WINDOW_GAP_MAX);

    while (++at < end) {
        if (w->l1[at] & QCOW2_OFFSET_MASK)
            return at;
    }
    return w->l1_size;
}

/* Finds the tables from `first` on, at most `max` of them; the first counts as one in any case. */
static uint32_t find_tables(struct qcow2_l2_window *w, uint64_t first, uint32_t max)
{
    uint32_t nr = 0;

    for (uint64_t at = first; nr < max && at < w->l1_size; at = next_table(w, at))
        w->index[nr++] = at;
    return nr;
}

/* Reads nr tables with one scattered read. */
static enum guest_err read_tables(struct qcow2 *q, struct qcow2_l2_window *w, uint32_t nr,
                                  struct guest_err_detail *detail)
{
    struct source_piece pieces[QCOW2_WINDOW_TABLES_MAX];
    unsigned nr_pieces = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t offset = w->l1[w->index[i]] & QCOW2_OFFSET_MASK;
        uint8_t *table = &w->bytes[i * q->cluster_size];
        uint64_t there = offset < q->source->size_bytes ? q->source->size_bytes - offset : 0;

        there = min_u64(there, q->cluster_size);
        memset(&table[there], 0, q->cluster_size - there);
        if (there)
            pieces[nr_pieces++] =
                (struct source_piece){.offset = offset, .len = there, .dst = table};
    }
    return nr_pieces ? q->source->read(q->source, pieces, nr_pieces, detail) : GUEST_OK;
}

/* Whether a walk goes on in order: with the next table, or one not far behind it. */
static bool goes_on(const struct qcow2_l2_window *w, uint64_t l1_index)
{
    uint64_t last;

    if (!w->nr_tables)
        return false;
    last = w->index[w->nr_tables - 1];
    return l1_index > last &&
           (l1_index - last <= 2ull * w->nr_tables || l1_index == next_table(w, last));
}

/*
 * How many tables to read at l1_index: one, some where a walk goes on in order, and more as it gets
 * long: memory that was not touched before costs more than another read.
 */
static uint32_t tables_wanted(const struct qcow2 *q, const struct qcow2_l2_window *w)
{
    uint64_t most = max_u64(QCOW2_WINDOW_BYTES_MAX / q->cluster_size, 1);
    uint64_t want = w->walked ? 4 : 1;

    while (want <= w->walked / 16)
        want *= 2;
    return (uint32_t)min_u64(want, min_u64(most, QCOW2_WINDOW_TABLES_MAX));
}

static enum guest_err fill_window(struct qcow2 *q, struct qcow2_l2_window *w, uint64_t l1_index,
                                  struct guest_err_detail *detail)
{
    uint32_t nr;
    enum guest_err err;

    w->walked = goes_on(w, l1_index) ? w->walked : 0;
    nr = find_tables(w, l1_index, tables_wanted(q, w));

    w->nr_tables = 0;
    w->last_used = 0;
    if (w->capacity < nr * q->cluster_size) {
        free(w->bytes);
        w->capacity = 0;
        w->bytes = arena_bytes(nr * q->cluster_size);
        if (!w->bytes)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        w->capacity = nr * q->cluster_size;
    }
    err = read_tables(q, w, nr, detail);
    if (err)
        return err;
    w->nr_tables = nr;
    w->walked += nr;
    return GUEST_OK;
}

/* Whether a table is loaded; last_used is it then. */
static bool find_loaded(struct qcow2_l2_window *w, uint64_t l1_index)
{
    for (uint32_t i = 0; i < w->nr_tables; i++) {
        uint32_t at = (w->last_used + i) % w->nr_tables;

        if (w->index[at] == l1_index) {
            w->last_used = at;
            return true;
        }
    }
    return false;
}

enum guest_err qcow2_l2_table(struct qcow2 *q, struct qcow2_l2_window *w, uint64_t l1_index,
                              struct span *out, struct guest_err_detail *detail)
{
    if (!find_loaded(w, l1_index)) {
        enum guest_err err = fill_window(q, w, l1_index, detail);
        if (err)
            return err;
    }
    *out = span_of(&w->bytes[w->last_used * q->cluster_size], q->cluster_size);
    return GUEST_OK;
}

/* ---- decoding entries ---- */

void qcow2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *out_offset,
                            uint64_t *out_bytes)
{
    uint64_t x = q->compressed_x;
    uint64_t offset = entry & ((1ull << x) - 1);
    uint64_t sectors = ((entry & ~(QCOW2_OFLAG_COMPRESSED | QCOW2_OFLAG_COPIED)) >> x) + 1;

    *out_offset = offset;
    *out_bytes = sectors * QCOW2_SECTOR_BYTES - offset % QCOW2_SECTOR_BYTES;
}

struct qcow2_l2_entry qcow2_l2_entry_at(const struct qcow2 *q, struct span table, uint32_t index)
{
    const uint8_t *p = &table.data[(uint64_t)index * q->l2_entry_bytes];
    struct qcow2_l2_entry e = {.raw = load_be64(p)};

    e.offset = e.raw & QCOW2_OFFSET_MASK;
    if (q->extended_l2) {
        e.zero = load_be32(&p[8]);
        e.alloc = load_be32(&p[12]);
    }
    return e;
}

enum qcow2_l2_kind qcow2_l2_cluster_kind(const struct qcow2 *q, struct qcow2_l2_entry e)
{
    if (e.raw & QCOW2_OFLAG_COMPRESSED)
        return QCOW2_L2_COMPRESSED;
    if (!q->extended_l2 && (e.raw & QCOW2_OFLAG_ZERO))
        return e.offset ? QCOW2_L2_ZERO_ALLOC : QCOW2_L2_ZERO_PLAIN;
    /* An external data file may hold guest cluster 0 at offset 0: COPIED tells it from none. */
    if (e.offset == 0 && !(q->has_data_file && (e.raw & QCOW2_OFLAG_COPIED)))
        return QCOW2_L2_UNALLOCATED;
    return QCOW2_L2_NORMAL;
}

static enum qcow2_l2_kind subcluster_kind(const struct qcow2 *q, struct qcow2_l2_entry e,
                                          uint32_t sub)
{
    enum qcow2_l2_kind kind = qcow2_l2_cluster_kind(q, e);
    uint32_t bit = 1u << sub;

    if (!q->extended_l2 || kind == QCOW2_L2_COMPRESSED)
        return kind;
    if (kind == QCOW2_L2_NORMAL) {
        if (e.alloc & e.zero)
            return QCOW2_L2_INVALID;
        if (e.zero & bit)
            return QCOW2_L2_ZERO_ALLOC;
        return e.alloc & bit ? QCOW2_L2_NORMAL : QCOW2_L2_UNALLOCATED_ALLOC;
    }
    if (e.alloc)
        return QCOW2_L2_INVALID;
    return e.zero & bit ? QCOW2_L2_ZERO_PLAIN : QCOW2_L2_UNALLOCATED;
}

static bool kind_has_offset(enum qcow2_l2_kind kind)
{
    return kind == QCOW2_L2_NORMAL || kind == QCOW2_L2_ZERO_ALLOC ||
           kind == QCOW2_L2_UNALLOCATED_ALLOC;
}

/* ---- runs ---- */

/*
 * Counts the entries from `index` on that continue the run of the first one, at most `max`.
 * Standard tables only; not for compressed entries.
 */
static uint32_t run_standard(const struct qcow2 *q, struct span table, uint32_t index, uint32_t max,
                             struct qcow2_l2_entry first, enum qcow2_l2_kind kind)
{
    const uint64_t mask = QCOW2_OFFSET_MASK | QCOW2_OFLAG_COMPRESSED | QCOW2_OFLAG_ZERO |
                          (q->has_data_file ? QCOW2_OFLAG_COPIED : 0);
    const uint64_t step = kind_has_offset(kind) ? q->cluster_size : 0;
    uint64_t expected = first.raw & mask;
    uint32_t nr = 1;

    while (nr < max) {
        expected += step;
        if ((load_be64(&table.data[(uint64_t)(index + nr) * 8]) & mask) != expected)
            break;
        nr++;
    }
    return nr;
}

/* One bit for each subcluster of that kind. */
static uint32_t kind_mask(enum qcow2_l2_kind kind, struct qcow2_l2_entry e)
{
    switch (kind) {
    case QCOW2_L2_NORMAL:
        return e.alloc;
    case QCOW2_L2_ZERO_PLAIN:
    case QCOW2_L2_ZERO_ALLOC:
        return e.zero;
    default:
        return ~(e.alloc | e.zero);
    }
}

/*
 * The same for tables with subclusters, in subclusters from `sub` of entry `index` on.
 *
 * returns: 0 when an entry that the run reaches is invalid: *out_bad is its index
 */
static uint64_t run_extended(const struct qcow2 *q, struct span table, uint32_t index, uint32_t sub,
                             uint64_t max, struct qcow2_l2_entry first, enum qcow2_l2_kind kind,
                             uint32_t *out_bad)
{
    struct qcow2_l2_entry e = first;
    uint64_t expected = first.offset;
    uint64_t nr = 0;

    for (;;) {
        /* Subclusters of another kind, from `sub` on; none: the run fills the cluster. */
        uint32_t other = ~kind_mask(kind, e) >> sub;
        uint32_t here = other ? (uint32_t)__builtin_ctz(other) : QCOW2_SUBCLUSTERS - sub;
        enum qcow2_l2_kind next;

        nr += here;
        if (here < QCOW2_SUBCLUSTERS - sub || nr >= max)
            return min_u64(nr, max);
        sub = 0;
        index++;
        expected += q->cluster_size;
        e = qcow2_l2_entry_at(q, table, index);
        next = subcluster_kind(q, e, 0);
        if (next == QCOW2_L2_INVALID) {
            *out_bad = index;
            return 0;
        }
        if (next != kind || (kind_has_offset(kind) && e.offset != expected))
            return nr;
    }
}

/* ---- the driver's verb ---- */

/* Bytes from `start` to the next L1 entry that names a table; 0 when the first one does. */
static uint64_t run_of_empty_l1(const struct qcow2 *q, uint64_t start, uint64_t length)
{
    uint64_t first = start >> q->l1_shift;
    uint64_t end = min_u64(((start + length - 1) >> q->l1_shift) + 1, q->l1_size);
    uint64_t index = first;

    while (index < end && !(q->l1[index] & QCOW2_OFFSET_MASK))
        index++;
    if (index >= end)
        return length;
    return index == first ? 0 : (index << q->l1_shift) - start;
}

static enum guest_err check_entry(struct qcow2 *q, struct qcow2_l2_entry e, enum qcow2_l2_kind kind,
                                  uint64_t l2_offset, uint32_t index, uint64_t start,
                                  struct guest_err_detail *detail)
{
    uint64_t guest = start & ~(q->cluster_size - 1);

    if (kind == QCOW2_L2_INVALID)
        return qcow2_event(q, detail, QCOW2_EVENT_INVALID_ENTRY, l2_offset, index, 0);
    if ((kind == QCOW2_L2_ZERO_PLAIN || kind == QCOW2_L2_ZERO_ALLOC) && q->header.version < 3)
        return qcow2_event(q, detail, QCOW2_EVENT_ZERO_V2, l2_offset, index, 0);
    if (kind == QCOW2_L2_COMPRESSED && q->has_data_file)
        return qcow2_event(q, detail, QCOW2_EVENT_COMPRESSED_DATA_FILE, l2_offset, index, 0);
    if (!kind_has_offset(kind))
        return GUEST_OK;
    if (e.offset % q->cluster_size != 0)
        return qcow2_event(q, detail, QCOW2_EVENT_CLUSTER_OFFSET, e.offset, l2_offset, index);
    if (q->has_data_file && e.offset != guest)
        return qcow2_event(q, detail, QCOW2_EVENT_DATA_FILE_OFFSET, e.offset + (start - guest),
                           start, index);
    return GUEST_OK;
}

static void describe_compressed(const struct qcow2 *q, struct qcow2_l2_entry e, uint64_t start,
                                struct layer_extent *out)
{
    uint64_t offset, bytes;

    qcow2_compressed_range(q, e.raw, &offset, &bytes);
    out->kind = CELL_EXTENT_COMPRESSED;
    out->flags = CELL_EXTENT_HAS_OFFSET;
    out->codec =
        q->header.compression_type == QCOW2_COMPRESSION_ZSTD ? CELL_CODEC_ZSTD : CELL_CODEC_DEFLATE;
    out->offset = offset;
    out->comp_len = (uint32_t)bytes;
    out->unit_len = (uint32_t)q->cluster_size;
    out->skip = (uint32_t)(start % q->cluster_size);
}

static const uint8_t extent_kinds[QCOW2_L2_INVALID + 1] = {
    [QCOW2_L2_UNALLOCATED] = CELL_EXTENT_HOLE, [QCOW2_L2_UNALLOCATED_ALLOC] = CELL_EXTENT_HOLE,
    [QCOW2_L2_ZERO_PLAIN] = CELL_EXTENT_ZERO,  [QCOW2_L2_ZERO_ALLOC] = CELL_EXTENT_ZERO,
    [QCOW2_L2_NORMAL] = CELL_EXTENT_DATA,
};

enum guest_err qcow2_map(struct node *node, uint64_t start, uint64_t length,
                         struct layer_extent *out, struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    uint64_t l1_index = start >> q->l1_shift;
    uint32_t index = (uint32_t)((start >> q->header.cluster_bits) % q->l2_entries);
    uint32_t sub = (uint32_t)((start >> q->subcluster_bits) % q->subclusters);
    uint64_t within = start % (1ull << q->subcluster_bits);
    uint64_t l2_offset, subs_left, run;
    uint32_t bad = index;
    struct qcow2_l2_entry e;
    enum qcow2_l2_kind kind;
    struct span table;
    enum guest_err err;

    if (q->header.crypt_method && !node->cipher)
        return qcow2_error(detail, QCOW2_ERR_ENCRYPTED);
    if (q->has_data_file && !node->data_file)
        return qcow2_error(detail, QCOW2_ERR_NO_DATA_FILE);
    *out = (struct layer_extent){.source = q->has_data_file ? node->data_file->source : q->source};

    out->length = run_of_empty_l1(q, start, length);
    if (out->length)
        return GUEST_OK; /* kind HOLE */
    l2_offset = q->l1[l1_index] & QCOW2_OFFSET_MASK;
    if (l2_offset % q->cluster_size != 0)
        return qcow2_event(q, detail, QCOW2_EVENT_L2_OFFSET, l2_offset, l1_index, 0);
    err = qcow2_l2_table(q, &q->window, l1_index, &table, detail);
    if (err)
        return err;
    e = qcow2_l2_entry_at(q, table, index);
    kind = subcluster_kind(q, e, sub);
    err = check_entry(q, e, kind, l2_offset, index, start, detail);
    if (err)
        return err;
    if (kind == QCOW2_L2_COMPRESSED) {
        describe_compressed(q, e, start, out);
        out->length = min_u64(length, q->cluster_size - out->skip);
        return GUEST_OK;
    }

    /* Subclusters that are asked for and lie in this table. */
    subs_left = (uint64_t)(q->l2_entries - index) * q->subclusters - sub;
    subs_left = min_u64(subs_left, div_round_up_u64(within + length, 1ull << q->subcluster_bits));
    if (q->extended_l2)
        run = run_extended(q, table, index, sub, subs_left, e, kind, &bad);
    else
        run = run_standard(q, table, index, (uint32_t)subs_left, e, kind);
    if (run == 0)
        return qcow2_event(q, detail, QCOW2_EVENT_INVALID_ENTRY, l2_offset, bad, 0);
    out->length = min_u64((run << q->subcluster_bits) - within, length);
    out->kind = extent_kinds[kind];
    if (kind_has_offset(kind)) {
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = e.offset + start % q->cluster_size;
    }
    if (kind == QCOW2_L2_NORMAL && q->header.crypt_method) {
        out->kind = CELL_EXTENT_ENCRYPTED;
        out->flags = 0;
    } else if (kind == QCOW2_L2_NORMAL && qcow2_seems_preallocated(node))
        out->flags |= CELL_EXTENT_RECURSE;
    return GUEST_OK;
}
