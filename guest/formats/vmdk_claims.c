/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vmdk_claims.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define DESCRIPTOR_FIELDS 28u /* bytes: where descriptorOffset and descriptorSize are */
#define COWD_HEADER       4u  /* sectors */

/* ---- metadata ---- */

static enum guest_err claim_meta(struct vmdk_claims *c, uint64_t sector, uint64_t nr,
                                 struct guest_err_detail *detail)
{
    uint64_t end = sector < c->file_sectors ? sector + min_u64(nr, c->file_sectors - sector) : 0;
    bool is_new;

    for (; sector < end; sector++)
        if (!cluster_set_add(&c->meta, sector, &is_new))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}

static enum guest_err claim_bytes(struct vmdk_claims *c, uint64_t offset, uint64_t len,
                                  struct guest_err_detail *detail)
{
    return claim_meta(c, offset / VMDK_SECTOR_BYTES, div_round_up_u64(len, VMDK_SECTOR_BYTES),
                      detail);
}

/* A hosted extent's header, and the descriptor that it names. */
static enum guest_err claim_hosted(struct vmdk_claims *c, struct guest_err_detail *detail)
{
    uint8_t bytes[16];
    enum guest_err err =
        source_read_padded(c->e->source, DESCRIPTOR_FIELDS, sizeof(bytes), bytes, detail);

    if (!err)
        err = claim_meta(c, 0, 1, detail);
    if (!err)
        err = claim_meta(c, load_le64(bytes), load_le64(bytes + 8), detail);
    if (!err && c->e->footer)
        err = claim_meta(c, c->file_sectors - VMDK_FOOTER_SECTORS, VMDK_FOOTER_SECTORS, detail);
    return err;
}

enum guest_err vmdk_claims_init(struct vmdk_claims *out, const struct vmdk_extent *e,
                                struct guest_err_detail *detail)
{
    uint64_t size;
    enum guest_err err;

    *out = (struct vmdk_claims){.e = e};
    if (!align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &size))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    out->file_sectors = size / VMDK_SECTOR_BYTES;
    out->table_sectors = div_round_up_u64((uint64_t)e->gtes_per_gt * 4, VMDK_SECTOR_BYTES);
    /* Entries are of 32 bits: nothing is used that lies farther out. */
    out->file_sectors = min_u64(out->file_sectors, (uint64_t)UINT32_MAX + 1);
    if (!cluster_set_init(&out->meta, out->file_sectors) ||
        !cluster_set_init(&out->lost, e->gd_entries))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = e->gtes_per_gt == COWD_GTES ? claim_meta(out, 0, COWD_HEADER, detail)
                                      : claim_hosted(out, detail);
    if (!err)
        err = claim_bytes(out, e->gd_offset, (uint64_t)e->gd_entries * 4, detail);
    if (!err && e->rgd_offset)
        err = claim_bytes(out, e->rgd_offset, (uint64_t)e->gd_entries * 4, detail);
    return err;
}

void vmdk_claims_clear(struct vmdk_claims *claims)
{
    cluster_set_clear(&claims->meta);
    cluster_set_clear(&claims->grains);
    cluster_set_clear(&claims->lost);
}

/* ---- tables ---- */

enum guest_err vmdk_directory_read(const struct vmdk_extent *e, uint64_t directory, uint64_t number,
                                   uint32_t *out, struct guest_err_detail *detail)
{
    uint8_t bytes[4];
    enum guest_err err =
        source_read_padded(e->source, directory + number * 4, sizeof(bytes), bytes, detail);

    *out = load_le32(bytes);
    return err;
}

bool vmdk_is_table(const struct vmdk_claims *c, uint32_t sector)
{
    return sector != 0 && range_inside_u64(sector, c->table_sectors, c->file_sectors);
}

