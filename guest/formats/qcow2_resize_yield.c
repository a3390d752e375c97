/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a larger qcow2 image, stage by stage: after each the image is the old one or the new one.
 *
 *   1 file size, room for data, the new tables: all where nothing refers to
 *   2 refcounts, in new blocks and in old ones
 *   3 refcount table entries, or the header's place of a new table
 *   4 entries behind the old end of the disk, in tables that stay
 *   5 the header: size, and place and size of the L1 table, in one sector; with it the directory
 *     of the bitmaps, if that changes
 *   6 refcounts of the tables that were replaced
 */
#include "guest/formats/qcow2_resize_plan.h"

#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"

#define HEADER_SIZE_OFFSET      24u /* size, crypt_method, l1_size, l1_table_offset */
#define HEADER_SIZE_BYTES       24u
#define HEADER_RT_OFFSET        48u
#define HEADER_AUTOCLEAR_OFFSET 88u
#define HEADER_RT_BYTES         12u
#define ALL_BITS                0xffffffffull

struct value {
    uint64_t entry, bitmap;
};

static bool has_data(const struct resize_plan *p, const struct rtable *t)
{
    return t->nr && (p->fill == FILL_DATA || p->fill == FILL_DATA_ZERO);
}

/* Host offset of the data of a table's first filled entry. */
static uint64_t data_offset(const struct resize_plan *p, const struct rtable *t)
{
    if (p->q->has_data_file)
        return (t->l1_index * p->q->l2_entries + t->first) << rbits(p);
    return t->data_cluster << rbits(p);
}

/* With subclusters, data that must not show the backing file is marked as there. */
static uint64_t data_bitmap(const struct resize_plan *p)
{
    if (!p->q->extended_l2)
        return 0;
    if (p->fill == FILL_DATA_ZERO)
        return ALL_BITS << 32;
    return p->node->backing && p->node->backing->virtual_size > p->old_size ? ALL_BITS : 0;
}

static struct value fill_value(const struct resize_plan *p, const struct rtable *t, uint32_t i)
{
    uint64_t zero_flag = p->q->extended_l2 ? 0 : QCOW2_OFLAG_ZERO;
    if (p->fill == FILL_ZERO)
        return (struct value){zero_flag, p->q->extended_l2 ? ALL_BITS << 32 : 0};
    uint64_t offset = data_offset(p, t) + ((uint64_t)(i - t->first) << rbits(p));
    return (struct value){QCOW2_OFLAG_COPIED | offset | (p->fill == FILL_DATA_ZERO ? zero_flag : 0),
                          data_bitmap(p)};
}

static void store_value(const struct resize_plan *p, uint8_t *table, uint32_t i, struct value value)
{
    uint8_t *at = &table[(uint64_t)i * p->q->l2_entry_bytes];
    store_be64(at, value.entry);
    if (p->q->extended_l2)
        store_be64(at + 8, value.bitmap);
}

/* ---- stage 1 ---- */

/* Features that nobody here knows, and that do not survive a change they do not know of. */
static bool yield_autoclear(struct resize_plan *p, struct plan_sink *sink)
{
    uint64_t known = QCOW2_AUTOCLEAR_KNOWN;
    if (!(p->q->header.autoclear_features & ~known))
        return true;
    if (!plan_room(sink, 2, 8))
        return false;
    store_be64(plan_write(sink, p->blob, HEADER_AUTOCLEAR_OFFSET, 8, CELL_NOTE_HEADER),
               p->q->header.autoclear_features & known);
    plan_barrier(sink);
    return true;
}

/* The end of a data file: of what has clusters, a cluster's. */
static uint64_t data_file_end(const struct resize_plan *p)
{
    bool whole = p->fill == FILL_DATA || p->fill == FILL_DATA_ZERO;
    uint64_t rest = p->new_size % p->q->cluster_size;

    return p->new_size + (whole && rest ? p->q->cluster_size - rest : 0);
}

