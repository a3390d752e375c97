/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bitmaps of a disk that becomes longer. One whose table has too few entries gets a new, longer
 * one; what is behind the old end is clear. The new tables and a directory that names them lie in
 * free clusters, and the header's first sector switches to them together with the size.
 *
 * Bits behind the end of the old disk mean nothing, but would mean something then: a cluster of
 * bits that has some is replaced as well.
 * source: what stock 7.2 to 11.1 leave behind; see tests/diff/cases/resize.cases.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_bits.h"
#include "guest/formats/qcow2_resize_plan.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define HEADER_RT_AT        48u
#define HEADER_SIZE_AT      24u
#define HEADER_L1_SIZE_AT   36u
#define HEADER_L1_OFFSET_AT 40u

/* Table entries that a disk of so many bytes needs: one for each cluster of bits. */
static uint64_t entries_of(const struct resize_plan *p, uint64_t disk_bytes, unsigned granularity)
{
    uint64_t bits = qcow2_bits_of(disk_bytes, granularity);

    return div_round_up_u64(div_round_up_u64(bits, 8), p->q->cluster_size);
}

static uint64_t clusters_of(const struct resize_plan *p, uint64_t bytes)
{
    return div_round_up_u64(bytes, p->q->cluster_size);
}

enum guest_err qcow2_resize_check_bitmaps(const struct resize_plan *p,
                                          struct guest_err_detail *detail)
{
    for (uint32_t i = 0; i < p->q->nr_bitmaps; i++) {
        const struct qcow2_bitmap *b = &p->q->bitmaps[i];
        uint64_t bits = qcow2_bits_of(p->new_size, b->granularity_bits);

        if (b->flags & QCOW2_BITMAP_IN_USE)
            return err_text(detail, (enum guest_err)GUEST_ERR_PLAN_BITMAP_IN_USE, b->name, 0);
        if (div_round_up_u64(bits, 8) > QCOW2_BITMAP_PHYSICAL_MAX)
            return err_text(detail, (enum guest_err)GUEST_ERR_PLAN_RESIZE_BITMAPS, b->name, 0);
    }
    return GUEST_OK;
}

/* ---- which bitmaps change ---- */

/* Clears the bits from `nr` on; whether one was set. */
static bool clear_from(uint8_t *bytes, uint64_t len, uint64_t nr)
{
    bool set = false;

    for (uint64_t i = nr / 8; i < len; i++) {
        uint8_t keep = i == nr / 8 ? (uint8_t)((1u << nr % 8) - 1) : 0;

        set = set || (bytes[i] & ~keep);
        bytes[i] &= keep;
    }
    return set;
}

/* The old last cluster of bits, as it is or as it shall be; *out_stray: bits were set behind it. */
static enum guest_err load_tail(const struct resize_plan *p, const struct rbitmap *r, uint8_t *out,
                                bool *out_stray, struct guest_err_detail *detail)
{
    uint64_t size = p->q->cluster_size, start = (r->old_entries - 1) * size;
    struct qcow2_bits bits;
    bool zero = false;
    enum guest_err err = qcow2_bits_open(&bits, p->q, &p->q->bitmaps[r->index], detail);

    if (!err)
        err = qcow2_bits_read(&bits, start, size, out, &zero, detail);
    if (!err && zero)
        memset(out, 0, size);
    if (!err)
        *out_stray = clear_from(out, size, bits.nr_bits - start * 8);
    qcow2_bits_clear(&bits);
    return err;
}

static enum guest_err consider(struct resize_plan *p, uint32_t index, uint8_t *scratch,
                               struct guest_err_detail *detail)
{
    const struct qcow2_bitmap *b = &p->q->bitmaps[index];
    uint64_t old_bits = qcow2_bits_of(qcow2_virtual_size(p->q), b->granularity_bits);
    struct rbitmap r = {.index = index, .old_entries = b->table_size};
    enum guest_err err;

    r.new_entries = entries_of(p, p->new_size, b->granularity_bits);
    if (old_bits == 0 || old_bits == qcow2_bits_of(p->new_size, b->granularity_bits))
        return GUEST_OK;
    err = load_tail(p, &r, scratch, &r.tail, detail);
    if (!err && (r.tail || r.new_entries > r.old_entries))
        p->bitmaps[p->nr_bitmaps++] = r;
    return err;
}

