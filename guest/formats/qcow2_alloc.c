/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_alloc.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_refblock.h"
#include "guest/lib/arena.h"

#define TABLE_ENTRIES_MAX (QCOW2_REFTABLE_BYTES_MAX / 8)

static enum guest_err corrupt(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
}

static unsigned cluster_bits(const struct qcow2_alloc *a)
{
    return a->q->header.cluster_bits;
}

/* ---- what must never be taken ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Counts the clusters of a table; fills them in when `out` is not NULL. */
static uint64_t add_table(uint64_t *out, uint64_t nr, uint64_t offset, uint64_t bytes,
                          unsigned bits)
{
    if (bytes == 0)
        return nr;
    for (uint64_t c = offset >> bits; c <= (offset + bytes - 1) >> bits; c++, nr++) {
        if (out)
            out[nr] = c;
    }
    return nr;
}

static uint64_t add_entries(uint64_t *out, uint64_t nr, const uint64_t *entries, uint64_t count,
                            uint64_t mask, unsigned bits)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!(entries[i] & mask))
            continue;
        if (out)
            out[nr] = (entries[i] & mask) >> bits;
        nr++;
    }
    return nr;
}

static uint64_t list_metadata(const struct qcow2_alloc *a, uint64_t *out)
{
    const struct qcow2 *q = a->q;
    unsigned bits = cluster_bits(a);
    uint64_t nr = add_table(out, 0, 0, q->cluster_size, bits);
    nr = add_table(out, nr, q->header.l1_table_offset, (uint64_t)q->header.l1_size * 8, bits);
    nr = add_table(out, nr, a->table_offset, a->table_clusters << bits, bits);
    if (q->header.nb_snapshots)
        nr = add_table(out, nr, q->header.snapshots_offset, 1, bits);
    if (q->ext.has_bitmaps)
        nr = add_table(out, nr, q->ext.bitmap_directory_offset, q->ext.bitmap_directory_size, bits);
    nr = add_entries(out, nr, a->table, a->table_entries, QCOW2_REFTABLE_MASK, bits);
    return add_entries(out, nr, q->l1, q->l1_size, QCOW2_OFFSET_MASK, bits);
}

static enum guest_err find_metadata(struct qcow2_alloc *a, struct guest_err_detail *detail)
{
    a->nr_metadata = list_metadata(a, NULL);
    a->metadata = arena_array(a->nr_metadata, sizeof(*a->metadata));
    if (!a->metadata)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    list_metadata(a, a->metadata);
    qsort(a->metadata, a->nr_metadata, sizeof(*a->metadata), by_value);
    return GUEST_OK;
}

bool qcow2_alloc_is_metadata(const struct qcow2_alloc *a, uint64_t cluster)
{
    uint64_t low = 0, high = a->nr_metadata;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (a->metadata[mid] < cluster)
            low = mid + 1;
        else
            high = mid;
    }
    return low < a->nr_metadata && a->metadata[low] == cluster;
}

/* ---- the table ---- */

/* Blocks lie in the file, each on a cluster of its own. */
static enum guest_err check_table(const struct qcow2_alloc *a, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < a->table_entries; i++) {
        uint64_t at = a->table_offset + i * 8, offset = a->table[i];
        if (offset && (offset % a->q->cluster_size != 0 || offset >= a->q->source->size_bytes))
            return corrupt(detail, at);
    }
    return GUEST_OK;
}

static void drop_block(struct qcow2_alloc *a, uint64_t index)
{
    struct qcow2_refblock *block = a->blocks[index];
    if (!block)
        return;
    free(block->bytes);
    free(block);
    a->blocks[index] = NULL;
    a->nr_loaded--;
}

void qcow2_alloc_clear(struct qcow2_alloc *a)
{
    for (uint64_t i = 0; a->blocks && i < a->table_entries; i++)
        drop_block(a, i);
    free(a->blocks);
    free(a->table);
    free(a->metadata);
    free(a->freed);
    *a = (struct qcow2_alloc){0};
}

/* ---- blocks ---- */

