/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places for what is written, the directory's new bytes, and what is given back.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_bitmap_plan.h"
#include "guest/lib/arena.h"

#define BLOCKS_AT_HAND_BYTES (16ull << 20)

static uint64_t clusters_of(const struct bitmap_plan *p, uint64_t bytes)
{
    return div_round_up_u64(bytes, p->q->cluster_size);
}

/*
 * Gives a cluster back if it really is the bitmap's: of one that counts as free, or that holds
 * metadata in use, nothing is touched.
 */
static enum guest_err give_back(struct bitmap_plan *p, uint64_t offset, uint64_t nr,
                                struct guest_err_detail *detail)
{
    uint64_t first = offset >> p->q->header.cluster_bits;
    enum guest_err err = GUEST_OK;
    for (uint64_t c = first; c < first + nr && !err; c++) {
        uint64_t count;
        err = qcow2_alloc_refcount(&p->alloc, c, &count, detail);
        if (!err && count && !qcow2_alloc_is_metadata(&p->alloc, c))
            err = qcow2_alloc_give_back(&p->alloc, c, 1, detail);
    }
    return err;
}

/* ---- bits ---- */

enum guest_err bitmap_compose(struct bitmap_plan *p, const struct bitmap_state *s, uint64_t index,
                              struct guest_err_detail *detail)
{
    uint64_t bytes = p->q->cluster_size;
    enum guest_err err = GUEST_OK;
    memset(p->cluster, 0, bytes);
    for (unsigned i = 0; i < s->nr_inputs && !err; i++)
        err = qcow2_bits_merge(&s->inputs[i], s->granularity_bits,
                               qcow2_bits_of(p->disk_bytes, s->granularity_bits), index * bytes * 8,
                               p->cluster, bytes, p->scratch, detail);
    return err;
}

static bool is_zero(const uint8_t *bytes, uint64_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, &bytes[1], len - 1) == 0);
}

/* Whether the bits in p->cluster are what the old table's entry already refers to. */
static enum guest_err is_stored(struct bitmap_plan *p, const struct qcow2_bits *old, uint64_t index,
                                bool *out, struct guest_err_detail *detail)
{
    uint64_t bytes = p->q->cluster_size;
    bool zero = false;
    *out = false;
    if (index >= old->table_size || !(old->table[index] & QCOW2_OFFSET_MASK))
        return GUEST_OK;
    enum guest_err err = qcow2_bits_read(old, index * bytes, bytes, p->old_cluster, &zero, detail);
    *out = !err && memcmp(p->cluster, p->old_cluster, bytes) == 0;
    return err;
}

static enum guest_err place_entry(struct bitmap_plan *p, struct bitmap_state *s,
                                  const struct qcow2_bits *old, uint64_t index,
                                  struct guest_err_detail *detail)
{
    bool stored = false;
    uint64_t cluster;
    enum guest_err err = bitmap_compose(p, s, index, detail);
    if (err || is_zero(p->cluster, p->q->cluster_size))
        return err;
    err = is_stored(p, old, index, &stored, detail);
    if (err)
        return err;
    if (stored) {
        s->table[index] = old->table[index];
        return GUEST_OK;
    }
    err = qcow2_alloc_take_all(&p->alloc, 1, &cluster, detail);
    if (err)
        return err;
    s->table[index] = cluster << p->q->header.cluster_bits;
    s->write[index] = 1;
    return GUEST_OK;
}

/* What the old table refers to and the new one does not. */
static enum guest_err free_old(struct bitmap_plan *p, const struct bitmap_state *s,
                               const struct qcow2_bits *old, struct guest_err_detail *detail)
{
    const struct qcow2_bitmap *b = &p->q->bitmaps[s->old];
    enum guest_err err = GUEST_OK;
    for (uint64_t i = 0; i < old->table_size && !err; i++) {
        uint64_t offset = old->table[i] & QCOW2_OFFSET_MASK;
        bool kept = i < s->nr_entries && s->table && s->table[i] == old->table[i];
        if (offset && !kept && qcow2_bitmap_entry_ok(p->q, old->table[i]))
            err = give_back(p, offset, 1, detail);
        qcow2_alloc_shrink(&p->alloc, BLOCKS_AT_HAND_BYTES);
    }
    if (!err)
        err = give_back(p, b->table_offset, clusters_of(p, (uint64_t)b->table_size * 8), detail);
    return err;
}

static enum guest_err place_bits(struct bitmap_plan *p, struct bitmap_state *s,
                                 const struct qcow2_bits *old, struct guest_err_detail *detail)
{
    uint64_t bits = qcow2_bits_of(p->disk_bytes, s->granularity_bits);
    enum guest_err err = GUEST_OK;
    s->nr_entries = clusters_of(p, div_round_up_u64(bits, 8));
    s->table = arena_array(s->nr_entries, sizeof(*s->table));
    s->write = arena_array(s->nr_entries, 1);
    if (!s->table || !s->write)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < s->nr_entries && s->nr_inputs && !err; i++) {
        err = place_entry(p, s, old, i, detail);
        qcow2_alloc_shrink(&p->alloc, BLOCKS_AT_HAND_BYTES);
    }
    if (!err)
        err = qcow2_alloc_take_all(&p->alloc, clusters_of(p, s->nr_entries * 8), &s->table_cluster,
                                   detail);
    return err;
}

