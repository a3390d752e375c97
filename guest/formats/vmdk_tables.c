/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking grains up: a window onto the grain directory and one onto the grain table used last.
 *
 * What lies past the end of the file reads as zeros, that is, as entries of grains that are not
 * there.
 */
#include "guest/formats/vmdk.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define GD_CHUNK  2048u /* entries */
#define ENTRY_MAX 8u

static uint32_t entry_bytes(const struct vmdk_extent *e)
{
    return e->sesparse ? 8 : 4;
}

static uint64_t entry_at(const struct vmdk_extent *e, const uint8_t *bytes, uint64_t i)
{
    return e->sesparse ? load_le64(bytes + i * 8) : load_le32(bytes + i * 4);
}

static enum guest_err bad_entry(const struct vmdk_extent *e, uint64_t grain,
                                struct guest_err_detail *detail)
{
    return vmdk_error(detail, VMDK_ERR_ENTRY, e->start + grain * e->cluster_sectors);
}

void vmdk_window_clear(struct vmdk *v)
{
    free(v->gd.bytes);
    free(v->gt.bytes);
    v->gd = v->gt = (struct vmdk_window){0};
}

/* Fills a window: nr entries from `offset` on. */
static enum guest_err fill(struct vmdk_window *window, const struct vmdk_extent *e, uint64_t first,
                           uint64_t offset, uint64_t nr, struct guest_err_detail *detail)
{
    enum guest_err err;

    if (window->extent == e && window->first == first)
        return GUEST_OK;
    if (!window->bytes)
        window->bytes = arena_bytes((uint64_t)SESPARSE_GTES * ENTRY_MAX);
    if (!window->bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    window->extent = NULL;
    err = source_read_padded(e->source, offset, nr * entry_bytes(e), window->bytes, detail);
    if (err)
        return err;
    window->extent = e;
    window->first = first;
    return GUEST_OK;
}

static enum guest_err directory_entry(struct vmdk *v, const struct vmdk_extent *e, uint64_t index,
                                      uint64_t *out, struct guest_err_detail *detail)
{
    uint64_t first = index / GD_CHUNK * GD_CHUNK;
    uint64_t offset;
    enum guest_err err;

    if (!add_u64(e->gd_offset, first * entry_bytes(e), &offset))
        return bad_entry(e, index * e->gtes_per_gt, detail);
    err = fill(&v->gd, e, first, offset, GD_CHUNK, detail);
    if (!err)
        *out = entry_at(e, v->gd.bytes, index - first);
    return err;
}

/* Where a grain table is, bytes; false when the directory's entry means nothing. */
static bool table_offset(const struct vmdk_extent *e, uint64_t entry, uint64_t *out)
{
    uint64_t sector = entry;

    if (e->sesparse) {
        if (entry >> 32 != 0x10000000u ||
            !add_u64(e->se_tables, (entry & UINT32_MAX) * SESPARSE_GT_SECTORS, &sector))
            return false;
    }
    return mul_u64(sector, VMDK_SECTOR_BYTES, out);
}

/* ---- entries of grain tables ---- */

static bool decode_entry(const struct vmdk_extent *e, uint64_t entry, struct vmdk_grain *out)
{
    out->offset = 0;
    out->kind = entry == 0                                  ? VMDK_GRAIN_HOLE
                : e->zero_grain && entry == VMDK_GTE_ZEROED ? VMDK_GRAIN_ZERO
                                                            : VMDK_GRAIN_DATA;
    if (out->kind == VMDK_GRAIN_DATA)
        out->offset = entry * VMDK_SECTOR_BYTES;
    return true;
}

static bool decode_se_entry(const struct vmdk_extent *e, uint64_t entry, struct vmdk_grain *out)
{
    uint64_t number = (entry >> 48 & 0xfff) | (entry & 0xffffffffffffull) << 12;

    out->offset = 0;
    switch (entry >> 60) {
    case 0:
        out->kind = VMDK_GRAIN_HOLE;
        return entry == 0;
    case 1:
    case 2:
        out->kind = VMDK_GRAIN_ZERO;
        return true;
    case 3:
        out->kind = VMDK_GRAIN_DATA;
        return mul_u64(number, SESPARSE_GRAIN_SECTORS, &number) &&
               add_u64(number, e->se_grains, &number) &&
               mul_u64(number, VMDK_SECTOR_BYTES, &out->offset) && out->offset <= INT64_MAX / 2;
    default:
        return false;
    }
}

static bool decode(const struct vmdk_extent *e, const uint8_t *table, uint64_t i,
                   struct vmdk_grain *out)
{
    uint64_t entry = entry_at(e, table, i);

    return e->sesparse ? decode_se_entry(e, entry, out) : decode_entry(e, entry, out);
}

/* How far the run goes on in this table. */
static uint64_t run_in_table(const struct vmdk_extent *e, const uint8_t *table, uint64_t i,
                             uint64_t most, const struct vmdk_grain *first)
{
    uint64_t nr = 1;
    struct vmdk_grain next;

    if (e->compressed && first->kind == VMDK_GRAIN_DATA)
        return 1;
    for (; nr < most && i + nr < e->gtes_per_gt; nr++) {
        if (!decode(e, table, i + nr, &next) || next.kind != first->kind)
            break;
        if (first->kind == VMDK_GRAIN_DATA &&
            next.offset != first->offset + nr * vmdk_cluster_bytes(e))
            break;
    }
    return nr;
}

/* A stream ends where the next one begins, if they are in order. */
static uint64_t next_in_table(const struct vmdk_extent *e, const uint8_t *table, uint64_t i)
{
    struct vmdk_grain next;

    for (i++; i < e->gtes_per_gt; i++)
        if (decode(e, table, i, &next) && next.kind == VMDK_GRAIN_DATA)
            return next.offset;
    return 0;
}

/* Grains of tables that are not there: on to the first table that is, within one chunk. */
static uint64_t run_of_no_tables(const struct vmdk *v, const struct vmdk_extent *e, uint64_t index,
                                 uint64_t into)
{
    uint64_t next = index + 1;

    while (next < e->gd_entries && next - v->gd.first < GD_CHUNK &&
           entry_at(e, v->gd.bytes, next - v->gd.first) == 0)
        next++;
    return (next - index) * e->gtes_per_gt - into;
}

enum guest_err vmdk_find_grain(struct vmdk *v, const struct vmdk_extent *e, uint64_t grain,
                               uint64_t most, struct vmdk_grain *out,
                               struct guest_err_detail *detail)
{
    uint64_t index = grain / e->gtes_per_gt, into = grain % e->gtes_per_gt;
    uint64_t entry, offset;
    enum guest_err err;

    *out = (struct vmdk_grain){.kind = VMDK_GRAIN_HOLE};
    if (index >= e->gd_entries)
        return bad_entry(e, grain, detail);
    err = directory_entry(v, e, index, &entry, detail);
    if (err)
        return err;
    if (entry == 0) {
        out->same_grains = min_u64(run_of_no_tables(v, e, index, into), most);
        return GUEST_OK;
    }
    if (!table_offset(e, entry, &offset))
        return bad_entry(e, grain, detail);
    err = fill(&v->gt, e, index, offset, e->gtes_per_gt, detail);
    if (err)
        return err;
    if (!decode(e, v->gt.bytes, into, out))
        return bad_entry(e, grain, detail);
    out->same_grains = run_in_table(e, v->gt.bytes, into, most, out);
    if (e->compressed && out->kind == VMDK_GRAIN_DATA)
        out->next_offset = next_in_table(e, v->gt.bytes, into);
    return GUEST_OK;
}

const struct vmdk_extent *vmdk_extent_at(const struct vmdk *v, uint64_t sector)
{
    unsigned low = 0, high = v->nr_extents;

    while (low < high) { /* the first that ends behind the sector */
        unsigned middle = low + (high - low) / 2;

        if (v->extents[middle].start + v->extents[middle].sectors > sector)
            high = middle;
        else
            low = middle + 1;
    }
    return low < v->nr_extents ? &v->extents[low] : NULL;
}
