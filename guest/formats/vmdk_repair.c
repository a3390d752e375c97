/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `check -r all` mends in a VMDK that is one sparse extent. (Stock repairs none.)
 *
 * Directory and tables are there twice. What of one copy cannot be right is taken from the other;
 * where both are good and differ, the first counts, since that is what is read. What is bad in both
 * becomes a hole. Each write is a few entries of one table, so that any prefix of them is an image
 * that can be read where it could be before. Grains that two entries share are not looked for.
 */
#include "guest/formats/vmdk_repair.h"

#include <stdlib.h>

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
    struct op_list *list;
    uint64_t file_sectors;
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

static enum guest_err put(struct repair *r, uint64_t offset, const uint32_t *entries, uint64_t nr,
                          enum cell_op_note note)
{
    uint8_t bytes[OP_LIST_WRITE_MAX];

    for (uint64_t i = 0; i < nr; i++)
        store_le32(bytes + i * 4, entries[i]);
    return op_list_write(r->list, offset, bytes, (uint32_t)nr * 4, note, r->detail);
}

/* ---- tables ---- */

static bool is_bad_grain(const struct repair *r, uint32_t entry)
{
    return entry >= r->file_sectors && !(r->e->zero_grain && entry == VMDK_GTE_ZEROED);
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

static enum guest_err mend_tables(struct repair *r, uint64_t number, const uint64_t at[2])
{
    uint64_t nr = r->e->gtes_per_gt, first = number * nr;
    uint64_t grains = div_round_up_u64(r->e->sectors, r->e->cluster_sectors);
    enum guest_err err = GUEST_OK;

    for (unsigned k = 0; k < 2 && !err; k++)
        err = source_read_padded(r->e->source, at[k], nr * 4, r->table[k], r->detail);
    nr = min_u64(nr, grains > first ? grains - first : 0);
    for (uint64_t from = 0; from < nr && !err; from += CHUNK) {
        uint64_t part = min_u64(nr - from, CHUNK);
        bool changed[2] = {false, false};

        for (uint64_t i = from; i < from + part && !err; i++)
            err = mend_entry(r, first + i, i, changed);
        for (unsigned k = 0; k < 2 && !err; k++)
            if (changed[k])
                err = put(r, at[k] + from * 4, r->table[k] + from, part, CELL_NOTE_L2_TABLE);
    }
    return err;
}

/* ---- the directory ---- */

static bool is_table(const struct repair *r, uint32_t sector)
{
    uint64_t sectors = div_round_up_u64((uint64_t)r->e->gtes_per_gt * 4, VMDK_SECTOR_BYTES);

    return sector != 0 && sectors <= r->file_sectors && sector <= r->file_sectors - sectors;
}

static enum guest_err read_entry(const struct repair *r, uint64_t directory, uint64_t number,
                                 uint32_t *out)
{
    uint8_t bytes[4];
    enum guest_err err =
        source_read_padded(r->e->source, directory + number * 4, sizeof(bytes), bytes, r->detail);

    *out = load_le32(bytes);
    return err;
}

/* A table that only one directory leads to, or none: both lead there then. */
static enum guest_err mend_directory(struct repair *r, uint64_t number, uint32_t entry[2])
{
    const uint64_t at[] = {r->e->gd_offset + number * 4, r->e->rgd_offset + number * 4};
    bool good[2] = {is_table(r, entry[0]), is_table(r, entry[1])};
    uint32_t right = good[0] ? entry[0] : good[1] ? entry[1] : 0;
    enum guest_err err = GUEST_OK;

    if ((good[0] && good[1]) || (entry[0] == 0 && entry[1] == 0))
        return GUEST_OK;
    err = fixed(r, VMDK_FOUND_DIRECTORY, number);
    for (unsigned k = 0; k < 2 && !err; k++)
        if (entry[k] != right)
            err = put(r, at[k], &right, 1, CELL_NOTE_L1_TABLE);
    entry[0] = entry[1] = right;
    return err;
}

static enum guest_err mend(struct repair *r)
{
    const struct vmdk_extent *e = r->e;
    enum guest_err err = GUEST_OK;

    for (uint64_t number = 0; number < e->gd_entries && !err; number++) {
        uint32_t entry[2];

        err = read_entry(r, e->gd_offset, number, &entry[0]);
        entry[1] = entry[0];
        if (!err && e->rgd_offset)
            err = read_entry(r, e->rgd_offset, number, &entry[1]);
        if (!err)
            err = mend_directory(r, number, entry);
        if (err || entry[0] == 0)
            continue;
        if (r->tables_left-- == 0)
            return err_plain(r->detail, GUEST_ERR_TOO_MUCH_WORK);
        err = mend_tables(r, number,
                          (const uint64_t[2]){(uint64_t)entry[0] * VMDK_SECTOR_BYTES,
                                              (uint64_t)entry[1] * VMDK_SECTOR_BYTES});
    }
    return err;
}

bool vmdk_can_repair(const struct node *node)
{
    const struct vmdk *v = vmdk_of(node);
    const struct vmdk_extent *e = v->nr_extents == 1 ? &v->extents[0] : NULL;

    return e && !e->flat && !e->sesparse && e->source == node->source &&
           e->gtes_per_gt <= VMDK_GTES_MAX;
}

enum guest_err vmdk_repair(struct node *node, struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail)
{
    const struct vmdk_extent *e = &vmdk_of(node)->extents[0];
    uint64_t gt_bytes = (uint64_t)e->gtes_per_gt * 4, size;
    struct repair r = {.e = e, .findings = findings, .reply = reply, .detail = detail};
    enum guest_err err = GUEST_OK;

    if (!align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &size))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    r.file_sectors = size / VMDK_SECTOR_BYTES;
    r.tables_left = TABLES_MIN + size / gt_bytes;
    r.list = op_list_new(e->source->blob);
    r.table[0] = arena_array(2, gt_bytes);
    if (!r.list || !r.table[0])
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    r.table[1] = r.table[0] ? r.table[0] + e->gtes_per_gt : NULL;
    if (!err)
        err = mend(&r);
    free(r.table[0]);
    if (!err && !op_list_empty(r.list))
        node->repair = op_list_plan(r.list);
    else
        op_list_free(r.list);
    return err;
}
