/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `check -r all` mends in the sparse extents of a VMDK. (Stock repairs none.)
 *
 * Directory and tables are there twice. What of one copy cannot be right is taken from the other;
 * where both are good and differ, the first counts, since that is what is read. What is bad in both
 * becomes a hole. Each write is a few entries of one table, so that any prefix of them is an image
 * that can be read where it could be before.
 *
 * A grain that lies over another, or over metadata, gets a copy of its own behind everything else;
 * all copies are made before the first entry changes, and the tables that are read lead to them
 * before anything else is written, since that may lie under a grain. Of a table over other
 * metadata, and of a stream's markers, nobody can say what is right: they are reported and stay.
 */
#include "guest/formats/vmdk_repair.h"

#include <stdlib.h>

#include "guest/formats/vmdk_audit.h"
#include "guest/formats/vmdk_claims.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/op_list.h"

#define CHUNK       (OP_LIST_WRITE_MAX / 4) /* entries of one write */
#define CHANGES_MAX (1u << 18)
#define TABLES_MIN  (1u << 16)

struct repair {
    const struct vmdk_extent *e;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct guest_err_detail *detail;
    struct op_list *copies, *moves, *list; /* in this order */
    struct vmdk_claims claims;
    uint64_t end_sector;  /* where the next copy goes */
    uint64_t tables_left; /* that may be looked at */
    unsigned changes;
    uint32_t *table[2]; /* the first copy, the redundant one */
};

static enum guest_err fixed(struct repair *r, enum vmdk_finding code, uint64_t number)
{
    struct cell_finding finding = {.code = (uint32_t)code, .number = {number}};

    r->findings->add(r->findings, &finding);
    r->reply->corruptions_fixed++;
    return r->changes++ < CHANGES_MAX ? GUEST_OK : err_plain(r->detail, GUEST_ERR_TOO_MUCH_WORK);
}

static enum guest_err put(struct repair *r, struct op_list *list, uint64_t offset,
                          const uint32_t *entries, uint64_t nr, enum cell_op_note note)
{
    uint8_t bytes[OP_LIST_WRITE_MAX];

    for (uint64_t i = 0; i < nr; i++)
        store_le32(bytes + i * 4, entries[i]);
    return op_list_write(list, offset, bytes, (uint32_t)nr * 4, note, r->detail);
}

/* ---- tables ---- */

static bool is_bad_grain(const struct repair *r, uint32_t entry)
{
    return entry >= r->claims.file_sectors && vmdk_is_grain(r->e, entry);
}

/* One entry of both copies. */
static enum guest_err mend_entry(struct repair *r, uint64_t grain, uint64_t i, bool *changed)
{
    uint32_t *first = &r->table[0][i], *second = &r->table[1][i];
    bool bad[2] = {is_bad_grain(r, *first), is_bad_grain(r, *second)};
    enum guest_err err = GUEST_OK;

    if (!bad[0] && *first == *second)
        return GUEST_OK;
    if (bad[0])
        err = fixed(r, VMDK_FOUND_PAST_END, r->e->start + grain * r->e->cluster_sectors);
    else
        err = fixed(r, VMDK_FOUND_REDUNDANT, r->e->start + grain * r->e->cluster_sectors);
    changed[0] |= bad[0];
    changed[1] |= !bad[0] || bad[1];
    if (bad[0] && bad[1])
        *first = *second = 0;
    else if (bad[0])
        *first = *second;
    else
        *second = *first;
    return err;
}

/* Gives a grain a copy of its own, if something else has its place. */
static enum guest_err separate_entry(struct repair *r, uint64_t grain, uint64_t i, bool *changed,
                                     bool *moved)
{
    uint64_t size = vmdk_cluster_bytes(r->e), from, to, len;
    enum vmdk_claim claim;
    enum guest_err err;

    if (!vmdk_is_grain(r->e, r->table[0][i]) || r->e->compressed)
        return GUEST_OK;
    err = vmdk_claim_grain(&r->claims, r->table[0][i], r->e->cluster_sectors, &claim, r->detail);
    if (err || claim == VMDK_CLAIM_FREE)
        return err;
    err = fixed(r, claim == VMDK_CLAIM_META ? VMDK_FOUND_OVER_METADATA : VMDK_FOUND_OVERLAP,
                r->e->start + grain * r->e->cluster_sectors);
    if (!err && r->end_sector > UINT32_MAX - r->e->cluster_sectors)
        err = err_plain(r->detail, GUEST_ERR_FILE_TOO_LARGE);
    if (err)
        return err;
    from = (uint64_t)r->table[0][i] * VMDK_SECTOR_BYTES;
    to = r->end_sector * VMDK_SECTOR_BYTES;
    len = min_u64(size, r->e->source->size_bytes - from);
    err = op_list_copy(r->copies, from, to, len, CELL_NOTE_DATA, r->detail);
    if (!err)
        err = op_list_simple(r->copies, CELL_OP_ZERO, to + len, size - len, CELL_NOTE_DATA,
                             r->detail);
    r->table[0][i] = r->table[1][i] = (uint32_t)r->end_sector;
    r->end_sector += r->e->cluster_sectors;
    changed[0] = changed[1] = *moved = true;
    return err;
}