static bool yield_room(struct resize_plan *p, struct plan_sink *sink)
{
    uint64_t file = p->q->source->size_bytes;
    if (!plan_room(sink, 4, 0))
        return false;
    if (p->index == 0) {
        if (p->base.file_size > file)
            plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
        if (p->q->has_data_file && p->node->data_file->source->size_bytes < data_file_end(p))
            plan_simple(sink, CELL_OP_TRUNCATE, p->data_blob, data_file_end(p), 0,
                        CELL_NOTE_FILE_SIZE);
        if (p->head_zero_len)
            plan_simple(sink, CELL_OP_ZERO, p->q->has_data_file ? p->data_blob : p->blob,
                        p->head_zero_offset, p->head_zero_len, CELL_NOTE_DATA);
        p->index = 1;
    }
    bool full = p->preallocation == ABI__PREALLOCATION__PREALLOC_FULL;
    bool falloc = p->preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC;
    for (; p->index <= p->nr_tables; p->index++) {
        const struct rtable *t = &p->tables[p->index - 1];
        uint64_t offset = data_offset(p, t), len = (uint64_t)t->nr << rbits(p);
        uint32_t blob = p->q->has_data_file ? p->data_blob : p->blob;
        if (!has_data(p, t))
            continue;
        if (!plan_room(sink, 1, 0))
            return false;
        if (p->q->has_data_file)
            len = min_u64(len, data_file_end(p) - offset);
        if (full || falloc)
            plan_simple(sink, full ? CELL_OP_FILL : CELL_OP_ALLOCATE, blob, offset, len,
                        CELL_NOTE_DATA);
        /* What an old file or a device has there must not come to light. */
        else if (!p->q->has_data_file && offset < file)
            plan_simple(sink, CELL_OP_ZERO, blob, offset, len, CELL_NOTE_DATA);
    }
    return true;
}

/* The new contents of the cut cluster, as they are stored. */
static void encrypt_head(struct resize_plan *p, uint64_t offset)
{
    struct sector_cipher *cipher = sector_cipher_new(p->node->cipher);
    uint64_t start = p->old_size & ~(p->q->cluster_size - 1);

    if (!cipher) {
        p->failure = GUEST_ERR_NO_MEMORY;
        return;
    }
    sector_cipher_encrypt(cipher, p->node->cipher_by_place ? offset : start, p->head,
                          p->q->cluster_size);
    sector_cipher_free(cipher);
}

static bool yield_head(struct resize_plan *p, struct plan_sink *sink)
{
    if (!p->head)
        return true;
    uint64_t len = p->q->cluster_size, offset = p->head_cluster << rbits(p);
    if (p->q->has_data_file)
        len = min_u64(len, p->new_size - offset);
    if (!plan_room(sink, 1, len))
        return false;
    if (p->node->cipher)
        encrypt_head(p, offset);
    memcpy(
        plan_write(sink, p->q->has_data_file ? p->data_blob : p->blob, offset, len, CELL_NOTE_DATA),
        p->head, len);
    return true;
}

/* Contents of the table that covers the old end, or of any that is not a simple range. */
static void compose(const struct resize_plan *p, const struct rtable *t, uint8_t *out)
{
    bool edge = p->edge && t == p->tables;
    if (edge)
        memcpy(out, p->edge_bytes, p->q->cluster_size);
    else
        memset(out, 0, p->q->cluster_size);
    if (p->head && t == p->tables) {
        uint32_t i = (uint32_t)((p->old_size >> rbits(p)) % p->q->l2_entries);
        store_value(p, out, i,
                    (struct value){QCOW2_OFLAG_COPIED | p->head_cluster << rbits(p),
                                   p->q->extended_l2 ? ALL_BITS : 0});
    }
    for (uint32_t i = t->first; i < t->first + t->nr; i++)
        store_value(p, out, i, fill_value(p, t, i));
}

/* A new table that is one range of entries between zeros. */
static bool yield_range_table(struct resize_plan *p, struct plan_sink *sink, const struct rtable *t)
{
    uint64_t offset = t->l2_cluster << rbits(p), entry = p->q->l2_entry_bytes;
    uint64_t from = t->first * entry, len = t->nr * entry;
    if (!plan_room(sink, 2, 0))
        return false;
    if (len < p->q->cluster_size)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset, p->q->cluster_size, CELL_NOTE_L2_TABLE);
    if (p->fill == FILL_ZERO) {
        uint8_t unit[16];
        store_value(p, unit, 0, fill_value(p, t, t->first));
        plan_pattern(sink, p->blob, offset + from, len, unit, (unsigned)entry, CELL_NOTE_L2_TABLE);
    } else {
        plan_ascend(sink, p->blob, offset + from, len, fill_value(p, t, t->first).entry,
                    p->q->cluster_size, (unsigned)entry, CELL_NOTE_L2_TABLE);
    }
    return true;
}

static bool yield_tables(struct resize_plan *p, struct plan_sink *sink)
{
    for (; p->index < p->nr_tables; p->index++) {
        const struct rtable *t = &p->tables[p->index];
        bool first = p->index == 0;
        if (first && p->edge && p->edge_in_place)
            continue;
        bool range =
            !(first && (p->edge || p->head)) && (p->fill == FILL_ZERO || data_bitmap(p) == 0);
        if (range) {
            if (!yield_range_table(p, sink, t))
                return false;
            continue;
        }
        if (!plan_room(sink, 1, p->q->cluster_size))
            return false;
        compose(p, t,
                plan_write(sink, p->blob, t->l2_cluster << rbits(p), p->q->cluster_size,
                           CELL_NOTE_L2_TABLE));
    }
    return true;
}

