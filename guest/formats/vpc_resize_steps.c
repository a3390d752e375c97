/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a resize, in the order in which they are written.
 */
#include "guest/formats/vpc_make.h"
#include "guest/formats/vpc_resize.h"
#include "guest/lib/checked.h"

#define TABLE_CHUNK 65536u

enum step {
    STEP_COPY_FOOTER, /* growing: the old footer at the new end */
    STEP_HIDE,        /* growing, a child: zeros and bits of blocks that hide the parent */
    STEP_TABLE,       /* growing: the BAT at its new place */
    STEP_SWITCH,
    STEP_CLEAR,    /* growing: what lies behind the old end of the disk */
    STEP_FOOTERS,  /* the size changes */
    STEP_FORGET,   /* shrinking: blocks that are gone */
    STEP_TRUNCATE, /* shrinking */
    STEP_DONE,
};

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
    *out = vpc_resize_hidden_entry(r, index);
    if (*out != VPC_UNALLOCATED || index >= r->kept_blocks ||
        index >= r->vpc->dynamic.max_table_entries)
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

enum guest_err vpc_resize_clear_tail(struct vpc_resize *r, struct plan_sink *sink, uint64_t size,
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
        err = vpc_resize_clear_tail(r, sink, r->old_size, detail);
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
        if (vpc_resize_grows(r) && r->new_end > r->old_end)
            put_footer(r, sink, r->new_end - VPC_FOOTER_BYTES, r->vpc->footer_bytes);
        break;
    case STEP_HIDE:
        if (vpc_resize_grows(r) && r->vpc->is_differencing)
            err = vpc_resize_put_hidden(r, sink, out_more, detail);
        break;
    case STEP_TABLE:
        if (r->moves_table) {
            err = put_table(r, sink, detail);
            *out_more = r->base.at < vpc_table_bytes(r->table_entries);
        }
        break;
    case STEP_SWITCH:
        if (r->moves_table)
            err = put_switch(r, sink, detail);
        break;
    case STEP_CLEAR:
        if (vpc_resize_grows(r) && !r->vpc->is_differencing)
            err = put_clear(r, sink, detail);
        break;
    case STEP_FOOTERS:
        if (dynamic)
            put_footer(r, sink, 0, r->footer);
        put_footer(r, sink, (vpc_resize_grows(r) ? r->new_end : r->old_end) - VPC_FOOTER_BYTES,
                   r->footer);
        break;
    case STEP_FORGET:
        if (dynamic && !vpc_resize_grows(r)) {
            if (r->base.at == 0)
                err = vpc_resize_clear_tail(r, sink, r->new_size, detail);
            if (!err)
                err = put_table(r, sink, detail);
            *out_more = r->base.at < vpc_table_bytes(r->table_entries);
        }
        break;
    default:
        if (!vpc_resize_grows(r) && r->new_end < r->old_end) {
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
    .ops = 6,
    .bytes = TABLE_CHUNK,
};

void vpc_resize_start(struct vpc_resize *r)
{
    stepped_init(&r->base, &resize_verbs);
}
