/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size for a VHD, which stock does not give.
 *
 * The footer says the size, so that it changes last when the disk grows and first when it shrinks.
 * Where the footer itself must move, a copy with the old size goes to the new end before anything
 * is written over the old place. A BAT that is too small is written anew behind the last block, and
 * one sector of the dynamic header switches to it. Sizes are exact from then on: the creator
 * becomes the one that stands for that.
 */
#include "guest/abi/error_vpc.h"
#include "guest/formats/vpc.h"
#include "guest/formats/vpc_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/stepped.h"

#define TABLE_CHUNK 65536u

enum step {
    STEP_COPY_FOOTER, /* growing: the old footer at the new end */
    STEP_TABLE,       /* growing: the BAT at its new place */
    STEP_SWITCH,
    STEP_CLEAR,    /* growing: what lies behind the old end of the disk */
    STEP_FOOTERS,  /* the size changes */
    STEP_FORGET,   /* shrinking: blocks that are gone */
    STEP_TRUNCATE, /* shrinking */
    STEP_DONE,
};

struct vpc_resize {
    struct stepped_plan base;
    struct vpc *vpc;
    uint64_t old_size, new_size;
    uint64_t old_end, new_end; /* of the file, the footer included */
    uint64_t table_offset;     /* the new place of the BAT, or the old one */
    uint32_t table_entries;
    uint32_t kept_blocks; /* entries from there on name no block of the disk */
    uint8_t footer[VPC_FOOTER_BYTES];
};

static bool grows(const struct vpc_resize *r)
{
    return r->new_size > r->old_size;
}

static bool moves_table(const struct vpc_resize *r)
{
    return r->vpc->has_table && r->table_offset != r->vpc->dynamic.table_offset;
}

static uint32_t blob_of(const struct vpc_resize *r)
{
    return r->vpc->source->blob;
}

/* ---- the steps ---- */

static void put_footer(struct vpc_resize *r, struct plan_sink *sink, uint64_t offset,
                       const uint8_t *footer)
{
    memcpy(plan_write(sink, blob_of(r), offset, VPC_FOOTER_BYTES, CELL_NOTE_HEADER), footer,
           VPC_FOOTER_BYTES);
    plan_barrier(sink);
}

/* The entry of a block in the new BAT. */
static enum guest_err kept_entry(struct vpc_resize *r, uint32_t index, uint32_t *out,
                                 struct guest_err_detail *detail)
{
    *out = VPC_UNALLOCATED;
    if (index >= r->kept_blocks || index >= r->vpc->dynamic.max_table_entries)
        return GUEST_OK;
    return vpc_bat_entry(r->vpc, index, out, detail);
}

/* A piece of the BAT, written where it will be. */
static enum guest_err put_table(struct vpc_resize *r, struct plan_sink *sink,
                                struct guest_err_detail *detail)
{
    uint64_t bytes = vpc_table_bytes(r->table_entries);
    uint64_t len = min_u64(TABLE_CHUNK, bytes - r->base.at);
    uint32_t first = (uint32_t)(r->base.at / VPC_BAT_ENTRY_BYTES);
    uint8_t *out =
        plan_write(sink, blob_of(r), r->table_offset + r->base.at, len, CELL_NOTE_L1_TABLE);

    for (uint32_t i = 0; i < len / VPC_BAT_ENTRY_BYTES; i++) {
        uint32_t entry;
        enum guest_err err = kept_entry(r, first + i, &entry, detail);

        if (err)
            return err;
        store_be32(out + i * 4ul, entry);
    }
    r->base.at += len;
    if (r->base.at == bytes)
        plan_barrier(sink);
    return GUEST_OK;
}

/* The first sector of the dynamic header has all that changes. */
static enum guest_err put_switch(struct vpc_resize *r, struct plan_sink *sink,
                                 struct guest_err_detail *detail)
{
    uint64_t offset = r->vpc->footer.data_offset;
    uint8_t bytes[VPC_DYNAMIC_BYTES];
    enum guest_err err = source_read_padded(r->vpc->source, offset, sizeof(bytes), bytes, detail);

    if (err)
        return err;
    store_be64(bytes + 16, r->table_offset);
    store_be32(bytes + 28, r->table_entries);
    vpc_seal(bytes, sizeof(bytes), VPC_DYNAMIC_CHECKSUM);
    memcpy(plan_write(sink, blob_of(r), offset, VPC_SECTOR_BYTES, CELL_NOTE_HEADER), bytes,
           VPC_SECTOR_BYTES);
    plan_barrier(sink);
    return GUEST_OK;
}