static uint64_t l1_entry(const struct resize_plan *p, uint64_t i)
{
    if (p->nr_tables && i >= p->tables[0].l1_index && i - p->tables[0].l1_index < p->nr_tables)
        return QCOW2_OFLAG_COPIED | p->tables[i - p->tables[0].l1_index].l2_cluster << rbits(p);
    return i < p->q->l1_size ? p->q->l1[i] : 0;
}

/* Entries [*at, end) of a table of 8-byte entries. */
static bool yield_entries(struct resize_plan *p, struct plan_sink *sink, uint64_t table,
                          uint64_t *at, uint64_t end, enum cell_op_note note,
                          uint64_t (*entry)(const struct resize_plan *, uint64_t))
{
    while (*at < end) {
        uint64_t nr = min_u64(end - *at, PLAN_CHUNK_BYTES / 8);
        if (!plan_room(sink, 1, nr * 8))
            return false;
        uint8_t *bytes = plan_write(sink, p->blob, table + *at * 8, nr * 8, note);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(bytes + i * 8, entry(p, *at + i));
        *at += nr;
    }
    return true;
}

/* The old entries, zeros, and among them those of the new tables. */
static bool yield_new_l1(struct resize_plan *p, struct plan_sink *sink)
{
    uint64_t offset = p->l1_cluster << rbits(p), old = p->q->header.l1_size;
    if (!p->l1_moves)
        return true;
    if (!plan_room(sink, 1, 0))
        return false;
    if (p->index == 0 && p->l1_entries > old)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset + old * 8, (p->l1_entries - old) * 8,
                    CELL_NOTE_L1_TABLE);
    if (!yield_entries(p, sink, offset, &p->index, old, CELL_NOTE_L1_TABLE, l1_entry))
        return false;
    if (p->nr_tables == 0)
        return true;
    p->index = max_u64(p->index, max_u64(old, p->tables[0].l1_index));
    return yield_entries(p, sink, offset, &p->index, p->tables[0].l1_index + p->nr_tables,
                         CELL_NOTE_L1_TABLE, l1_entry);
}

/* ---- stage 2 ---- */

static bool is_old_block(const struct resize_plan *p, uint64_t i)
{
    return i < p->alloc.table_entries && p->alloc.table[i] != 0;
}

static bool yield_new_blocks(struct resize_plan *p, struct plan_sink *sink)
{
    for (; p->index < p->bump.nr_blocks; p->index++) {
        if (is_old_block(p, p->index) || !p->bump.block[p->index])
            continue;
        if (!qcow2_refblock_yield_runs(sink, p->blob, p->bump.block[p->index] << rbits(p), rbits(p),
                                       p->alloc.order, p->index << p->bump.block_bits, p->bump.used,
                                       p->bump.nr_used))
            return false;
    }
    return true;
}

static uint64_t rt_entry(const struct resize_plan *p, uint64_t i)
{
    return i < p->bump.nr_blocks ? p->bump.block[i] << rbits(p) : 0;
}

static bool yield_new_rt(struct resize_plan *p, struct plan_sink *sink)
{
    uint64_t offset = p->rt_cluster << rbits(p), used = p->bump.nr_blocks * 8;
    uint64_t all = p->rt_clusters << rbits(p);
    if (!p->rt_clusters)
        return true;
    if (!yield_entries(p, sink, offset, &p->index, p->bump.nr_blocks, CELL_NOTE_REFCOUNT_TABLE,
                       rt_entry) ||
        !plan_room(sink, 1, 0))
        return false;
    if (used < all)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset + used, all - used,
                    CELL_NOTE_REFCOUNT_TABLE);
    return true;
}

static bool yield_old_blocks(struct resize_plan *p, struct plan_sink *sink)
{
    return qcow2_alloc_yield(&p->alloc, sink);
}