static bool has_block(const struct qcow2_alloc *a, uint64_t index)
{
    return index < a->table_entries && a->table[index] != 0;
}

static enum guest_err new_block(struct qcow2_alloc *a, uint64_t index, struct qcow2_refblock **out,
                                struct guest_err_detail *detail)
{
    struct qcow2_refblock *block = calloc(1, sizeof(*block));
    uint8_t *bytes = arena_array(1, a->q->cluster_size);
    if (!block || !bytes) {
        free(block);
        free(bytes);
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    block->bytes = bytes;
    a->blocks[index] = block;
    a->nr_loaded++;
    *out = block;
    return GUEST_OK;
}

/* The block of an index that has one, read when it is not at hand. */
static enum guest_err load_block(struct qcow2_alloc *a, uint64_t index, struct qcow2_refblock **out,
                                 struct guest_err_detail *detail)
{
    struct qcow2_refblock *block = a->blocks[index];
    if (!block) {
        enum guest_err err = new_block(a, index, &block, detail);
        if (!err)
            err = source_read_padded(a->q->source, a->table[index], a->q->cluster_size,
                                     block->bytes, detail); /* NOLINT: new_block made it */
        if (err) {
            drop_block(a, index);
            return err;
        }
    }
    *out = block;
    return GUEST_OK;
}

static bool block_is_dirty(const struct qcow2_refblock *block)
{
    return block->is_new || block->dirty_from != block->dirty_to;
}

static uint64_t in_block(const struct qcow2_alloc *a, uint64_t cluster)
{
    return cluster & ((1ull << a->block_bits) - 1);
}

static uint64_t load(const struct qcow2_alloc *a, const struct qcow2_refblock *block,
                     uint64_t cluster)
{
    return qcow2_refcount_get(span_of(block->bytes, a->q->cluster_size), in_block(a, cluster),
                              a->order);
}

static void store(struct qcow2_alloc *a, struct qcow2_refblock *block, uint64_t cluster,
                  uint64_t value)
{
    uint32_t byte = (uint32_t)((in_block(a, cluster) << a->order) / 8);
    uint32_t end = byte + max_u64(1, (1u << a->order) / 8);
    if (block->dirty_from == block->dirty_to) {
        a->nr_dirty += !block->is_new;
        block->dirty_from = byte;
        block->dirty_to = end;
    }
    block->dirty_from = (uint32_t)min_u64(block->dirty_from, byte);
    block->dirty_to = (uint32_t)max_u64(block->dirty_to, end);
    qcow2_refblock_store(block->bytes, in_block(a, cluster), a->order, value);
    if (value)
        a->end = max_u64(a->end, cluster + 1);
}

enum guest_err qcow2_alloc_refcount(struct qcow2_alloc *a, uint64_t cluster, uint64_t *out,
                                    struct guest_err_detail *detail)
{
    struct qcow2_refblock *block;
    *out = 0;
    if (!has_block(a, cluster >> a->block_bits))
        return GUEST_OK;
    enum guest_err err = load_block(a, cluster >> a->block_bits, &block, detail);
    if (!err)
        *out = load(a, block, cluster);
    return err;
}

/*
 * Finds the last cluster in use inside the file, whose length says nothing on a device.
 *
 * bound:   the blocks that count clusters of the file
 */
static enum guest_err find_end(struct qcow2_alloc *a, struct guest_err_detail *detail)
{
    uint64_t clusters = div_round_up_u64(a->q->source->size_bytes, a->q->cluster_size);
    uint64_t cluster = min_u64(clusters, a->table_entries << a->block_bits);
    while (cluster > 0) {
        uint64_t count = 0;
        if (!has_block(a, (cluster - 1) >> a->block_bits)) {
            cluster = (cluster - 1) & ~((1ull << a->block_bits) - 1);
            continue;
        }
        enum guest_err err = qcow2_alloc_refcount(a, cluster - 1, &count, detail);
        if (err)
            return err;
        if (count)
            break;
        cluster--;
        if (in_block(a, cluster) == 0)
            qcow2_alloc_shrink(a, 0);
    }
    a->end = cluster;
    return GUEST_OK;
}

enum guest_err qcow2_alloc_init(struct qcow2_alloc *a, struct qcow2 *q,
                                struct guest_err_detail *detail)
{
    *a = (struct qcow2_alloc){
        .q = q,
        .blob = q->source->blob,
        .order = q->header.refcount_order,
        .block_bits = q->header.cluster_bits + 3 - q->header.refcount_order,
        .table_offset = q->header.refcount_table_offset,
        .table_clusters = q->header.refcount_table_clusters,
    };
    enum guest_err err = qcow2_read_reftable(q, &a->table, &a->table_entries, detail);
    if (!err)
        err = check_table(a, detail);
    if (!err)
        err = find_metadata(a, detail);
    if (err)
        return err;
    a->blocks = arena_array(a->table_entries, sizeof(*a->blocks));
    a->max_table = a->max_blocks = a->table_entries;
    return a->blocks ? find_end(a, detail) : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

/* ---- searching ---- */

/*
 * The first run of free clusters at or after a->next, at most `wanted` and at least `least` long;
 * a->next moves behind it.
 */
static enum guest_err search(struct qcow2_alloc *a, uint64_t least, uint64_t wanted,
                             uint64_t *out_cluster, uint64_t *out_nr,
                             struct guest_err_detail *detail)
{
    uint64_t at = a->next, nr = 0;
    while (nr < wanted) {
        uint64_t cluster = at + nr, count = 0;
        if (!has_block(a, cluster >> a->block_bits)) {
            /* No block: nothing here is in use. */
            uint64_t left = (1ull << a->block_bits) - in_block(a, cluster);
            if (cluster >= a->end) {
                nr = wanted;
                break;
            }
            nr += min_u64(left, wanted - nr);
            continue;
        }
        enum guest_err err = qcow2_alloc_refcount(a, cluster, &count, detail);
        if (err)
            return err;
        if (count == 0) {
            nr++;
        } else if (nr >= least) {
            break;
        } else {
            at = cluster + 1;
            nr = 0;
        }
    }
    uint64_t last = a->nr_metadata ? a->metadata[a->nr_metadata - 1] : 0;
    for (uint64_t c = at; c < at + nr && c <= last; c++) {
        if (qcow2_alloc_is_metadata(a, c))
            return corrupt(detail, c << cluster_bits(a));
    }
    a->next = at + nr;
    *out_cluster = at;
    *out_nr = nr;
    return GUEST_OK;
}

/* ---- growing ---- */

/*
 * Makes room for `index` in the table: in memory at once, on disk at a new place. Half as much
 * again, so that it seldom happens, and so that the blocks that count the new table fit as well.
 */
static enum guest_err grow_table(struct qcow2_alloc *a, uint64_t index,
                                 struct guest_err_detail *detail)
{
    uint64_t per_cluster = a->q->cluster_size / 8;
    uint64_t wanted = index + 1 + index / 2 + 16;
    uint64_t clusters = div_round_up_u64(wanted, per_cluster), at;
    if (clusters * per_cluster > TABLE_ENTRIES_MAX) {
        clusters = TABLE_ENTRIES_MAX / per_cluster;
        if (index + 16 >= clusters * per_cluster || clusters <= a->table_clusters)
            return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
    }
    uint64_t old_clusters = a->table_clusters, old_offset = a->table_offset;
    if (!arena_grow((void **)&a->table, &a->max_table, clusters * per_cluster, sizeof(*a->table)) ||
        !arena_grow((void **)&a->blocks, &a->max_blocks, clusters * per_cluster,
                    sizeof(*a->blocks)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    a->table_entries = clusters * per_cluster;
    enum guest_err err = qcow2_alloc_take_all(a, clusters, &at, detail);
    if (err)
        return err;
    a->table_clusters = clusters;
    a->table_offset = at << cluster_bits(a);
    a->table_moved = true;
    return qcow2_alloc_give_back(a, old_offset >> cluster_bits(a), old_clusters, detail);
}

static void note_entry(struct qcow2_alloc *a, uint64_t index)
{
    if (a->dirty_from == a->dirty_to) {
        a->dirty_from = index;
        a->dirty_to = index + 1;
    } else {
        a->dirty_from = min_u64(a->dirty_from, index);
        a->dirty_to = max_u64(a->dirty_to, index + 1);
    }
}

/* Makes the block of `index` in `cluster`. */
static enum guest_err put_block(struct qcow2_alloc *a, uint64_t index, uint64_t cluster,
                                struct guest_err_detail *detail)
{
    struct qcow2_refblock *block;
    enum guest_err err = new_block(a, index, &block, detail);
    if (err)
        return err;
    a->table[index] = cluster << cluster_bits(a);
    note_entry(a, index);
    block->is_new = true; /* NOLINT: new_block made it */
    a->nr_dirty++;
    a->end = max_u64(a->end, cluster + 1);
    return GUEST_OK;
}

/*
 * Makes sure that a block counts `cluster`.
 *
 * bound:   a free cluster that no block counts becomes its own block, so that each turn adds one
 */
static enum guest_err need_block(struct qcow2_alloc *a, uint64_t cluster,
                                 struct guest_err_detail *detail)
{
    uint64_t index = cluster >> a->block_bits;
    while (!has_block(a, index)) {
        uint64_t at, nr;
        if (index >= a->table_entries) {
            enum guest_err err = grow_table(a, index, detail);
            if (err)
                return err;
            continue;
        }
        enum guest_err err = search(a, 1, 1, &at, &nr, detail);
        if (err)
            return err;
        uint64_t counted_by = at >> a->block_bits;
        struct qcow2_refblock *block;
        if (counted_by >= a->table_entries) {
            a->next = at;
            err = grow_table(a, counted_by, detail);
            if (err)
                return err;
            continue;
        }
        err = put_block(a, has_block(a, counted_by) ? index : counted_by, at, detail);
        if (!err)
            err = load_block(a, counted_by, &block, detail);
        if (err)
            return err;
        store(a, block, at, 1);
    }
    return GUEST_OK;
}

/* ---- taking and giving ---- */

/* The block that counts a cluster, made if there is none. */
static enum guest_err block_for(struct qcow2_alloc *a, uint64_t cluster,
                                struct qcow2_refblock **out, struct guest_err_detail *detail)
{
    enum guest_err err = need_block(a, cluster, detail);
    return err ? err : load_block(a, cluster >> a->block_bits, out, detail);
}

enum guest_err qcow2_alloc_raise(struct qcow2_alloc *a, uint64_t cluster, uint64_t nr,
                                 struct guest_err_detail *detail)
{
    for (uint64_t c = cluster; c < cluster + nr; c++) {
        struct qcow2_refblock *block;
        enum guest_err err = block_for(a, c, &block, detail);
        if (err)
            return err;
        uint64_t count = load(a, block, c);
        if (count == qcow2_refcount_max(a->order))
            return err_numbers(detail, GUEST_ERR_PLAN_REFCOUNT_FULL, c << cluster_bits(a), 0, 0, 0);
        store(a, block, c, count + 1);
    }
    return GUEST_OK;
}

enum guest_err qcow2_alloc_count_new(struct qcow2_alloc *a, uint64_t cluster, uint64_t nr,
                                     struct guest_err_detail *detail)
{
    for (uint64_t c = cluster; c < cluster + nr; c++) {
        struct qcow2_refblock *block;
        enum guest_err err = block_for(a, c, &block, detail);
        if (err)
            return err;
        store(a, block, c, 1);
    }
    return GUEST_OK;
}

/* Finds room that blocks count; nothing is in use there yet, but for what comes before a->next. */
static enum guest_err reserve(struct qcow2_alloc *a, uint64_t least, uint64_t wanted,
                              uint64_t *out_cluster, uint64_t *out_nr,
                              struct guest_err_detail *detail)
{
    for (;;) {
        enum guest_err err = search(a, least, wanted, out_cluster, out_nr, detail);
        if (err)
            return err;
        /* Blocks that are missing take free clusters themselves: then look again. */
        uint64_t at = *out_cluster, end = at + *out_nr, mask = (1ull << a->block_bits) - 1;
        bool complete = true;
        a->next = least == wanted ? at : a->next;
        for (uint64_t c = at; c < end; c = (c | mask) + 1) {
            if (has_block(a, c >> a->block_bits))
                continue;
            complete = false;
            err = need_block(a, c, detail);
            if (err)
                return err;
        }
        a->next = complete ? end : at;
        if (complete)
            return GUEST_OK;
    }
}

static bool is_counted(const struct qcow2_alloc *a, uint64_t cluster, uint64_t nr)
{
    uint64_t last = (cluster + nr - 1) >> a->block_bits;
    for (uint64_t index = cluster >> a->block_bits; index <= last; index++) {
        if (!has_block(a, index))
            return false;
    }
    return true;
}

enum guest_err qcow2_alloc_reserve(struct qcow2_alloc *a, uint64_t wanted, uint64_t ahead,
                                   uint64_t *out_cluster, struct guest_err_detail *detail)
{
    uint64_t nr = is_counted(a, a->next, wanted) ? wanted : max_u64(wanted, ahead);
    enum guest_err err = reserve(a, nr, nr, out_cluster, &nr, detail);
    if (!err)
        a->next = *out_cluster + wanted;
    return err;
}

static enum guest_err take(struct qcow2_alloc *a, uint64_t least, uint64_t wanted,
                           uint64_t *out_cluster, uint64_t *out_nr, struct guest_err_detail *detail)
{
    enum guest_err err = reserve(a, least, wanted, out_cluster, out_nr, detail);
    return err ? err : qcow2_alloc_raise(a, *out_cluster, *out_nr, detail);
}

enum guest_err qcow2_alloc_take(struct qcow2_alloc *a, uint64_t wanted, uint64_t *out_cluster,
                                uint64_t *out_nr, struct guest_err_detail *detail)
{
    return take(a, 1, wanted, out_cluster, out_nr, detail);
}

enum guest_err qcow2_alloc_take_all(struct qcow2_alloc *a, uint64_t wanted, uint64_t *out_cluster,
                                    struct guest_err_detail *detail)
{
    uint64_t nr;
    return take(a, wanted, wanted, out_cluster, &nr, detail);
}

enum guest_err qcow2_alloc_give_back(struct qcow2_alloc *a, uint64_t cluster, uint64_t nr,
                                     struct guest_err_detail *detail)
{
    if (a->nr_freed && a->freed[a->nr_freed - 1].end == cluster) {
        a->freed[a->nr_freed - 1].end += nr;
        return GUEST_OK;
    }
    if (!arena_grow((void **)&a->freed, &a->max_freed, a->nr_freed + 1, sizeof(*a->freed)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    a->freed[a->nr_freed++] = (struct qcow2_run){cluster, cluster + nr};
    return GUEST_OK;
}

enum guest_err qcow2_alloc_settle(struct qcow2_alloc *a, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < a->nr_freed; i++) {
        for (uint64_t c = a->freed[i].start; c < a->freed[i].end; c++) {
            struct qcow2_refblock *block;
            uint64_t index = c >> a->block_bits;
            if (!has_block(a, index))
                return corrupt(detail, c << cluster_bits(a));
            enum guest_err err = load_block(a, index, &block, detail);
            if (err)
                return err;
            uint64_t count = load(a, block, c);
            if (count == 0)
                return corrupt(detail, c << cluster_bits(a));
            store(a, block, c, count - 1);
            if (count == 1 && !a->only_forward)
                a->next = min_u64(a->next, c);
        }
    }
    a->nr_freed = 0;
    return GUEST_OK;
}

/* ---- memory ---- */

uint64_t qcow2_alloc_loaded_bytes(const struct qcow2_alloc *a)
{
    return a->nr_loaded * a->q->cluster_size;
}

bool qcow2_alloc_dirty(const struct qcow2_alloc *a)
{
    return a->nr_dirty || a->dirty_from != a->dirty_to || a->table_moved;
}

void qcow2_alloc_shrink(struct qcow2_alloc *a, uint64_t max_bytes)
{
    if (qcow2_alloc_loaded_bytes(a) <= max_bytes)
        return;
    for (uint64_t i = 0; i < a->table_entries; i++) {
        if (a->blocks[i] && !block_is_dirty(a->blocks[i]))
            drop_block(a, i);
    }
}

/* ---- recording ---- */

enum { YIELD_BLOCKS, YIELD_TABLE, YIELD_HEADER, YIELD_DONE };

static bool yield_block(struct qcow2_alloc *a, struct plan_sink *sink, uint64_t index)
{
    struct qcow2_refblock *block = a->blocks[index];
    uint64_t from = block->dirty_from & ~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
    uint64_t to = div_round_up_u64(block->dirty_to, QCOW2_SECTOR_BYTES) * QCOW2_SECTOR_BYTES;
    if (!plan_room(sink, 2, to - from))
        return false;
    if (block->is_new)
        plan_simple(sink, CELL_OP_ZERO, a->blob, a->table[index], a->q->cluster_size,
                    CELL_NOTE_REFCOUNT_BLOCK);
    if (to > from)
        memcpy(
            plan_write(sink, a->blob, a->table[index] + from, to - from, CELL_NOTE_REFCOUNT_BLOCK),
            block->bytes + from, to - from);
    block->is_new = false;
    block->dirty_from = block->dirty_to = 0;
    a->nr_dirty--;
    return true;
}

static bool yield_blocks(struct qcow2_alloc *a, struct plan_sink *sink)
{
    if (a->nr_dirty == 0 && a->index == 0)
        return true;
    for (; a->index < a->table_entries && a->nr_dirty; a->index++) {
        struct qcow2_refblock *block = a->blocks[a->index];
        if (block && block_is_dirty(block) && !yield_block(a, sink, a->index))
            return false;
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

static bool yield_table(struct qcow2_alloc *a, struct plan_sink *sink)
{
    if (a->table_moved && a->index == 0) {
        a->dirty_from = 0;
        a->dirty_to = a->table_entries;
        a->index = 1;
    }
    if (a->dirty_from == a->dirty_to && !a->table_moved)
        return true;
    while (a->dirty_from < a->dirty_to) {
        uint64_t nr = min_u64(a->dirty_to - a->dirty_from, PLAN_CHUNK_BYTES / 8);
        if (!plan_room(sink, 1, nr * 8))
            return false;
        uint8_t *at = plan_write(sink, a->blob, a->table_offset + a->dirty_from * 8, nr * 8,
                                 CELL_NOTE_REFCOUNT_TABLE);
        for (uint64_t i = 0; i < nr; i++)
            store_be64(at + i * 8, a->table[a->dirty_from + i]);
        a->dirty_from += nr;
    }
    if (!plan_room(sink, 1, 0))
        return false;
    plan_barrier(sink);
    return true;
}

/* Offset and length of the table are neighbours in one sector: they change as one. */
static bool yield_header(struct qcow2_alloc *a, struct plan_sink *sink)
{
    if (!a->table_moved)
        return true;
    if (!plan_room(sink, 2, 12))
        return false;
    uint8_t *at = plan_write(sink, a->blob, 48, 12, CELL_NOTE_HEADER);
    store_be64(at, a->table_offset);
    store_be32(at + 8, (uint32_t)a->table_clusters);
    plan_barrier(sink);
    a->table_moved = false;
    a->q->header.refcount_table_offset = a->table_offset;
    a->q->header.refcount_table_clusters = (uint32_t)a->table_clusters;
    return true;
}

bool qcow2_alloc_yield(struct qcow2_alloc *a, struct plan_sink *sink)
{
    static bool (*const yields[])(struct qcow2_alloc *, struct plan_sink *) = {
        [YIELD_BLOCKS] = yield_blocks, [YIELD_TABLE] = yield_table, [YIELD_HEADER] = yield_header};
    for (; a->phase != YIELD_DONE; a->phase++, a->index = 0) {
        if (!yields[a->phase](a, sink))
            return false;
    }
    a->phase = YIELD_BLOCKS;
    a->dirty_from = a->dirty_to = 0;
    return true;
}
