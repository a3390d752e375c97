/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of check that stock has not got. First the tables take their place, then the grains; of
 * a stream, whose grains are as long as their markers say, the markers are read in batches.
 */
#include "guest/formats/vmdk_audit.h"

#include "guest/formats/vmdk_claims.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define AUDIT_FINDINGS_MAX (1u << 16)
#define BATCH              64u /* markers of one read */

struct stream_grain {
    uint64_t grain;
    uint32_t sector;
    uint8_t marker[VMDK_GRAIN_MARKER_BYTES];
};

struct audit {
    const struct vmdk_extent *e;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct guest_err_detail *detail;
    struct vmdk_claims claims;
    uint8_t *table;
    unsigned nr_found;
    struct stream_grain batch[BATCH];
    unsigned nr_batch;
};

static enum guest_err found(struct audit *a, enum vmdk_finding code, uint64_t number)
{
    struct cell_finding finding = {.code = (uint32_t)code, .number = {number}};

    a->findings->add(a->findings, &finding);
    a->reply->corruptions++;
    return ++a->nr_found < AUDIT_FINDINGS_MAX ? GUEST_OK
                                              : err_plain(a->detail, GUEST_ERR_TOO_MUCH_WORK);
}

static uint64_t sector_of(const struct audit *a, uint64_t grain)
{
    return a->e->start + grain * a->e->cluster_sectors;
}

/* ---- tables ---- */

/* In a stream that ends in a footer, a marker stands before each table. */
static enum guest_err audit_table_marker(struct audit *a, uint64_t number, uint32_t sector)
{
    uint8_t bytes[VMDK_MARKER_BYTES];
    enum guest_err err = source_read_padded(
        a->e->source, ((uint64_t)sector - 1) * VMDK_SECTOR_BYTES, sizeof(bytes), bytes, a->detail);

    if (err)
        return err;
    return load_le64(bytes) == a->claims.table_sectors && load_le32(bytes + 8) == 0 &&
                   load_le32(bytes + 12) == VMDK_MARKER_GT
               ? GUEST_OK
               : found(a, VMDK_FOUND_TABLE_MARKER, number);
}

/* A table that one directory names. */
static enum guest_err audit_table(struct audit *a, uint64_t number, uint32_t sector)
{
    bool is_free;
    enum guest_err err;

    if (!vmdk_is_table(&a->claims, sector))
        return GUEST_OK;
    err = vmdk_claim_table(&a->claims, number, sector, &is_free, a->detail);
    if (!err && !is_free)
        err = found(a, VMDK_FOUND_TABLE, number);
    if (!err && is_free && a->e->footer)
        err = audit_table_marker(a, number, sector);
    return err;
}

static enum guest_err audit_directory(struct audit *a)
{
    const struct vmdk_extent *e = a->e;
    enum guest_err err = GUEST_OK;

    for (uint64_t number = 0; number < e->gd_entries && !err; number++) {
        uint32_t first, second;

        err = vmdk_directory_read(e, e->gd_offset, number, &first, a->detail);
        if (!err)
            err = audit_table(a, number, first);
        if (err || !e->rgd_offset)
            continue;
        err = vmdk_directory_read(e, e->rgd_offset, number, &second, a->detail);
        if (!err && second != first)
            err = audit_table(a, number, second);
    }
    return err;
}

/* ---- grains ---- */

static enum guest_err claim(struct audit *a, uint64_t grain, uint64_t sector, uint64_t nr)
{
    enum vmdk_claim claim;
    enum guest_err err = vmdk_claim_grain(&a->claims, sector, nr, &claim, a->detail);

    if (err || claim == VMDK_CLAIM_FREE)
        return err;
    return found(a, claim == VMDK_CLAIM_META ? VMDK_FOUND_OVER_METADATA : VMDK_FOUND_OVERLAP,
                 sector_of(a, grain));
}