static bool yield_barrier(struct resize_plan *p, struct plan_sink *sink)
{
    (void)p;
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

/* ---- stage 3 ---- */

/* From the first new block to the last; what lies between stays what it is. */
static bool yield_rt_switch(struct resize_plan *p, struct plan_sink *sink)
{
    if (p->rt_clusters) {
        if (!plan_room(sink, 1, HEADER_RT_BYTES))
            return false;
        uint8_t *at =
            plan_write(sink, p->blob, HEADER_RT_OFFSET, HEADER_RT_BYTES, CELL_NOTE_HEADER);
        store_be64(at, p->rt_cluster << rbits(p));
        store_be32(at + 8, (uint32_t)p->rt_clusters);
        return true;
    }
    uint64_t first = p->index;
    while (first < p->bump.nr_blocks && (is_old_block(p, first) || !p->bump.block[first]))
        first++;
    p->index = first;
    return yield_entries(p, sink, p->alloc.table_offset, &p->index, p->bump.nr_blocks,
                         CELL_NOTE_REFCOUNT_TABLE, rt_entry);
}

/* ---- stage 4 ---- */

static bool yield_edge(struct resize_plan *p, struct plan_sink *sink)
{
    if (!p->nr_tables || !p->edge || !p->edge_in_place)
        return true;
    const struct rtable *t = &p->tables[0];
    uint8_t *whole = arena_bytes(p->q->cluster_size);
    uint32_t per_sector = QCOW2_SECTOR_BYTES / p->q->l2_entry_bytes;
    uint32_t from = t->nr ? t->first : p->q->l2_entries, to = t->nr ? t->first + t->nr : 0;
    if (p->head) {
        uint32_t i = (uint32_t)((p->old_size >> rbits(p)) % p->q->l2_entries);
        from = (uint32_t)min_u64(from, i);
        to = (uint32_t)max_u64(to, i + 1);
    }
    from = from / per_sector * per_sector;
    to = (uint32_t)min_u64(div_round_up_u64(to, per_sector) * per_sector, p->q->l2_entries);
    uint64_t offset = (uint64_t)from * p->q->l2_entry_bytes;
    uint64_t len = (uint64_t)(to - from) * p->q->l2_entry_bytes;
    bool room = plan_room(sink, 1, len);
    if (room && whole) {
        compose(p, t, whole);
        memcpy(plan_write(sink, p->blob, (t->l2_cluster << rbits(p)) + offset, len,
                          CELL_NOTE_L2_TABLE),
               whole + offset, len);
    }
    if (!whole)
        p->failure = GUEST_ERR_NO_MEMORY;
    free(whole);
    return room;
}

/* In a table that stays: the entries of new tables, and those that the table had no use for. */
static bool yield_old_l1(struct resize_plan *p, struct plan_sink *sink)
{
    if (p->l1_moves)
        return true;
    uint64_t first = p->q->header.l1_size;
    if (p->nr_tables)
        first = min_u64(first, p->tables[0].l1_index);
    p->index = max_u64(p->index, first);
    return yield_entries(p, sink, p->q->header.l1_table_offset, &p->index, p->l1_entries,
                         CELL_NOTE_L1_TABLE, l1_entry);
}

/* ---- stage 5 ---- */

static bool yield_header(struct resize_plan *p, struct plan_sink *sink)
{
    if (p->nr_bitmaps)
        return header_edit_yield(&p->edit, sink, p->blob);
    if (!plan_room(sink, 2, HEADER_SIZE_BYTES))
        return false;
    uint8_t *at =
        plan_write(sink, p->blob, HEADER_SIZE_OFFSET, HEADER_SIZE_BYTES, CELL_NOTE_HEADER);
    store_be64(at, p->new_size);
    store_be32(at + 8, p->q->header.crypt_method);
    store_be32(at + 12, (uint32_t)p->l1_entries);
    store_be64(at + 16, p->l1_moves ? p->l1_cluster << rbits(p) : p->q->header.l1_table_offset);
    plan_barrier(sink);
    return true;
}

static bool (*const phases[])(struct resize_plan *, struct plan_sink *) = {
    yield_autoclear,  yield_room,    yield_head,       qcow2_resize_yield_bitmaps,
    yield_tables,     yield_new_l1,  yield_new_blocks, yield_new_rt,
    yield_old_blocks, yield_barrier, yield_rt_switch,  yield_barrier,
    yield_edge,       yield_old_l1,  yield_barrier,    yield_header,
    yield_old_blocks,
};
#define NR_PHASES   (sizeof(phases) / sizeof(phases[0]))
#define PHASE_FREED (NR_PHASES - 1) /* the second yield_old_blocks */

static enum guest_err resize_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct resize_plan *p = (struct resize_plan *)plan;
    while (p->phase < NR_PHASES && phases[p->phase](p, sink)) {
        if (p->failure)
            return err_plain(detail, p->failure);
        p->phase++;
        p->index = 0;
        if (p->phase == PHASE_FREED) {
            enum guest_err err = qcow2_alloc_settle(&p->alloc, detail);
            if (err)
                return err;
        }
    }
    *out_done = p->phase == NR_PHASES;
    return GUEST_OK;
}

static void resize_free(struct plan *plan)
{
    struct resize_plan *p = (struct resize_plan *)plan;
    qcow2_alloc_clear(&p->alloc);
    qcow2_bump_clear(&p->bump);
    free(p->tables);
    free(p->edge_bytes);
    free(p->head);
    qcow2_resize_clear_bitmaps(p);
    free(p);
}

const struct plan_verbs resize_verbs = {resize_next, resize_free};
