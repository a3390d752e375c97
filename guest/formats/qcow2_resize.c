/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding how a qcow2 image grows; how one shrinks is in qcow2_shrink.c. Everything new lies
 * behind the clusters in use, laid out as in a new image (qcow2_bump): the L1 table if it has to
 * move, the refcount table if it is too small, longer tables of bitmaps (qcow2_resize_bitmaps.c),
 * then L2 tables and data.
 *
 * Room that an encrypted disk gets in advance is not encrypted, as in stock: what is read from
 * there before it is written has no meaning.
 * source: behaviour observed with stock 7.2; see tests/unit/test_plan_resize.c.
 */
#include "guest/formats/qcow2_resize_plan.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_shrink.h"
#include "guest/lib/arena.h"
#include "guest/plan/chain_read.h"

static uint64_t clusters_of(const struct resize_plan *p, uint64_t bytes)
{
    return (bytes >> rbits(p)) + ((bytes & (p->q->cluster_size - 1)) != 0);
}

/* ---- may it be done ---- */

static enum guest_err check(const struct resize_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    if (p->q->has_data_file && !p->node->data_file)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST); /* it was not linked */
    if (p->new_size % QCOW2_SECTOR_BYTES != 0)
        return err_plain(detail, GUEST_ERR_PLAN_SIZE_UNALIGNED);
    if (h->nb_snapshots && h->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_V2_SNAPSHOTS);
    if (p->new_size > INT64_MAX || p->new_size - 1 >= QCOW2_L1_BYTES_MAX / 8 << p->q->l1_shift)
        return err_plain(detail, GUEST_ERR_PLAN_L1_TOO_LARGE);
    if (h->incompatible_features & QCOW2_INCOMPAT_DIRTY)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    if (h->crypt_method != QCOW2_CRYPT_NONE && !p->node->cipher)
        return err_plain(detail, GUEST_ERR_PLAN_ENCRYPTED);
    return qcow2_resize_check_bitmaps(p, detail);
}

/* ---- the new area ---- */

/* Whether the backing file reaches into the new area. */
static bool backing_shows(const struct resize_plan *p)
{
    return p->node->backing && p->node->backing->virtual_size > p->old_size;
}