/* A marker names the grain's first sector and the bytes of the stream behind it. */
static enum guest_err audit_marker(struct audit *a, const struct stream_grain *g)
{
    uint64_t offset = (uint64_t)g->sector * VMDK_SECTOR_BYTES + VMDK_GRAIN_MARKER_BYTES;
    uint32_t size = load_le32(g->marker + 8);
    enum guest_err err = GUEST_OK;

    if (load_le64(g->marker) != g->grain * a->e->cluster_sectors || size == 0 ||
        !range_inside_u64(offset, size, a->e->source->size_bytes))
        err = found(a, VMDK_FOUND_MARKER, sector_of(a, g->grain));
    if (err || !range_inside_u64(offset, size, a->e->source->size_bytes))
        return err;
    return claim(a, g->grain, g->sector,
                 div_round_up_u64((uint64_t)size + VMDK_GRAIN_MARKER_BYTES, VMDK_SECTOR_BYTES));
}

static enum guest_err audit_batch(struct audit *a)
{
    struct source_piece pieces[BATCH];
    enum guest_err err;

    for (unsigned i = 0; i < a->nr_batch; i++)
        pieces[i] = (struct source_piece){(uint64_t)a->batch[i].sector * VMDK_SECTOR_BYTES,
                                          VMDK_GRAIN_MARKER_BYTES, a->batch[i].marker};
    err = a->nr_batch ? a->e->source->read(a->e->source, pieces, a->nr_batch, a->detail) : GUEST_OK;
    for (unsigned i = 0; i < a->nr_batch && !err; i++)
        err = audit_marker(a, &a->batch[i]);
    a->nr_batch = 0;
    return err;
}

static enum guest_err audit_grain(struct audit *a, uint64_t grain, uint32_t sector)
{
    uint64_t nr = a->e->cluster_sectors;

    if (!a->e->compressed)
        return claim(a, grain, sector, nr);
    if (!a->e->markers)
        return claim(a, grain, sector, 1);
    if (!range_inside_u64((uint64_t)sector * VMDK_SECTOR_BYTES, VMDK_GRAIN_MARKER_BYTES,
                          a->e->source->size_bytes))
        return found(a, VMDK_FOUND_MARKER, sector_of(a, grain));
    a->batch[a->nr_batch].grain = grain;
    a->batch[a->nr_batch++].sector = sector;
    return a->nr_batch == BATCH ? audit_batch(a) : GUEST_OK;
}

static enum guest_err audit_grains(struct audit *a)
{
    const struct vmdk_extent *e = a->e;
    enum guest_err err = GUEST_OK;

    for (uint64_t number = 0; number < e->gd_entries && !err; number++) {
        uint64_t nr = vmdk_entries_of(e, number), first = number * e->gtes_per_gt;
        uint32_t sector;

        err = vmdk_directory_read(e, e->gd_offset, number, &sector, a->detail);
        if (err || !vmdk_is_table(&a->claims, sector) || cluster_set_has(&a->claims.lost, number))
            continue;
        err = source_read_padded(e->source, (uint64_t)sector * VMDK_SECTOR_BYTES, nr * 4, a->table,
                                 a->detail);
        for (uint64_t i = 0; i < nr && !err; i++)
            if (vmdk_is_grain(e, load_le32(a->table + i * 4)))
                err = audit_grain(a, first + i, load_le32(a->table + i * 4));
    }
    return err ? err : audit_batch(a);
}

enum guest_err vmdk_audit(const struct vmdk_extent *e, struct finding_sink *findings,
                          Abi__CheckReply *reply, struct guest_err_detail *detail)
{
    struct audit *a = arena_array(1, sizeof(*a));
    enum guest_err err;

    if (!a)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    *a = (struct audit){.e = e, .findings = findings, .reply = reply, .detail = detail};
    a->table = arena_bytes((uint64_t)e->gtes_per_gt * 4);
    err =
        a->table ? vmdk_claims_init(&a->claims, e, detail) : err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = audit_directory(a);
    if (!err)
        err = vmdk_claims_survey(&a->claims, detail);
    if (!err)
        err = audit_grains(a);
    vmdk_claims_clear(&a->claims);
    free(a->table);
    free(a);
    return err;
}