static enum guest_err mend_tables(struct repair *r, uint64_t number, const uint64_t at[2])
{
    uint64_t nr = r->e->gtes_per_gt, first = number * nr;
    enum guest_err err = GUEST_OK;

    for (unsigned k = 0; k < 2 && !err; k++)
        err = source_read_padded(r->e->source, at[k], nr * 4, r->table[k], r->detail);
    nr = vmdk_entries_of(r->e, number);
    for (uint64_t from = 0; from < nr && !err; from += CHUNK) {
        uint64_t part = min_u64(nr - from, CHUNK);
        bool changed[2] = {false, false}, moved = false;

        for (uint64_t i = from; i < from + part && !err; i++) {
            err = mend_entry(r, first + i, i, changed);
            if (!err)
                err = separate_entry(r, first + i, i, changed, &moved);
        }
        for (unsigned k = 0; k < 2 && !err; k++)
            if (changed[k])
                err = put(r, moved && k == 0 ? r->moves : r->list, at[k] + from * 4,
                          r->table[k] + from, part, CELL_NOTE_L2_TABLE);
    }
    return err;
}

/* ---- the directory ---- */

/* What both directories should say. */
static uint32_t right_table(const struct repair *r, const uint32_t entry[2])
{
    for (unsigned k = 0; k < 2; k++)
        if (vmdk_is_table(&r->claims, entry[k]))
            return entry[k];
    return 0;
}

/* Reads what the directories say of a table; without a redundant one, the first says it twice. */
static enum guest_err read_entries(const struct repair *r, uint64_t number, uint32_t entry[2])
{
    enum guest_err err = vmdk_directory_read(r->e, r->e->gd_offset, number, &entry[0], r->detail);

    entry[1] = entry[0];
    if (!err && r->e->rgd_offset)
        err = vmdk_directory_read(r->e, r->e->rgd_offset, number, &entry[1], r->detail);
    return err;
}

/* Where one directory leads nowhere, or both: both lead there then. */
static bool settle_entries(const struct repair *r, uint32_t entry[2])
{
    if ((vmdk_is_table(&r->claims, entry[0]) && vmdk_is_table(&r->claims, entry[1])) ||
        (entry[0] == 0 && entry[1] == 0))
        return false;
    entry[0] = entry[1] = right_table(r, entry);
    return true;
}

static enum guest_err claim_table(struct repair *r, uint64_t number, uint32_t sector)
{
    struct cell_finding finding = {.code = (uint32_t)VMDK_FOUND_TABLE, .number = {number}};
    bool is_free;
    enum guest_err err = vmdk_claim_table(&r->claims, number, sector, &is_free, r->detail);

    if (err || is_free)
        return err;
    r->findings->add(r->findings, &finding);
    r->reply->corruptions++;
    return r->changes++ < CHANGES_MAX ? GUEST_OK : err_plain(r->detail, GUEST_ERR_TOO_MUCH_WORK);
}

static enum guest_err mend_directory(struct repair *r, uint64_t number)
{
    const uint64_t at[] = {r->e->gd_offset + number * 4, r->e->rgd_offset + number * 4};
    uint32_t was[2], entry[2];
    enum guest_err err = read_entries(r, number, was);

    memcpy(entry, was, sizeof(entry));
    if (!err && settle_entries(r, entry))
        err = fixed(r, VMDK_FOUND_DIRECTORY, number);
    for (unsigned k = 0; k < (r->e->rgd_offset ? 2u : 1u) && !err; k++)
        if (was[k] != entry[k])
            err = put(r, r->list, at[k], &entry[k], 1, CELL_NOTE_L1_TABLE);
    if (!err && entry[0])
        err = claim_table(r, number, entry[0]);
    if (!err && entry[1] != entry[0])
        err = claim_table(r, number, entry[1]);
    return err;
}

