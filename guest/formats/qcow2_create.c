/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a qcow2 image: the layout is computed as a whole, then yielded phase by phase.
 *
 * Tables are described, not stored: the plan remembers where each L2 table and its data begin, and
 * an L2 table of preallocated clusters is one ASCEND op. So 1 TiB of preallocated metadata costs
 * 32 KiB here and a few thousand records.
 *
 * Layouts, as stock makes them:
 *   off       header, refcount table, block, L1
 *   metadata  the same, then for each L2 table: the table, its data clusters
 *   falloc,   header, first L2 table, block, L1, more blocks, refcount table (moved), all data,
 *   full      the other L2 tables
 * Blocks come where qcow2_bump puts them. With an external data file no data clusters are taken.
 */
#include "guest/formats/qcow2_create.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/luks_create.h"
#include "guest/formats/qcow2_bump.h"
#include "guest/formats/qcow2_layout.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"

enum phase {
    PHASE_SIZES,
    PHASE_CRYPTO,
    PHASE_L2_TABLES,
    PHASE_L1_TABLE,
    PHASE_REFCOUNT_BLOCKS,
    PHASE_REFCOUNT_TABLE,
    PHASE_HEADER_TAIL,
    PHASE_HEADER_SECTOR,
    PHASE_DONE,
};

/* One L2 table and the first of its data clusters. */
struct table {
    uint64_t l2_cluster;
    uint64_t data_cluster;
};

struct create_plan {
    struct plan base;
    struct qcow2_params params;
    uint32_t blob;
    uint32_t data_blob;
    bool keep_data_file;
    uint64_t size;           /* virtual, bytes */
    uint64_t l1_entries;     /* also the number of L2 tables that cover the disk */
    struct luks_new luks;    /* with params.crypto_bytes */
    uint64_t crypto_cluster; /* of the LUKS header */
    uint64_t l1_cluster;     /* 0 without an L1 table */
    uint64_t rt_cluster;
    uint64_t rt_clusters;
    uint64_t nr_tables; /* L2 tables to write: 0 or l1_entries */
    struct table *tables;
    struct qcow2_bump bump;
    uint64_t first_data_cluster; /* of an ALLOCATE or FILL in the image file */
    uint64_t header_used;
    uint8_t *header; /* one cluster */
    enum phase phase;
    uint64_t index; /* inside the phase */
};

static uint64_t cluster_size(const struct create_plan *p)
{
    return 1ull << p->params.cluster_bits;
}

static uint64_t l2_entries(const struct create_plan *p)
{
    return cluster_size(p) >> p->params.l2_entry_bits;
}

static uint64_t data_clusters(const struct create_plan *p)
{
    return (p->size >> p->params.cluster_bits) + ((p->size & (cluster_size(p) - 1)) != 0);
}

/* Data clusters of the i-th L2 table. */
static uint64_t table_clusters(const struct create_plan *p, uint64_t i)
{
    return min_u64(l2_entries(p), data_clusters(p) - i * l2_entries(p));
}

/* Finest unit that is recorded as data: a subcluster, or a cluster. */
static uint64_t data_unit(const struct create_plan *p)
{
    return p->params.l2_entry_bits == 4 ? cluster_size(p) / QCOW2_SUBCLUSTERS : cluster_size(p);
}

/* One after the last byte of the disk, rounded up to what preallocation covers. */
static uint64_t data_end(const struct create_plan *p)
{
    uint64_t unit = data_unit(p);
    return (p->size + unit - 1) & ~(unit - 1);
}

static bool contiguous(const struct create_plan *p)
{
    return !p->params.has_data_file && p->size > 0 &&
           (p->params.preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC ||
            p->params.preallocation == ABI__PREALLOCATION__PREALLOC_FULL);
}