enum guest_err qcow2_resize_find_bitmaps(struct resize_plan *p, struct guest_err_detail *detail)
{
    uint8_t *scratch;
    enum guest_err err = GUEST_OK;

    if (p->q->nr_bitmaps == 0)
        return GUEST_OK;
    scratch = arena_bytes(p->q->cluster_size);
    p->bitmaps = arena_array(p->q->nr_bitmaps, sizeof(*p->bitmaps));
    if (!scratch || !p->bitmaps)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; !err && i < p->q->nr_bitmaps; i++)
        err = consider(p, i, scratch, detail);
    free(scratch);
    return err;
}

/* ---- places ---- */

enum guest_err qcow2_resize_place_bitmaps(struct resize_plan *p)
{
    uint64_t directory = clusters_of(p, p->q->ext.bitmap_directory_size);
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && i < p->nr_bitmaps; i++) {
        struct rbitmap *r = &p->bitmaps[i];

        err = qcow2_bump_take(&p->bump, clusters_of(p, r->new_entries * 8), &r->table_cluster);
        if (!err && r->tail)
            err = qcow2_bump_take(&p->bump, 1, &r->tail_cluster);
    }
    if (!err && p->nr_bitmaps)
        err = qcow2_bump_take(&p->bump, directory, &p->directory_cluster);
    return err;
}

/* What a table lists is given back only where nothing else in use could be meant. */
static enum guest_err give_back(struct resize_plan *p, uint64_t offset, uint64_t nr,
                                struct guest_err_detail *detail)
{
    uint64_t first = offset >> rbits(p), count;
    enum guest_err err = GUEST_OK;

    for (uint64_t c = first; !err && c < first + nr; c++) {
        err = qcow2_alloc_refcount(&p->alloc, c, &count, detail);
        if (!err && count && !qcow2_alloc_is_metadata(&p->alloc, c))
            err = qcow2_alloc_give_back(&p->alloc, c, 1, detail);
    }
    return err;
}

static enum guest_err free_bitmap(struct resize_plan *p, const struct rbitmap *r,
                                  struct guest_err_detail *detail)
{
    const struct qcow2_bitmap *b = &p->q->bitmaps[r->index];
    uint64_t *table, tail;
    enum guest_err err = qcow2_read_bitmap_table(p->q, b, &table, detail);

    if (err)
        return err;
    tail = table[r->old_entries - 1] & QCOW2_OFFSET_MASK;
    free(table);
    if (r->tail && tail)
        err = give_back(p, tail, 1, detail);
    return err ? err : give_back(p, b->table_offset, clusters_of(p, r->old_entries * 8), detail);
}

enum guest_err qcow2_resize_free_bitmaps(struct resize_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    for (uint32_t i = 0; !err && i < p->nr_bitmaps; i++)
        err = free_bitmap(p, &p->bitmaps[i], detail);
    if (!err && p->nr_bitmaps)
        err = qcow2_alloc_give_back(&p->alloc, p->q->ext.bitmap_directory_offset >> rbits(p),
                                    clusters_of(p, p->q->ext.bitmap_directory_size), detail);
    return err;
}

/* ---- the header ---- */

/* The old directory, but for the tables that move. */
static enum guest_err make_directory(struct resize_plan *p, struct guest_err_detail *detail)
{
    uint32_t next = 0;
    uint8_t *at;

    p->directory_bytes = clusters_of(p, p->q->ext.bitmap_directory_size) << rbits(p);
    at = p->directory = arena_array(1, p->directory_bytes);
    if (!at)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < p->q->nr_bitmaps; i++) {
        struct qcow2_bitmap b = p->q->bitmaps[i];

        if (next < p->nr_bitmaps && p->bitmaps[next].index == i) {
            b.table_offset = p->bitmaps[next].table_cluster << rbits(p);
            b.table_size = (uint32_t)p->bitmaps[next++].new_entries;
        }
        at = qcow2_store_bitmap_entry(at, &b);
    }
    return GUEST_OK;
}

enum guest_err qcow2_resize_edit_header(struct resize_plan *p, struct guest_err_detail *detail)
{
    struct header_edit *e = &p->edit;
    enum guest_err err;