static enum guest_err choose_fill(struct resize_plan *p, struct guest_err_detail *detail)
{
    bool shows = backing_shows(p);
    p->fill_from = clusters_of(p, p->old_size);
    p->fill_to = clusters_of(p, p->new_size);
    switch (p->preallocation) {
    case ABI__PREALLOCATION__PREALLOC_OFF:
        p->fill = shows ? FILL_ZERO : FILL_NONE;
        if (shows && p->q->header.version < 3 && p->fill_from < p->fill_to)
            return err_plain(detail, GUEST_ERR_PLAN_ZERO_V2);
        /* Behind the backing file's end nothing shows through. */
        if (shows)
            p->fill_to = min_u64(p->fill_to, clusters_of(p, p->node->backing->virtual_size));
        break;
    case ABI__PREALLOCATION__PREALLOC_METADATA:
        p->fill = shows && p->q->header.version >= 3 ? FILL_DATA_ZERO : FILL_DATA;
        break;
    case ABI__PREALLOCATION__PREALLOC_FALLOC:
    case ABI__PREALLOCATION__PREALLOC_FULL:
        p->fill = FILL_DATA;
        break;
    default:
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
    if (p->fill == FILL_NONE || p->fill_from >= p->fill_to) {
        p->fill = FILL_NONE;
        p->fill_from = p->fill_to;
    }
    return GUEST_OK;
}

/* ---- the table that covers the old end ---- */

static struct source *image_source(const struct resize_plan *p)
{
    return p->q->source;
}

static uint64_t entry_at(const struct resize_plan *p, uint32_t index)
{
    return load_be64(&p->edge_bytes[(uint64_t)index * p->q->l2_entry_bytes]);
}

/* Reads the table of a virtual cluster if there is one; whether it may be written in place. */
static enum guest_err load_edge(struct resize_plan *p, uint64_t cluster,
                                struct guest_err_detail *detail)
{
    uint64_t l1_index = cluster / p->q->l2_entries, count;
    uint64_t entry = l1_index < p->q->l1_size ? p->q->l1[l1_index] : 0;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    if (offset == 0)
        return GUEST_OK;
    if (offset % p->q->cluster_size != 0 || offset >= image_source(p)->size_bytes)
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    p->edge_bytes = arena_bytes(p->q->cluster_size);
    if (!p->edge_bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    enum guest_err err =
        source_read_padded(image_source(p), offset, p->q->cluster_size, p->edge_bytes, detail);
    if (!err)
        err = qcow2_alloc_refcount(&p->alloc, offset >> rbits(p), &count, detail);
    if (err)
        return err;
    if (count == 0)
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    p->edge = true;
    p->edge_l1 = l1_index;
    p->edge_in_place = count == 1 && (entry & QCOW2_OFLAG_COPIED);
    return GUEST_OK;
}

/* Nothing may be in use where the fill goes (a machine's saved state might be). */
static enum guest_err check_unused(const struct resize_plan *p, struct guest_err_detail *detail)
{
    uint64_t first_l1 = p->fill_from / p->q->l2_entries;
    uint64_t end_l1 = min_u64(p->q->l1_size, (p->fill_to - 1) / p->q->l2_entries + 1);
    for (uint64_t i = first_l1; i < end_l1; i++) {
        if (p->q->l1[i] & QCOW2_OFFSET_MASK && !(p->edge && p->edge_l1 == i))
            return err_numbers(detail, GUEST_ERR_PLAN_RESIZE_OCCUPIED,
                               p->q->header.l1_table_offset + i * 8, 0, 0, 0);
    }
    if (!p->edge || p->edge_l1 != first_l1)
        return GUEST_OK;
    uint64_t last = min_u64(p->fill_to - first_l1 * p->q->l2_entries, p->q->l2_entries);
    for (uint64_t i = p->fill_from % p->q->l2_entries; i < last; i++) {
        if (entry_at(p, (uint32_t)i))
            return err_numbers(detail, GUEST_ERR_PLAN_RESIZE_OCCUPIED,
                               (p->q->l1[first_l1] & QCOW2_OFFSET_MASK) + i * p->q->l2_entry_bytes,
                               0, 0, 0);
    }
    return GUEST_OK;
}

/* ---- the cluster that the old end cuts ---- */

/* Whether the cluster's own bytes can be cleared where they are. */
static enum guest_err owned_cluster(struct resize_plan *p, uint64_t entry, bool *out,
                                    struct guest_err_detail *detail)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, count = 0;
    *out = false;
    if (p->node->cipher)
        return GUEST_OK; /* zeros are not zeros there */
    *out = p->q->has_data_file && entry & QCOW2_OFLAG_COPIED && !p->q->extended_l2;
    if (p->q->has_data_file || entry & QCOW2_OFLAG_COMPRESSED || offset == 0 || p->q->extended_l2 ||
        !(entry & QCOW2_OFLAG_COPIED) || !p->edge_in_place)
        return GUEST_OK;
    if (offset % p->q->cluster_size != 0 || qcow2_alloc_is_metadata(&p->alloc, offset >> rbits(p)))
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT, offset, 0, 0, 0);
    enum guest_err err = qcow2_alloc_refcount(&p->alloc, offset >> rbits(p), &count, detail);
    *out = !err && count == 1;
    return err;
}

/*
 * Behind a longer backing file, the rest of the old last cluster would show what the backing file
 * has there. It is cleared in place, or the cluster gets a copy of its own.
 */
static enum guest_err plan_head(struct resize_plan *p, struct guest_err_detail *detail)
{
    uint64_t in = p->old_size & (p->q->cluster_size - 1);
    if (in == 0 || !backing_shows(p))
        return GUEST_OK;
    uint64_t cluster = p->old_size >> rbits(p), start = cluster << rbits(p);
    uint64_t entry = p->edge ? entry_at(p, (uint32_t)(cluster % p->q->l2_entries)) : 0;
    bool owned;
    if (!p->q->extended_l2 && !(entry & QCOW2_OFLAG_COMPRESSED) && entry & QCOW2_OFLAG_ZERO)
        return GUEST_OK;
    enum guest_err err = owned_cluster(p, entry, &owned, detail);
    if (err)
        return err;
    if (owned) {
        p->head_zero_offset = (entry & QCOW2_OFFSET_MASK) + in;
        p->head_zero_len = p->q->cluster_size - in;
        return GUEST_OK;
    }
    p->head = arena_array(1, p->q->cluster_size);
    if (!p->head)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = chain_read(p->node, start, in, p->head, detail);
    if (err || !entry || p->q->has_data_file)
        return err;
    uint64_t first = (entry & QCOW2_OFFSET_MASK) >> rbits(p), nr = 1;
    if (entry & QCOW2_OFLAG_COMPRESSED) {
        uint64_t offset, bytes;
        qcow2_compressed_range(p->q, entry, &offset, &bytes);
        first = offset >> rbits(p);
        nr = ((offset + bytes - 1) >> rbits(p)) - first + 1;
    }
    return first ? qcow2_alloc_give_back(&p->alloc, first, nr, detail) : GUEST_OK;
}