/* metadata: each L2 table is followed by its data. */
static enum guest_err place_interleaved(struct create_plan *p)
{
    for (uint64_t i = 0; i < p->nr_tables; i++) {
        enum guest_err err = qcow2_bump_take(&p->bump, 1, &p->tables[i].l2_cluster);
        if (!err && !p->params.has_data_file)
            err = qcow2_bump_take(&p->bump, table_clusters(p, i), &p->tables[i].data_cluster);
        if (err)
            return err;
    }
    return GUEST_OK;
}

/*
 * falloc, full: blocks and a new refcount table for everything to come, then the data. The old
 * refcount table is free then, and the first L2 table takes its place.
 */
static enum guest_err place_contiguous(struct create_plan *p)
{
    uint64_t start = qcow2_bump_end(&p->bump);
    uint64_t wanted = data_clusters(p) + p->nr_tables;
    uint64_t old_blocks = p->bump.nr_blocks, blocks = old_blocks, rt = 1;
    for (;;) {
        uint64_t end = start + (blocks - old_blocks) + rt + wanted;
        uint64_t need_blocks = ((end - 1) >> p->bump.block_bits) + 1;
        uint64_t need_rt = div_round_up_u64(need_blocks * 8, cluster_size(p));
        if (need_blocks <= blocks && need_rt <= rt)
            break;
        blocks = max_u64(blocks, need_blocks);
        rt = max_u64(rt, need_rt);
    }
    uint64_t at = start;
    enum guest_err err = GUEST_OK;
    for (uint64_t i = old_blocks; i < blocks && !err; i++)
        err = qcow2_bump_set_block(&p->bump, i, at++);
    uint64_t old_rt = p->rt_cluster, old_rt_clusters = p->rt_clusters;
    p->rt_cluster = at;
    p->rt_clusters = rt;
    at += rt;
    p->first_data_cluster = at;
    if (!err)
        err = qcow2_bump_claim(&p->bump, start, at + data_clusters(p) - start);
    for (uint64_t i = 0; i < old_rt_clusters && !err; i++)
        err = qcow2_bump_release(&p->bump, old_rt + i);
    for (uint64_t i = 0; i < p->nr_tables && !err; i++) {
        p->tables[i].data_cluster = at + i * l2_entries(p);
        err = qcow2_bump_take(&p->bump, 1, &p->tables[i].l2_cluster);
    }
    return err;
}

static enum guest_err place(struct create_plan *p)
{
    unsigned block_bits = p->params.cluster_bits + 3 - p->params.refcount_order;
    qcow2_bump_clear(&p->bump);
    p->rt_cluster = 1;
    enum guest_err err = qcow2_bump_init(&p->bump, block_bits, p->rt_clusters);
    if (!err && p->l1_entries)
        err = qcow2_bump_take(&p->bump, div_round_up_u64(p->l1_entries * 8, cluster_size(p)),
                              &p->l1_cluster);
    if (!err && p->params.crypto_bytes)
        err = qcow2_bump_take(&p->bump, div_round_up_u64(p->params.crypto_bytes, cluster_size(p)),
                              &p->crypto_cluster);
    if (err)
        return err;
    return contiguous(p) ? place_contiguous(p) : place_interleaved(p);
}

/*
 * Chooses where everything lies; a refcount table that turns out too small is made larger and the
 * layout done again.
 */
static enum guest_err lay_out(struct create_plan *p)
{
    p->rt_clusters = 1;
    for (;;) {
        uint64_t tried = p->rt_clusters;
        enum guest_err err = place(p);
        if (err)
            return err;
        uint64_t needed = div_round_up_u64(p->bump.nr_blocks * 8, cluster_size(p));
        if (needed <= p->rt_clusters)
            return GUEST_OK;
        p->rt_clusters = max_u64(needed, tried + 1);
    }
}