static enum guest_err mend(struct repair *r)
{
    enum guest_err err = GUEST_OK;

    for (uint64_t number = 0; number < r->e->gd_entries && !err; number++)
        err = mend_directory(r, number);
    if (!err)
        err = vmdk_claims_survey(&r->claims, r->detail);
    for (uint64_t number = 0; number < r->e->gd_entries && !err; number++) {
        uint32_t entry[2];

        err = read_entries(r, number, entry);
        if (err)
            break;
        (void)settle_entries(r, entry);
        if (entry[0] == 0 || cluster_set_has(&r->claims.lost, number))
            continue;
        if (r->tables_left-- == 0)
            return err_plain(r->detail, GUEST_ERR_TOO_MUCH_WORK);
        err = mend_tables(r, number,
                          (const uint64_t[2]){(uint64_t)entry[0] * VMDK_SECTOR_BYTES,
                                              (uint64_t)entry[1] * VMDK_SECTOR_BYTES});
    }
    return err;
}

/* ---- extents ---- */

static enum guest_err mend_extent(struct repair *r, const struct vmdk_extent *e)
{
    uint64_t gt_bytes = (uint64_t)e->gtes_per_gt * 4;
    unsigned changes = r->changes;
    enum guest_err err;

    r->e = e;
    op_list_on(r->copies, e->source->blob);
    op_list_on(r->moves, e->source->blob);
    op_list_on(r->list, e->source->blob);
    err = vmdk_claims_init(&r->claims, e, r->detail);
    r->tables_left = TABLES_MIN + r->claims.file_sectors * VMDK_SECTOR_BYTES / gt_bytes;
    if (!err && !align_up_u64(r->claims.file_sectors, e->cluster_sectors, &r->end_sector))
        err = err_plain(r->detail, GUEST_ERR_FILE_TOO_LARGE);
    r->table[0] = arena_array(2, gt_bytes);
    r->table[1] = r->table[0] ? r->table[0] + e->gtes_per_gt : NULL;
    if (!err)
        err = r->table[0] ? mend(r) : err_plain(r->detail, GUEST_ERR_NO_MEMORY);
    free(r->table[0]);
    vmdk_claims_clear(&r->claims);
    /* Where something is mended, the image is looked at again. */
    if (!err && e->compressed && r->changes == changes)
        err = vmdk_audit(e, r->findings, r->reply, r->detail);
    return err;
}

/* The lists become one, r->copies, with barriers where one must be done before the next. */
static enum guest_err join(struct repair *r)
{
    bool staged = !op_list_empty(r->copies);
    struct op_list *rest[] = {r->moves, r->list};
    enum guest_err err = GUEST_OK;

    for (unsigned i = 0; i < 2 && !err; i++) {
        if (staged)
            err = op_list_simple(r->copies, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, r->detail);
        if (!err)
            err = op_list_append(r->copies, rest[i], r->detail);
    }
    return err;
}

static bool can_mend(const struct vmdk_extent *e)
{
    return !e->flat && !e->sesparse && e->gtes_per_gt <= VMDK_GTES_MAX;
}

bool vmdk_can_repair(const struct node *node)
{
    const struct vmdk *v = vmdk_of(node);
    bool any = false;

    for (unsigned i = 0; i < v->nr_extents; i++) {
        if (!v->extents[i].flat && !can_mend(&v->extents[i]))
            return false;
        any |= can_mend(&v->extents[i]);
    }
    return any;
}

enum guest_err vmdk_repair(struct node *node, struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail)
{
    const struct vmdk *v = vmdk_of(node);
    struct repair r = {.findings = findings, .reply = reply, .detail = detail};
    enum guest_err err = GUEST_OK;

    r.copies = op_list_new(node->source->blob);
    r.moves = op_list_new(node->source->blob);
    r.list = op_list_new(node->source->blob);
    if (!r.list || !r.moves || !r.copies)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < v->nr_extents && !err; i++)
        if (can_mend(&v->extents[i]))
            err = mend_extent(&r, &v->extents[i]);
    if (!err)
        err = join(&r);
    op_list_free(r.moves);
    op_list_free(r.list);
    if (!err && !op_list_empty(r.copies))
        node->repair = op_list_plan(r.copies);
    else
        op_list_free(r.copies);
    return err;
}