    if (!p->nr_bitmaps)
        return GUEST_OK;
    err = make_directory(p, detail);
    if (!err)
        err = header_edit_init(e, p->q, detail);
    if (err)
        return err;
    store_be64(&e->fields[HEADER_SIZE_AT], p->new_size);
    store_be32(&e->fields[HEADER_L1_SIZE_AT], (uint32_t)p->l1_entries);
    if (p->l1_moves)
        store_be64(&e->fields[HEADER_L1_OFFSET_AT], p->l1_cluster << rbits(p));
    if (p->rt_clusters) {
        store_be64(&e->fields[HEADER_RT_AT], p->rt_cluster << rbits(p));
        store_be32(&e->fields[HEADER_RT_AT + 8], (uint32_t)p->rt_clusters);
    }
    store_be32(p->extension, p->q->nr_bitmaps);
    store_be64(&p->extension[8], p->q->ext.bitmap_directory_size);
    store_be64(&p->extension[16], p->directory_cluster << rbits(p));
    err =
        header_edit_set(e, QCOW2_EXT_BITMAPS, span_of(p->extension, sizeof(p->extension)), detail);
    return err ? err : header_edit_compose(e, detail);
}

/* ---- what is written ---- */

/* The next piece of the new table of p->bitmaps[p->at_bitmap]; it fills its clusters. */
static bool yield_table(struct resize_plan *p, struct plan_sink *sink)
{
    const struct rbitmap *r = &p->bitmaps[p->at_bitmap];
    uint64_t bytes = clusters_of(p, r->new_entries * 8) << rbits(p);
    uint64_t offset = r->table_cluster << rbits(p);

    while (p->index < r->old_entries) {
        uint64_t nr = min_u64(r->old_entries - p->index, PLAN_CHUNK_BYTES / 8);
        uint8_t *at;

        if (!plan_room(sink, 2, nr * 8))
            return false;
        at = plan_write(sink, p->blob, offset + p->index * 8, nr * 8, CELL_NOTE_BITMAP);
        for (uint64_t i = 0; i < nr; i++, p->index++)
            store_be64(&at[i * 8], p->bitmap_table[p->index]);
    }
    if (!plan_room(sink, 1, 0))
        return false;
    if (bytes > r->old_entries * 8)
        plan_simple(sink, CELL_OP_ZERO, p->blob, offset + r->old_entries * 8,
                    bytes - r->old_entries * 8, CELL_NOTE_BITMAP);
    return true;
}

/* Loads the table of the next bitmap, and writes the end of its bits where they are replaced. */
static enum guest_err begin_bitmap(struct resize_plan *p, struct plan_sink *sink,
                                   struct guest_err_detail *detail)
{
    const struct rbitmap *r = &p->bitmaps[p->at_bitmap];
    uint64_t size = p->q->cluster_size;
    enum guest_err err =
        qcow2_read_bitmap_table(p->q, &p->q->bitmaps[r->index], &p->bitmap_table, detail);
    bool stray;

    if (err || !r->tail)
        return err;
    p->bitmap_table[r->old_entries - 1] = r->tail_cluster << rbits(p);
    return load_tail(p, r,
                     plan_write(sink, p->blob, r->tail_cluster << rbits(p), size, CELL_NOTE_BITMAP),
                     &stray, detail);
}

static bool yield_directory(struct resize_plan *p, struct plan_sink *sink)
{
    while (p->index < p->directory_bytes) {
        uint64_t len = min_u64(p->directory_bytes - p->index, PLAN_CHUNK_BYTES);

        if (!plan_room(sink, 1, len))
            return false;
        memcpy(plan_write(sink, p->blob, (p->directory_cluster << rbits(p)) + p->index, len,
                          CELL_NOTE_BITMAP),
               &p->directory[p->index], len);
        p->index += len;
    }
    return true;
}

bool qcow2_resize_yield_bitmaps(struct resize_plan *p, struct plan_sink *sink)
{
    struct guest_err_detail detail;

    for (; p->at_bitmap < p->nr_bitmaps; p->at_bitmap++, p->index = 0) {
        if (!p->bitmap_table && !plan_room(sink, 1, p->q->cluster_size))
            return false;
        if (!p->bitmap_table)
            p->failure = begin_bitmap(p, sink, &detail);
        if (p->failure || !yield_table(p, sink))
            return p->failure;
        free(p->bitmap_table);
        p->bitmap_table = NULL;
    }
    return yield_directory(p, sink);
}

void qcow2_resize_clear_bitmaps(struct resize_plan *p)
{
    header_edit_clear(&p->edit);
    free(p->bitmaps);
    free(p->bitmap_table);
    free(p->directory);
}