/* What the image file is long at the end: cut behind the last byte that matters, as stock's. */
static uint64_t file_end(const struct create_plan *p)
{
    uint64_t last = qcow2_bump_end(&p->bump) - 1;
    uint64_t end = (last + 1) << p->params.cluster_bits;
    uint64_t l1_end = (p->l1_cluster << p->params.cluster_bits) + p->l1_entries * 8;
    if (p->l1_cluster && l1_end > last << p->params.cluster_bits)
        end = l1_end;
    if (p->nr_tables && !p->params.has_data_file && !contiguous(p)) {
        uint64_t i = p->nr_tables - 1;
        if (p->tables[i].data_cluster + table_clusters(p, i) - 1 == last)
            end -= (cluster_size(p) - ((data_end(p) - 1) & (cluster_size(p) - 1))) - 1;
    }
    return end;
}

static enum guest_err encode_header(struct create_plan *p, const Abi__Qcow2CreateOptions *options,
                                    struct guest_err_detail *detail)
{
    p->header = arena_array(1, cluster_size(p));
    if (!p->header)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    struct qcow2_new_header header = {
        .size = p->size,
        .l1_size = (uint32_t)p->l1_entries,
        .l1_table_offset = p->l1_cluster << p->params.cluster_bits,
        .refcount_table_offset = p->rt_cluster << p->params.cluster_bits,
        .refcount_table_clusters = (uint32_t)p->rt_clusters,
        .crypto_offset = p->crypto_cluster << p->params.cluster_bits,
    };
    return qcow2_encode_header(options, &p->params, &header, p->header, &p->header_used, detail);
}

/* ---- yielding ---- */

/* The file's length first, so that everything after it is inside; then room for the data. */
static bool yield_sizes(struct create_plan *p, struct plan_sink *sink)
{
    if (!plan_room(sink, 5, 0))
        return false;
    plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
    bool falloc = p->params.preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC;
    bool full = p->params.preallocation == ABI__PREALLOCATION__PREALLOC_FULL;
    enum cell_op_kind kind = full ? CELL_OP_FILL : CELL_OP_ALLOCATE;
    /* A device may hold anything: what is preallocated must read as zeros there as well. */
    if (p->nr_tables && !contiguous(p) && !p->params.has_data_file)
        plan_simple(sink, CELL_OP_ZERO, p->blob, 0, p->base.file_size, CELL_NOTE_DATA);
    if (contiguous(p))
        plan_simple(sink, kind, p->blob, p->first_data_cluster << p->params.cluster_bits,
                    data_clusters(p) << p->params.cluster_bits, CELL_NOTE_DATA);
    if (p->params.has_data_file && !p->keep_data_file) {
        uint64_t end = p->nr_tables ? data_end(p) : p->size;
        plan_simple(sink, CELL_OP_TRUNCATE, p->data_blob, end, 0, CELL_NOTE_FILE_SIZE);
        if ((falloc || full) && end)
            plan_simple(sink, kind, p->data_blob, 0, end, CELL_NOTE_DATA);
    }
    return true;
}

/* The LUKS header: what of its clusters is not written reads as zeros. */
static bool yield_crypto(struct create_plan *p, struct plan_sink *sink)
{
    uint64_t offset = p->crypto_cluster << p->params.cluster_bits;
    uint64_t clusters = div_round_up_u64(p->params.crypto_bytes, cluster_size(p));

    if (!p->params.crypto_bytes)
        return true;
    if (!plan_room(sink, 1 + LUKS_NEW_OPS, luks_new_bytes(&p->luks)))
        return false;
    plan_simple(sink, CELL_OP_ZERO, p->blob, offset, clusters << p->params.cluster_bits,
                CELL_NOTE_CRYPTO);
    luks_new_yield(&p->luks, sink, p->blob, offset);
    return true;
}