/* ---- layout ---- */

/* The old last cluster is filled as well when nothing is there and nothing shows through. */
static void include_cut_cluster(struct resize_plan *p)
{
    uint64_t cluster = p->old_size >> rbits(p);
    bool cut = (p->old_size & (p->q->cluster_size - 1)) != 0;
    bool empty = !p->edge || entry_at(p, (uint32_t)(cluster % p->q->l2_entries)) == 0;
    if (cut && empty && !p->head && p->fill == FILL_DATA && !p->node->backing && !p->node->cipher)
        p->fill_from = cluster;
}

static enum guest_err list_tables(struct resize_plan *p, struct guest_err_detail *detail)
{
    uint64_t from = p->head ? p->old_size >> rbits(p) : p->fill_from;
    if (from >= p->fill_to && !p->head)
        return GUEST_OK;
    uint64_t to = p->fill == FILL_NONE ? from + 1 : p->fill_to;
    uint64_t first = from / p->q->l2_entries, last = (to - 1) / p->q->l2_entries;
    p->nr_tables = last - first + 1;
    p->tables = arena_array(p->nr_tables, sizeof(*p->tables));
    if (!p->tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint64_t i = 0; i < p->nr_tables; i++) {
        uint64_t start = (first + i) * p->q->l2_entries;
        uint64_t begin = max_u64(start, p->fill_from);
        uint64_t end = min_u64(start + p->q->l2_entries, p->fill_to);
        p->tables[i].l1_index = first + i;
        p->tables[i].first = (uint32_t)(begin < end ? begin - start : 0);
        p->tables[i].nr = (uint32_t)(begin < end ? end - begin : 0);
    }
    return GUEST_OK;
}

static enum guest_err place_tables(struct resize_plan *p)
{
    bool takes_data = (p->fill == FILL_DATA || p->fill == FILL_DATA_ZERO) && !p->q->has_data_file;
    enum guest_err err = GUEST_OK;
    if (p->head && p->q->has_data_file)
        p->head_cluster = p->old_size >> rbits(p);
    else if (p->head)
        err = qcow2_bump_take(&p->bump, 1, &p->head_cluster);
    for (uint64_t i = 0; i < p->nr_tables && !err; i++) {
        struct rtable *t = &p->tables[i];
        if (i == 0 && p->edge && p->edge_in_place)
            t->l2_cluster = (p->q->l1[t->l1_index] & QCOW2_OFFSET_MASK) >> rbits(p);
        else
            err = qcow2_bump_take(&p->bump, 1, &t->l2_cluster);
        if (!err && takes_data && t->nr)
            err = qcow2_bump_take(&p->bump, t->nr, &t->data_cluster);
    }
    return err;
}

static enum guest_err place(struct resize_plan *p)
{
    qcow2_bump_clear(&p->bump);
    p->bump.block_bits = p->alloc.block_bits;
    enum guest_err err = qcow2_bump_claim(&p->bump, 0, p->old_end);
    for (uint64_t i = 0; i < p->alloc.table_entries && !err; i++) {
        if (p->alloc.table[i])
            err = qcow2_bump_set_block(&p->bump, i, p->alloc.table[i] >> rbits(p));
    }
    if (!err && p->rt_clusters)
        err = qcow2_bump_take(&p->bump, p->rt_clusters, &p->rt_cluster);
    if (!err && p->l1_moves)
        err = qcow2_bump_take(&p->bump, div_round_up_u64(p->l1_entries * 8, p->q->cluster_size),
                              &p->l1_cluster);
    if (!err)
        err = qcow2_resize_place_bitmaps(p);
    return err ? err : place_tables(p);
}

/* A refcount table that turns out too small is replaced, and everything laid out again. */
static enum guest_err lay_out(struct resize_plan *p, struct guest_err_detail *detail)
{
    uint64_t per_cluster = p->q->cluster_size / 8;
    for (;;) {
        enum guest_err err = place(p);
        if (err == GUEST_ERR_FILE_TOO_LARGE)
            return err_plain(detail, GUEST_ERR_PLAN_TABLE_FULL);
        if (err)
            return err_plain(detail, err);
        uint64_t room = p->rt_clusters ? p->rt_clusters * per_cluster : p->alloc.table_entries;
        if (p->bump.nr_blocks <= room)
            return GUEST_OK;
        p->rt_clusters =
            max_u64(p->rt_clusters + 1, div_round_up_u64(p->bump.nr_blocks, per_cluster));
    }
}