/* What a block holds behind `size` becomes zeros. */
static enum guest_err clear_tail(struct vpc_resize *r, struct plan_sink *sink, uint64_t size,
                                 struct guest_err_detail *detail)
{
    uint32_t block_size = r->vpc->dynamic.block_size, entry, used = (uint32_t)(size % block_size);
    enum guest_err err;

    if (used == 0)
        return GUEST_OK;
    err = vpc_bat_entry(r->vpc, (uint32_t)(size / block_size), &entry, detail);
    if (err || entry == VPC_UNALLOCATED)
        return err;
    plan_simple(sink, CELL_OP_ZERO, blob_of(r), vpc_data_offset(r->vpc, entry) + used,
                block_size - used, CELL_NOTE_DATA);
    return GUEST_OK;
}

static enum guest_err put_clear(struct vpc_resize *r, struct plan_sink *sink,
                                struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (r->vpc->is_fixed)
        plan_simple(sink, CELL_OP_ZERO, blob_of(r), r->old_size, r->new_size - r->old_size,
                    CELL_NOTE_DATA);
    else
        err = clear_tail(r, sink, r->old_size, detail);
    plan_barrier(sink);
    return err;
}

static enum guest_err do_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                              bool *out_more, struct guest_err_detail *detail)
{
    struct vpc_resize *r = (struct vpc_resize *)plan;
    bool dynamic = r->vpc->has_table;
    enum guest_err err = GUEST_OK;

    switch (step) {
    case STEP_COPY_FOOTER:
        if (grows(r) && r->new_end > r->old_end)
            put_footer(r, sink, r->new_end - VPC_FOOTER_BYTES, r->vpc->footer_bytes);
        break;
    case STEP_TABLE:
        if (moves_table(r)) {
            err = put_table(r, sink, detail);
            *out_more = r->base.at < vpc_table_bytes(r->table_entries);
        }
        break;
    case STEP_SWITCH:
        if (moves_table(r))
            err = put_switch(r, sink, detail);
        break;
    case STEP_CLEAR:
        if (grows(r))
            err = put_clear(r, sink, detail);
        break;
    case STEP_FOOTERS:
        if (dynamic)
            put_footer(r, sink, 0, r->footer);
        put_footer(r, sink, (grows(r) ? r->new_end : r->old_end) - VPC_FOOTER_BYTES, r->footer);
        break;
    case STEP_FORGET:
        if (dynamic && !grows(r)) {
            if (r->base.at == 0)
                err = clear_tail(r, sink, r->new_size, detail);
            if (!err)
                err = put_table(r, sink, detail);
            *out_more = r->base.at < vpc_table_bytes(r->table_entries);
        }
        break;
    default:
        if (!grows(r) && r->new_end < r->old_end) {
            put_footer(r, sink, r->new_end - VPC_FOOTER_BYTES, r->footer);
            plan_simple(sink, CELL_OP_TRUNCATE, blob_of(r), r->new_end, 0, CELL_NOTE_FILE_SIZE);
        }
        break;
    }
    return err;
}

static const struct stepped_verbs resize_verbs = {
    .step = do_step,
    .nr_steps = STEP_DONE,
    .ops = 4,
    .bytes = TABLE_CHUNK,
};

/* ---- decisions ---- */

static void make_footer(struct vpc_resize *r)
{
    struct vpc_geometry g = vpc_geometry_below(VPC_GEOMETRY_MAX_SECTORS);

    memcpy(r->footer, r->vpc->footer_bytes, sizeof(r->footer));
    memcpy(r->footer + 28, "qem2", 4);
    store_be64(r->footer + 48, r->new_size);
    store_be16(r->footer + 56, g.cylinder);
    r->footer[58] = g.heads;
    r->footer[59] = g.sectors;
    vpc_seal(r->footer, sizeof(r->footer), VPC_FOOTER_CHECKSUM);
}

/* Where the file ends when the blocks from kept_blocks on are gone. */
static enum guest_err end_of_kept(struct vpc_resize *r, struct guest_err_detail *detail)
{
    const struct vpc_dynamic *dynamic = &r->vpc->dynamic;
    uint64_t end = dynamic->table_offset + vpc_table_bytes(dynamic->max_table_entries);