static bool yield_l2_tables(struct create_plan *p, struct plan_sink *sink)
{
    unsigned bits = p->params.cluster_bits;
    unsigned entry = 1u << p->params.l2_entry_bits;
    for (; p->index < p->nr_tables; p->index++) {
        if (!plan_room(sink, 2, 0))
            return false;
        const struct table *t = &p->tables[p->index];
        uint64_t first =
            p->params.has_data_file ? p->index * l2_entries(p) << bits : t->data_cluster << bits;
        uint64_t bytes = table_clusters(p, p->index) * entry;
        uint64_t offset = t->l2_cluster << bits;
        plan_ascend(sink, p->blob, offset, bytes, QCOW2_OFLAG_COPIED | first, cluster_size(p),
                    entry, CELL_NOTE_L2_TABLE);
        if (bytes < cluster_size(p))
            plan_simple(sink, CELL_OP_ZERO, p->blob, offset + bytes, cluster_size(p) - bytes,
                        CELL_NOTE_L2_TABLE);
    }
    return true;
}

/* Writes entries [index, nr) of a table of 8-byte entries, as many as fit. */
static bool yield_entries(struct create_plan *p, struct plan_sink *sink, uint64_t offset,
                          uint64_t nr, enum cell_op_note note,
                          uint64_t (*entry)(struct create_plan *, uint64_t))
{
    while (p->index < nr) {
        uint64_t count = min_u64(nr - p->index, PLAN_CHUNK_BYTES / 8);
        if (!plan_room(sink, 1, count * 8))
            return false;
        uint8_t *at = plan_write(sink, p->blob, offset + p->index * 8, count * 8, note);
        for (uint64_t i = 0; i < count; i++)
            store_be64(at + i * 8, entry(p, p->index + i));
        p->index += count;
    }
    return true;
}

static uint64_t l1_entry(struct create_plan *p, uint64_t i)
{
    return p->nr_tables ? QCOW2_OFLAG_COPIED | p->tables[i].l2_cluster << p->params.cluster_bits
                        : 0;
}

static bool yield_l1_table(struct create_plan *p, struct plan_sink *sink)
{
    uint64_t offset = p->l1_cluster << p->params.cluster_bits;
    if (p->nr_tables)
        return yield_entries(p, sink, offset, p->l1_entries, CELL_NOTE_L1_TABLE, l1_entry);
    if (!plan_room(sink, 1, 0))
        return false;
    if (p->l1_entries)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset, p->l1_entries * 8, CELL_NOTE_L1_TABLE);
    return true;
}

static bool yield_blocks(struct create_plan *p, struct plan_sink *sink)
{
    for (; p->index < p->bump.nr_blocks; p->index++) {
        if (!p->bump.block[p->index])
            continue;
        if (!qcow2_refblock_yield_runs(
                sink, p->blob, p->bump.block[p->index] << p->params.cluster_bits,
                p->params.cluster_bits, p->params.refcount_order, p->index << p->bump.block_bits,
                p->bump.used, p->bump.nr_used))
            return false;
    }
    return true;
}

static uint64_t rt_entry(struct create_plan *p, uint64_t i)
{
    return p->bump.block[i] << p->params.cluster_bits;
}

static bool yield_refcount_table(struct create_plan *p, struct plan_sink *sink)
{
    uint64_t offset = p->rt_cluster << p->params.cluster_bits;
    if (!yield_entries(p, sink, offset, p->bump.nr_blocks, CELL_NOTE_REFCOUNT_TABLE, rt_entry) ||
        !plan_room(sink, 1, 0))
        return false;
    uint64_t used = p->bump.nr_blocks * 8, all = p->rt_clusters << p->params.cluster_bits;
    if (used < all)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset + used, all - used,
                    CELL_NOTE_REFCOUNT_TABLE);
    return true;
}