/* Blocks that exist count their share of what is new; the others are written whole. */
static enum guest_err count_in_old_blocks(struct resize_plan *p, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < p->bump.nr_used; i++) {
        uint64_t end = p->bump.used[i].end;
        for (uint64_t c = max_u64(p->bump.used[i].start, p->old_end); c < end;) {
            uint64_t index = c >> p->alloc.block_bits;
            uint64_t next = min_u64(end, (index + 1) << p->alloc.block_bits);
            if (index < p->alloc.table_entries && p->alloc.table[index]) {
                enum guest_err err = qcow2_alloc_count_new(&p->alloc, c, next - c, detail);
                if (err)
                    return err;
            }
            c = next;
        }
    }
    return GUEST_OK;
}

/* What will be referred to no more. */
static enum guest_err give_back_old(struct resize_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    enum guest_err err = GUEST_OK;
    if (p->rt_clusters)
        err = qcow2_alloc_give_back(&p->alloc, p->alloc.table_offset >> rbits(p),
                                    p->alloc.table_clusters, detail);
    if (!err && p->l1_moves && h->l1_size)
        err = qcow2_alloc_give_back(&p->alloc, h->l1_table_offset >> rbits(p),
                                    div_round_up_u64((uint64_t)h->l1_size * 8, p->q->cluster_size),
                                    detail);
    if (!err && p->nr_tables && p->edge && !p->edge_in_place)
        err = qcow2_alloc_give_back(
            &p->alloc, (p->q->l1[p->tables[0].l1_index] & QCOW2_OFFSET_MASK) >> rbits(p), 1,
            detail);
    return err ? err : qcow2_resize_free_bitmaps(p, detail);
}

static void size_l1(struct resize_plan *p)
{
    uint64_t old = p->q->header.l1_size;
    uint64_t needed = (p->new_size - 1) / (1ull << p->q->l1_shift) + 1;
    uint64_t room = div_round_up_u64(old * 8, p->q->cluster_size) * (p->q->cluster_size / 8);
    p->l1_entries = max_u64(old, p->new_size ? needed : 0);
    p->l1_moves = p->l1_entries > room;
}

static enum guest_err prepare(struct resize_plan *p, struct guest_err_detail *detail)
{
    enum guest_err err = qcow2_alloc_init(&p->alloc, p->q, detail);
    if (!err)
        err = choose_fill(p, detail);
    if (err)
        return err;
    p->old_end = p->alloc.end;
    if (p->alloc.metadata[p->alloc.nr_metadata - 1] >= p->old_end)
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT,
                           p->alloc.metadata[p->alloc.nr_metadata - 1] << rbits(p), 0, 0, 0);
    size_l1(p);
    bool cut = (p->old_size & (p->q->cluster_size - 1)) != 0;
    uint64_t edge = cut ? p->old_size >> rbits(p) : p->fill_from;
    if (p->fill != FILL_NONE || (cut && backing_shows(p)))
        err = load_edge(p, edge, detail);
    if (!err)
        err = plan_head(p, detail);
    if (err)
        return err;
    include_cut_cluster(p);
    /* The fill may begin in the table behind the one that was just read. */
    if (p->edge && !p->head && p->fill_from / p->q->l2_entries != p->edge_l1)
        p->edge = p->edge_in_place = false;
    if (p->fill != FILL_NONE)
        err = check_unused(p, detail);
    if (!err)
        err = list_tables(p, detail);
    if (!err)
        err = qcow2_resize_find_bitmaps(p, detail);
    if (!err)
        err = lay_out(p, detail);
    if (!err)
        err = count_in_old_blocks(p, detail);
    if (!err)
        err = give_back_old(p, detail);
    return err ? err : qcow2_resize_edit_header(p, detail);
}

enum guest_err qcow2_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                                 struct plan **out, struct guest_err_detail *detail)
{
    struct resize_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &resize_verbs;
    p->node = node;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->data_blob = node->data_file ? node->data_file->source->blob : CELL_NO_BLOB;
    p->old_size = p->q->header.size;
    p->new_size = request->size;
    p->preallocation = request->preallocation;
    if (p->q->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW &&
        p->preallocation == ABI__PREALLOCATION__PREALLOC_OFF)
        p->preallocation = ABI__PREALLOCATION__PREALLOC_METADATA;
    enum guest_err err = check(p, detail);
    if (!err && p->new_size < p->old_size) {
        resize_verbs.free(&p->base);
        return qcow2_shrink_plan(node, request->size, out, detail);
    }
    if (!err)
        err = prepare(p, detail);
    if (err) {
        resize_verbs.free(&p->base);
        return err;
    }
    p->base.file_size = max_u64(image_source(p)->size_bytes, qcow2_bump_end(&p->bump) << rbits(p));
    *out = &p->base;
    return GUEST_OK;
}
