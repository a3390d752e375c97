/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a differencing VHDX that leave its blocks alone: another parent, and no blocks.
 *
 * A new locator is written where the metadata region is free; one row of the metadata table, which
 * lies in one sector, switches to it.
 */
#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/stepped.h"

#define TABLE_HEAD_BYTES 32u
#define ALIGN            512u

struct vhdx_rebase {
    struct stepped_plan base;
    struct vhdx *vhdx;
    struct vhdx_locator locator;
    uint32_t place; /* from the start of the metadata region */
};

/* ---- another parent ---- */

static enum guest_err rebase_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                                  bool *out_more, struct guest_err_detail *detail)
{
    struct vhdx_rebase *r = (struct vhdx_rebase *)plan;
    struct vhdx *vhdx = r->vhdx;
    uint32_t blob = vhdx->source->blob, row = vhdx->items[VHDX_ITEM_PARENT].row;

    (void)step;
    (void)out_more;
    (void)detail;
    vhdx_put_next_header(vhdx, true, sink);
    memcpy(plan_write(sink, blob, vhdx->metadata_offset + r->place, r->locator.length,
                      CELL_NOTE_BACKING_NAME),
           r->locator.bytes, r->locator.length);
    plan_barrier(sink);
    vhdx_make_locator_row(r->place, r->locator.length,
                          plan_write(sink, blob,
                                     vhdx->metadata_offset + TABLE_HEAD_BYTES +
                                         (uint64_t)row * VHDX_METADATA_ROW_BYTES,
                                     VHDX_METADATA_ROW_BYTES, CELL_NOTE_HEADER));
    return GUEST_OK;
}

static const struct stepped_verbs rebase_verbs = {
    .step = rebase_step,
    .nr_steps = 1,
    .ops = 5,
    .bytes = VHDX_HEADER_BYTES + sizeof(struct vhdx_locator) + VHDX_METADATA_ROW_BYTES,
};

/* Whether nothing in the table lies over [place, place + length). */
static bool is_free(struct span table, uint32_t count, uint64_t place, uint64_t length,
                    uint64_t *out_next)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *row = table.data + TABLE_HEAD_BYTES + i * VHDX_METADATA_ROW_BYTES;
        uint64_t start = load_le32(row + 16), end = start + load_le32(row + 20);

        if (start < place + length && place < end) {
            *out_next = end;
            return false;
        }
    }
    return true;
}

/* The first place behind the table that no item has. bound: 2047 tries, each over 2047 rows */
static enum guest_err find_place(struct vhdx_rebase *r, struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = r->vhdx;
    uint8_t *bytes = arena_bytes(VHDX_METADATA_TABLE_BYTES);
    uint64_t place = VHDX_METADATA_TABLE_BYTES;
    enum guest_err err;
    uint32_t count;

    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = vhdx_read(vhdx, vhdx->metadata_offset, VHDX_METADATA_TABLE_BYTES, bytes, detail);
    count = err ? 0 : (uint32_t)min_u64(load_le16(bytes + 10), VHDX_ENTRIES_MAX);
    for (uint32_t i = 0; i <= count; i++) {
        uint64_t next = place;

        if (is_free(span_of(bytes, VHDX_METADATA_TABLE_BYTES), count, place, r->locator.length,
                    &next))
            break;
        place = div_round_up_u64(next, ALIGN) * ALIGN;
    }
    free(bytes);
    if (!err && !range_inside_u64(place, r->locator.length, vhdx->metadata_length))
        err = vhdx_error(detail, VHDX_ERR_PARENT_FULL);
    r->place = (uint32_t)place;
    return err;
}

static enum guest_err judge_request(const struct vhdx *vhdx, const Abi__BackingRequest *request,
                                    struct guest_err_detail *detail)
{
    if (!(vhdx->params & VHDX_HAS_PARENT))
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    if (!request->has_backing)
        return vhdx_error(detail, VHDX_ERR_PARENT_NONE);
    if (!span_equal_text(span_of(request->format.data, request->format.len), "vhdx"))
        return vhdx_error(detail, VHDX_ERR_PARENT_FORMAT);
    return GUEST_OK;
}