/* A table that is full of nonsense is no reason to keep a bitmap that shall go. */
static enum guest_err place_state(struct bitmap_plan *p, struct bitmap_state *s,
                                  struct guest_err_detail *detail)
{
    struct qcow2_bits old = {.q = p->q};
    enum guest_err err = GUEST_OK;
    if (s->old != BITMAP_NONE) {
        err = qcow2_read_bitmap_table(p->q, &p->q->bitmaps[s->old], &old.table, detail);
        old.table_size = err ? 0 : p->q->bitmaps[s->old].table_size;
    }
    if (!err && !s->gone)
        err = place_bits(p, s, &old, detail);
    if (!err && s->old != BITMAP_NONE)
        err = free_old(p, s, &old, detail);
    qcow2_bits_clear(&old);
    return err;
}

/* ---- the directory ---- */

static uint8_t *store_entry(const struct bitmap_plan *p, const struct bitmap_state *s, uint8_t *at)
{
    struct qcow2_bitmap b = {0};

    if (!s->changed)
        b = p->q->bitmaps[s->old];
    if (s->changed)
        b.table_offset = s->table_cluster << p->q->header.cluster_bits;
    if (s->changed)
        b.table_size = (uint32_t)s->nr_entries;
    b.flags = s->flags;
    b.granularity_bits = (uint8_t)s->granularity_bits;
    b.name = s->name;
    return qcow2_store_bitmap_entry(at, &b);
}

/* Old ones in their order; in front of those that were added, those that were added later. */
static enum guest_err make_directory(struct bitmap_plan *p, struct guest_err_detail *detail)
{
    p->directory_bytes = p->live_bytes;
    p->directory = arena_array(1, clusters_of(p, p->live_bytes) * p->q->cluster_size);
    if (!p->directory)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    uint8_t *at = p->directory;
    for (uint32_t i = 0; i < p->nr_old; i++) {
        if (!p->state[i].gone)
            at = store_entry(p, &p->state[i], at);
    }
    for (uint32_t i = p->nr_states; i-- > p->nr_old;) {
        if (!p->state[i].gone)
            at = store_entry(p, &p->state[i], at);
    }
    return qcow2_alloc_take_all(&p->alloc, clusters_of(p, p->directory_bytes),
                                &p->directory_cluster, detail);
}

static enum guest_err edit_header(struct bitmap_plan *p, struct guest_err_detail *detail)
{
    uint64_t autoclear = load_be64(&p->edit.fields[88]);
    if (p->nr_live == 0) {
        header_edit_drop(&p->edit, QCOW2_EXT_BITMAPS);
        if (p->q->header.version >= 3)
            store_be64(&p->edit.fields[88], autoclear & ~QCOW2_AUTOCLEAR_BITMAPS);
        return header_edit_compose(&p->edit, detail);
    }
    store_be32(p->extension, p->nr_live);
    store_be32(&p->extension[4], 0);
    store_be64(&p->extension[8], p->directory_bytes);
    store_be64(&p->extension[16], p->directory_cluster << p->q->header.cluster_bits);
    store_be64(&p->edit.fields[88], autoclear | QCOW2_AUTOCLEAR_BITMAPS);
    enum guest_err err = header_edit_set(&p->edit, QCOW2_EXT_BITMAPS,
                                         span_of(p->extension, sizeof(p->extension)), detail);
    return err ? err : header_edit_compose(&p->edit, detail);
}

static enum guest_err give_directory_back(struct bitmap_plan *p, struct guest_err_detail *detail)
{
    if (!p->q->ext.has_bitmaps)
        return GUEST_OK;
    return qcow2_alloc_give_back(&p->alloc,
                                 p->q->ext.bitmap_directory_offset >> p->q->header.cluster_bits,
                                 clusters_of(p, p->q->ext.bitmap_directory_size), detail);
}

enum guest_err bitmap_place(struct bitmap_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = header_edit_init(&p->edit, p->q, detail);
    /* What somebody without bitmaps has left behind goes whenever the image is changed. */
    if (!err && !p->directory_changes && !p->q->ext.bitmaps_stale)
        return GUEST_OK;
    if (!err && !p->directory_changes)
        return edit_header(p, detail);
    if (!err)
        err = qcow2_alloc_init(&p->alloc, p->q, detail);
    p->cluster = arena_array(1, p->q->cluster_size);
    p->old_cluster = arena_array(1, p->q->cluster_size);
    p->scratch = arena_array(1, QCOW2_BITS_SCRATCH);
    if (!err && (!p->cluster || !p->old_cluster || !p->scratch))
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < p->nr_states && !err; i++) {
        if (p->state[i].changed)
            err = place_state(p, &p->state[i], detail);
    }
    if (!err && p->nr_live)
        err = make_directory(p, detail);
    if (!err)
        err = give_directory_back(p, detail);
    return err ? err : edit_header(p, detail);
}