static bool yield_header_tail(struct create_plan *p, struct plan_sink *sink)
{
    uint64_t used = max_u64(p->header_used, QCOW2_SECTOR_BYTES);
    if (!plan_room(sink, 3, used))
        return false;
    if (used > QCOW2_SECTOR_BYTES) {
        uint64_t len = used - QCOW2_SECTOR_BYTES;
        memcpy(plan_write(sink, p->blob, QCOW2_SECTOR_BYTES, len, CELL_NOTE_HEADER),
               p->header + QCOW2_SECTOR_BYTES, len);
    }
    if (used < cluster_size(p))
        plan_simple(sink, CELL_OP_ZERO, p->blob, used, cluster_size(p) - used, CELL_NOTE_HEADER);
    plan_barrier(sink);
    return true;
}

static bool yield_header_sector(struct create_plan *p, struct plan_sink *sink)
{
    if (!plan_room(sink, 1, QCOW2_SECTOR_BYTES))
        return false;
    memcpy(plan_write(sink, p->blob, 0, QCOW2_SECTOR_BYTES, CELL_NOTE_HEADER), p->header,
           QCOW2_SECTOR_BYTES);
    return true;
}

static enum guest_err create_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    static bool (*const yields[])(struct create_plan *, struct plan_sink *) = {
        [PHASE_SIZES] = yield_sizes,
        [PHASE_CRYPTO] = yield_crypto,
        [PHASE_L2_TABLES] = yield_l2_tables,
        [PHASE_L1_TABLE] = yield_l1_table,
        [PHASE_REFCOUNT_BLOCKS] = yield_blocks,
        [PHASE_REFCOUNT_TABLE] = yield_refcount_table,
        [PHASE_HEADER_TAIL] = yield_header_tail,
        [PHASE_HEADER_SECTOR] = yield_header_sector,
    };
    struct create_plan *p = (struct create_plan *)plan;

    (void)detail;
    while (p->phase != PHASE_DONE && yields[p->phase](p, sink)) {
        p->phase++;
        p->index = 0;
    }
    *out_done = p->phase == PHASE_DONE;
    return GUEST_OK;
}

static void create_free(struct plan *plan)
{
    struct create_plan *p = (struct create_plan *)plan;
    qcow2_bump_clear(&p->bump);
    luks_new_clear(&p->luks);
    free(p->tables);
    free(p->header);
    free(p);
}

static const struct plan_verbs create_verbs = {create_next, create_free};

static enum guest_err prepare(struct create_plan *p, const Abi__CreateRequest *request,
                              struct guest_err_detail *detail)
{
    enum guest_err err = qcow2_create_check(request->qcow2, &p->params, detail);
    if (!err && request->qcow2->luks)
        err = luks_new_init(&p->luks, request->qcow2->luks, detail);
    if (err)
        return err;
    if (!align_up_u64(request->size, QCOW2_SECTOR_BYTES, &p->size) || p->size > INT64_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_SIZE_TOO_LARGE);
    p->l1_entries = qcow2_l1_entries(p->size, &p->params);
    if (p->l1_entries > QCOW2_L1_BYTES_MAX / 8)
        return err_plain(detail, GUEST_ERR_PLAN_SIZE_TOO_LARGE);
    if (p->params.preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        p->nr_tables = p->l1_entries;
    p->tables = arena_array(p->nr_tables, sizeof(*p->tables));
    if (!p->tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = lay_out(p);
    if (err == GUEST_ERR_FILE_TOO_LARGE)
        return err_plain(detail, GUEST_ERR_PLAN_PREALLOC_TOO_LARGE);
    if (err)
        return err_plain(detail, err);
    p->base.file_size = file_end(p);
    return encode_header(p, request->qcow2, detail);
}

enum guest_err qcow2_create_plan(const Abi__CreateRequest *request, struct plan **out,
                                 struct guest_err_detail *detail)
{
    if (!request->qcow2)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    struct create_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &create_verbs;
    p->blob = request->blob;
    p->data_blob = request->data_blob;
    p->keep_data_file = request->qcow2->keep_data_file;
    enum guest_err err = prepare(p, request, detail);
    if (err) {
        create_free(&p->base);
        return err;
    }
    *out = &p->base;
    return GUEST_OK;
}