enum guest_err vmdk_claim_table(struct vmdk_claims *c, uint64_t number, uint32_t sector,
                                bool *out_free, struct guest_err_detail *detail)
{
    bool is_new;

    *out_free = !cluster_set_has_any(&c->meta, sector, c->table_sectors);
    if (*out_free)
        return claim_meta(c, sector, c->table_sectors, detail);
    return cluster_set_add(&c->lost, number, &is_new) ? GUEST_OK
                                                      : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

uint64_t vmdk_entries_of(const struct vmdk_extent *e, uint64_t number)
{
    uint64_t grains = div_round_up_u64(e->sectors, e->cluster_sectors);
    uint64_t first = number * e->gtes_per_gt;

    return grains > first ? min_u64(e->gtes_per_gt, grains - first) : 0;
}

/* ---- grains ---- */

/* Whether all grains of a table lie `*shift` beside multiples of their size; the first one says. */
static bool all_in_line(const struct vmdk_claims *c, const uint8_t *table, uint64_t nr,
                        uint64_t *shift)
{
    uint64_t size = c->e->cluster_sectors;

    for (uint64_t i = 0; i < nr; i++) {
        uint32_t entry = load_le32(table + i * 4);

        if (!vmdk_is_grain(c->e, entry))
            continue;
        if (*shift == size)
            *shift = entry % size;
        if (entry % size != *shift)
            return false;
    }
    return true;
}

/* Finds how far beside multiples of its size the first grain lies; *out: size itself for none. */
static enum guest_err find_shift(struct vmdk_claims *c, uint8_t *table, bool *in_line,
                                 uint64_t *shift, struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = c->e;
    enum guest_err err = GUEST_OK;

    for (uint64_t number = 0; number < e->gd_entries && !err && *in_line; number++) {
        uint32_t sector;

        err = vmdk_directory_read(e, e->gd_offset, number, &sector, detail);
        if (err || !vmdk_is_table(c, sector) || cluster_set_has(&c->lost, number))
            continue;
        err = source_read_padded(e->source, (uint64_t)sector * VMDK_SECTOR_BYTES,
                                 (uint64_t)e->gtes_per_gt * 4, table, detail);
        *in_line = all_in_line(c, table, vmdk_entries_of(e, number), shift);
    }
    return err;
}

enum guest_err vmdk_claims_survey(struct vmdk_claims *c, struct guest_err_detail *detail)
{
    uint64_t size = c->e->cluster_sectors, shift = size;
    bool in_line = !c->e->compressed;
    uint8_t *table = arena_bytes((uint64_t)c->e->gtes_per_gt * 4);
    enum guest_err err = table ? find_shift(c, table, &in_line, &shift, detail)
                               : err_plain(detail, GUEST_ERR_NO_MEMORY);

    free(table);
    if (err)
        return err;
    c->unit = in_line ? size : 1;
    c->shift = in_line ? (size - shift % size) % size : 0;
    c->on = in_line || c->file_sectors <= VMDK_CLAIMS_SECTORS_MAX;
    if (c->on && !cluster_set_init(&c->grains, (c->file_sectors + c->shift) / c->unit + 1))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}

enum guest_err vmdk_claim_grain(struct vmdk_claims *c, uint64_t sector, uint64_t nr,
                                enum vmdk_claim *out, struct guest_err_detail *detail)
{
    uint64_t first = (sector + c->shift) / c->unit, last = (sector + nr - 1 + c->shift) / c->unit;
    bool is_new;

    *out = VMDK_CLAIM_META;
    if (cluster_set_has_any(&c->meta, sector, nr))
        return GUEST_OK;
    *out = VMDK_CLAIM_GRAIN;
    if (c->on && cluster_set_has_any(&c->grains, first, last - first + 1))
        return GUEST_OK;
    *out = VMDK_CLAIM_FREE;
    for (uint64_t i = first; c->on && i <= last && i < c->grains.nr; i++)
        if (!cluster_set_add(&c->grains, i, &is_new))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}
