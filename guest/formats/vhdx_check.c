/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check of a VHDX. Stock compares blocks with regions and with the file's end; besides that, the
 * second header and region table are looked at, and blocks are sorted by place, so that those which
 * lie over each other show. What is repaired is decided on the way (guest/formats/vhdx_mend.h).
 */
#include "guest/formats/vhdx_log.h"
#include "guest/formats/vhdx_mend.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct check_run {
    struct vhdx *vhdx;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct vhdx_mend *mend; /* NULL: nothing is repaired */
    struct guest_err_detail *detail;
    enum guest_err err; /* of a repair */
    uint64_t mended;    /* the entry that was repaired last */
    uint64_t *places;   /* MiB << 32 | index, of what is there */
    uint64_t nr_places;
};

#define NO_ENTRY UINT64_MAX

static void report(struct check_run *run, uint32_t code, uint32_t flags, bool fixed,
                   const uint64_t number[4])
{
    struct cell_finding finding = {.code = code, .flags = flags};

    if (fixed)
        finding.flags = CELL_FINDING_REPAIRED;
    memcpy(finding.number, number, sizeof(finding.number));
    run->findings->add(run->findings, &finding);
    run->reply->corruptions += !fixed;
    run->reply->corruptions_fixed += fixed;
}

static void found(struct check_run *run, uint32_t code, bool fixed, uint64_t a, uint64_t b,
                  uint64_t c)
{
    const uint64_t number[4] = {a, b, c};

    report(run, code, 0, fixed, number);
}

/* ---- copies of headers ---- */

static enum guest_err audit_copies(struct check_run *run)
{
    const struct vhdx *vhdx = run->vhdx;
    bool fixed = run->mend != NULL;
    enum guest_err err = GUEST_OK;

    if (vhdx->other_bad) {
        found(run, VHDX_FOUND_HEADER, fixed, vhdx->current == 0 ? 2 : 1, 0, 0);
        if (fixed)
            vhdx_mend_header(run->mend);
    }
    for (unsigned i = 0; !err && i < 2; i++) {
        if (!vhdx->regions_bad[i])
            continue;
        found(run, VHDX_FOUND_REGIONS, fixed, i + 1, 0, 0);
        if (fixed)
            err = vhdx_mend_regions(run->mend, i, run->detail);
    }
    return err;
}

/* ---- the BAT ---- */

/* What stock finds as well, in its words. */
static bool audited(void *user, uint64_t index, enum guest_err code,
                    const struct guest_err_detail *detail)
{
    struct check_run *run = user;

    report(run, code, CELL_FINDING_PREFIXED, run->mend != NULL, detail->number);
    if (!run->mend || run->mended == index || (uint32_t)code == VHDX_LINE_OVERFLOW)
        return true;
    run->mended = index;
    if ((uint32_t)code == VHDX_LINE_START)
        run->err = vhdx_mend_forget(run->mend, index, run->detail);
    else if ((uint32_t)code == VHDX_LINE_END)
        vhdx_mend_reach(run->mend, detail->number[1] + 1);
    else
        run->err = vhdx_mend_move(run->mend, index, run->detail);
    return run->err == GUEST_OK;
}

static bool is_bitmap(const struct vhdx *vhdx, uint64_t index)
{
    return index % (vhdx->chunk_ratio + 1ull) == vhdx->chunk_ratio;
}

/* Bytes that what an entry names has in the file; 0: it names nothing. */
static uint64_t bytes_of(const struct vhdx *vhdx, uint64_t index, uint64_t entry)
{
    unsigned state = entry & VHDX_STATE_MASK;
    bool child = vhdx->params & VHDX_HAS_PARENT;

    if (is_bitmap(vhdx, index))
        return child && state == VHDX_BITMAP_PRESENT ? VHDX_MIB : 0;
    if (state == VHDX_FULLY_PRESENT || (state == VHDX_PARTIALLY_PRESENT && child))
        return vhdx->block_size;
    return 0;
}

/* What only a differencing disk has: bitmaps inside the file, and one for a block in part there. */
static enum guest_err audit_child_entry(struct check_run *run, uint64_t index, uint64_t entry)
{
    struct vhdx *vhdx = run->vhdx;
    uint64_t chunk = vhdx->chunk_ratio + 1ull, offset = entry & VHDX_OFFSET_MASK;
    struct guest_err_detail unused;
    enum guest_err err;
    bool present;