    end = max_u64(end, r->vpc->footer.data_offset + VPC_DYNAMIC_BYTES);
    for (uint32_t i = 0; i < r->kept_blocks; i++) {
        uint32_t entry;
        enum guest_err err = vpc_bat_entry(r->vpc, i, &entry, detail);

        if (err)
            return err;
        if (entry != VPC_UNALLOCATED)
            end = max_u64(end, vpc_data_offset(r->vpc, entry) + dynamic->block_size);
    }
    r->new_end = min_u64(r->old_end, end + VPC_FOOTER_BYTES);
    return GUEST_OK;
}

/* Whether an entry behind the disk's end names a block that must not show up. */
static enum guest_err has_stray(struct vpc_resize *r, bool *out, struct guest_err_detail *detail)
{
    *out = false;
    for (uint32_t i = r->kept_blocks; i < r->vpc->dynamic.max_table_entries && !*out; i++) {
        uint32_t entry;
        enum guest_err err = vpc_bat_entry(r->vpc, i, &entry, detail);

        if (err)
            return err;
        *out = entry != VPC_UNALLOCATED;
    }
    return GUEST_OK;
}

static enum guest_err lay_out_dynamic(struct vpc_resize *r, struct guest_err_detail *detail)
{
    const struct vpc_dynamic *dynamic = &r->vpc->dynamic;
    uint64_t needed = div_round_up_u64(r->new_size, dynamic->block_size);
    uint64_t had = div_round_up_u64(r->old_size, dynamic->block_size);
    bool stray;
    enum guest_err err;

    if (needed > UINT32_MAX / VPC_BAT_ENTRY_BYTES)
        return vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
    r->table_offset = dynamic->table_offset;
    r->table_entries = dynamic->max_table_entries;
    r->kept_blocks = (uint32_t)min_u64(needed, had);
    r->new_end = r->old_end;
    if (!grows(r))
        return end_of_kept(r, detail);
    err = has_stray(r, &stray, detail);
    if (!err && (needed > dynamic->max_table_entries || stray)) {
        r->table_entries = (uint32_t)max_u64(needed, dynamic->max_table_entries);
        r->table_offset = max_u64(r->vpc->free_offset, r->old_end - VPC_FOOTER_BYTES);
        r->new_end = r->table_offset + vpc_table_bytes(r->table_entries) + VPC_FOOTER_BYTES;
    }
    return err;
}

static enum guest_err lay_out(struct vpc_resize *r, struct guest_err_detail *detail)
{
    if (r->vpc->is_differencing || (r->vpc->is_fixed && r->vpc->has_table))
        return vpc_error(detail, VPC_ERR_RESIZE_KIND);
    if (r->new_size / VPC_SECTOR_BYTES > VPC_SECTORS_MAX)
        return vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
    if (r->vpc->has_table)
        return lay_out_dynamic(r, detail);
    if (r->old_size + VPC_FOOTER_BYTES > r->old_end)
        return vpc_error(detail, VPC_ERR_WRITE_SHORT);
    r->new_end = grows(r) ? max_u64(r->old_end, r->new_size + VPC_FOOTER_BYTES)
                          : r->new_size + VPC_FOOTER_BYTES;
    return GUEST_OK;
}

enum guest_err vpc_resize_plan(struct node *node, const Abi__ResizeRequest *request,
                               struct plan **out, struct guest_err_detail *detail)
{
    struct vpc_resize *r = arena_array(1, sizeof(*r));
    enum guest_err err = GUEST_OK;

    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->vpc = vpc_of(node);
    stepped_init(&r->base, &resize_verbs);
    r->old_size = node->virtual_size;
    if (!align_up_u64(request->size, VPC_SECTOR_BYTES, &r->new_size) ||
        !align_up_u64(node->source->size_bytes, VPC_SECTOR_BYTES, &r->old_end))
        err = vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
    if (!err && request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        err = vpc_error(detail, VPC_ERR_RESIZE_PREALLOC);
    if (!err && r->new_size != r->old_size)
        err = lay_out(r, detail);
    if (err) {
        free(r);
        return err;
    }
    if (r->new_size == r->old_size)
        stepped_skip_all(&r->base);
    make_footer(r);
    r->base.plan.file_size = max_u64(r->old_end, r->new_end);
    *out = &r->base.plan;
    return GUEST_OK;
}