enum guest_err vhdx_change_backing(struct node *node, const Abi__BackingRequest *request,
                                   struct plan **out, struct guest_err_detail *detail)
{
    enum guest_err err = judge_request(vhdx_of(node), request, detail);
    struct vhdx_rebase *r;

    if (err)
        return err;
    r = arena_array(1, sizeof(*r));
    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->vhdx = vhdx_of(node);
    stepped_init(&r->base, &rebase_verbs);
    r->base.plan.file_size = node->source->size_bytes;
    err = vhdx_make_locator(span_of(request->name.data, request->name.len),
                            span_of(request->parent_guid.data, request->parent_guid.len),
                            &r->locator, detail);
    if (!err)
        err = find_place(r, detail);
    if (err) {
        free(r);
        return err;
    }
    *out = &r->base.plan;
    return GUEST_OK;
}

/* ---- no blocks ---- */

struct vhdx_emptying {
    struct stepped_plan base;
    struct vhdx *vhdx;
    uint64_t end; /* of what is left, bytes */
};

enum empty_step {
    EMPTY_HEADER,
    EMPTY_BLOCKS,  /* entries of blocks, chunk by chunk */
    EMPTY_BITMAPS, /* which blocks that are partially there need until then */
    EMPTY_FILE,
    EMPTY_DONE,
};

/* The entries of one chunk's blocks, or that of its bitmap, become zeros. */
static void put_chunk(struct vhdx_emptying *e, bool bitmap, struct plan_sink *sink)
{
    const struct vhdx *vhdx = e->vhdx;
    uint64_t ratio = vhdx->chunk_ratio, chunk = e->base.at++;
    uint64_t index = chunk * (ratio + 1) + (bitmap ? ratio : 0);

    plan_simple(sink, CELL_OP_ZERO, vhdx->source->blob,
                vhdx->bat_offset + index * VHDX_BAT_ENTRY_BYTES,
                (bitmap ? 1 : ratio) * VHDX_BAT_ENTRY_BYTES, CELL_NOTE_L1_TABLE);
}

static enum guest_err empty_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                                 bool *out_more, struct guest_err_detail *detail)
{
    struct vhdx_emptying *e = (struct vhdx_emptying *)plan;
    struct vhdx *vhdx = e->vhdx;
    uint64_t chunks = vhdx->bat_entries / (vhdx->chunk_ratio + 1ull);

    (void)detail;
    switch (step) {
    case EMPTY_HEADER:
        vhdx_put_next_header(vhdx, true, sink);
        break;
    case EMPTY_BLOCKS:
    case EMPTY_BITMAPS:
        if (plan->at < chunks)
            put_chunk(e, step == EMPTY_BITMAPS, sink);
        *out_more = plan->at < chunks;
        if (!*out_more)
            plan_barrier(sink);
        break;
    default:
        if (e->end < vhdx->source->size_bytes)
            plan_simple(sink, CELL_OP_TRUNCATE, vhdx->source->blob, e->end, 0, CELL_NOTE_FILE_SIZE);
        break;
    }
    return GUEST_OK;
}

static const struct stepped_verbs empty_verbs = {
    .step = empty_step,
    .nr_steps = EMPTY_DONE,
    .ops = 2,
    .bytes = VHDX_HEADER_BYTES,
};

enum guest_err vhdx_empty(struct node *node, struct plan **out, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    uint64_t end = VHDX_HEADER_SECTION;
    struct vhdx_emptying *e;

    if (!(vhdx->params & VHDX_HAS_PARENT))
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    for (uint32_t i = 0; i < vhdx->nr_taken; i++)
        end = max_u64(end, vhdx->taken[i].end);
    e = arena_array(1, sizeof(*e));
    if (!e)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    stepped_init(&e->base, &empty_verbs);
    e->vhdx = vhdx;
    e->end = div_round_up_u64(end, VHDX_MIB) * VHDX_MIB;
    e->base.plan.file_size = node->source->size_bytes;
    *out = &e->base.plan;
    return GUEST_OK;
}