    if (is_bitmap(vhdx, index)) {
        if (!range_inside_u64(offset, VHDX_MIB, vhdx->file_end) ||
            vhdx_check_free(vhdx, offset, VHDX_MIB, &unused))
            found(run, VHDX_FOUND_BITMAP, false, index, offset, 0);
        return GUEST_OK;
    }
    if ((entry & VHDX_STATE_MASK) != VHDX_PARTIALLY_PRESENT)
        return GUEST_OK;
    err = vhdx_find_bits(vhdx, index - index / chunk, &offset, &present, run->detail);
    if (!err && !present)
        found(run, VHDX_FOUND_NO_BITMAP, false, index, 0, 0);
    return err;
}

/* Counts, or with `places` gathers, what is there and lies inside the file. */
static enum guest_err gather(struct check_run *run)
{
    struct vhdx *vhdx = run->vhdx;
    uint64_t entries = vhdx->data_blocks ? vhdx_bat_in_file(vhdx) : 0, nr = 0;

    for (uint64_t i = 0; i < entries; i++) {
        uint64_t entry, length;
        enum guest_err err = vhdx_bat_entry(vhdx, i, &entry, run->detail);

        if (err)
            return err;
        length = bytes_of(vhdx, i, entry);
        if (length && (vhdx->params & VHDX_HAS_PARENT) && !run->places)
            err = audit_child_entry(run, i, entry);
        if (err)
            return err;
        if (!length || (entry & VHDX_OFFSET_MASK) >= vhdx->file_end ||
            (entry & VHDX_OFFSET_MASK) / VHDX_MIB > UINT32_MAX)
            continue;
        if (run->places)
            run->places[nr] = (entry & VHDX_OFFSET_MASK) / VHDX_MIB << 32 | i;
        nr++;
    }
    run->nr_places = nr;
    return GUEST_OK;
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static enum guest_err audit_overlaps(struct check_run *run)
{
    struct vhdx *vhdx = run->vhdx;
    uint64_t end = 0;
    uint32_t before = 0;
    enum guest_err err = GUEST_OK;

    qsort(run->places, run->nr_places, sizeof(*run->places), by_place);
    for (uint64_t i = 0; !err && i < run->nr_places; i++) {
        uint32_t index = (uint32_t)run->places[i];
        uint64_t offset = (run->places[i] >> 32) * VHDX_MIB;
        bool bitmap = is_bitmap(vhdx, index), fixed = run->mend && !bitmap;

        if (offset < end) {
            found(run, VHDX_FOUND_OVERLAP, fixed, index, before, offset);
            if (fixed)
                err = vhdx_mend_move(run->mend, index, run->detail);
        }
        end = max_u64(end, offset + (bitmap ? VHDX_MIB : vhdx->block_size));
        before = index;
    }
    return err;
}

static enum guest_err audit_places(struct check_run *run)
{
    enum guest_err err = gather(run);

    if (err)
        return err;
    run->places = arena_array(run->nr_places, sizeof(*run->places));
    if (!run->places)
        return err_plain(run->detail, GUEST_ERR_NO_MEMORY);
    err = gather(run);
    if (!err)
        err = audit_overlaps(run);
    free(run->places);
    return err;
}

enum guest_err vhdx_check(struct node *node, const Abi__CheckRequest *request,
                          struct finding_sink *findings, Abi__CheckReply *reply,
                          struct guest_err_detail *detail)
{
    struct vhdx_mend mend = {.vhdx = vhdx_of(node)};
    struct check_run run = {
        .vhdx = vhdx_of(node),
        .findings = findings,
        .reply = reply,
        .mend = request->fix_errors ? &mend : NULL,
        .detail = detail,
        .mended = NO_ENTRY,
    };
    enum guest_err err;

    if (node->dirty && (request->fix_errors || request->fix_leaks)) {
        reply->corruptions_fixed = 1;
        reply->repairs = true;
        return vhdx_replay_plan(vhdx_of(node), &node->repair, detail);
    }
    err = vhdx_mend_init(&mend, detail);
    if (!err)
        err = audit_copies(&run);
    if (!err)
        err = vhdx_audit_bat(run.vhdx, audited, &run, detail);
    if (!err)
        err = run.err;
    if (!err)
        err = audit_places(&run);
    if (!err)
        err = vhdx_mend_finish(&mend, &node->repair, detail);
    vhdx_mend_clear(&mend);
    return err;
}
