/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a differencing VHD that leave its blocks alone: another parent, and no blocks.
 *
 * The dynamic header names the parent in more than one sector. So a new one is written behind the
 * last block, with the name, and one write of the footer at the start switches to it; the footer at
 * the end moves out of the way first.
 */
#include "guest/formats/vpc.h"
#include "guest/formats/vpc_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/stepped.h"

/* ---- another parent ---- */

struct vpc_rebase {
    struct stepped_plan base;
    const struct vpc *vpc;
    struct vpc_parent parent;
    uint64_t place; /* of the new header, bytes; the locator follows */
    uint8_t dynamic[VPC_DYNAMIC_BYTES];
    uint8_t footer[VPC_FOOTER_BYTES];
};

static void put(struct plan_sink *sink, uint32_t blob, uint64_t offset, const uint8_t *bytes,
                uint32_t len, enum cell_op_note note)
{
    memcpy(plan_write(sink, blob, offset, len, note), bytes, len);
}

static enum guest_err rebase_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                                  bool *out_more, struct guest_err_detail *detail)
{
    struct vpc_rebase *r = (struct vpc_rebase *)plan;
    uint64_t end = plan->plan.file_size - VPC_FOOTER_BYTES;
    uint32_t blob = r->vpc->source->blob;

    (void)out_more;
    (void)detail;
    if (step == 1) {
        put(sink, blob, 0, r->footer, VPC_FOOTER_BYTES, CELL_NOTE_HEADER);
        plan_barrier(sink);
        put(sink, blob, end, r->footer, VPC_FOOTER_BYTES, CELL_NOTE_HEADER);
        return GUEST_OK;
    }
    put(sink, blob, end, r->vpc->footer_bytes, VPC_FOOTER_BYTES, CELL_NOTE_HEADER);
    plan_barrier(sink);
    put(sink, blob, r->place, r->dynamic, VPC_DYNAMIC_BYTES, CELL_NOTE_HEADER);
    put(sink, blob, r->parent.offset, r->parent.locator, r->parent.length, CELL_NOTE_BACKING_NAME);
    plan_barrier(sink);
    return GUEST_OK;
}

static const struct stepped_verbs rebase_verbs = {
    .step = rebase_step,
    .nr_steps = 2,
    .ops = 5,
    .bytes = 2 * VPC_FOOTER_BYTES + VPC_DYNAMIC_BYTES + 2 * PARENT_NAME_MAX,
};

static enum guest_err lay_out(struct vpc_rebase *r, struct guest_err_detail *detail)
{
    const struct vpc *vpc = r->vpc;
    enum guest_err err = source_read_padded(vpc->source, vpc->footer.data_offset,
                                            sizeof(r->dynamic), r->dynamic, detail);

    if (err)
        return err;
    r->place = max_u64(vpc->free_offset, vpc->file_end - VPC_FOOTER_BYTES);
    r->parent.offset = r->place + VPC_DYNAMIC_BYTES;
    r->base.plan.file_size = r->parent.offset + vpc_locator_space(&r->parent) + VPC_FOOTER_BYTES;
    vpc_put_parent(&r->parent, r->dynamic);
    vpc_seal(r->dynamic, sizeof(r->dynamic), VPC_DYNAMIC_CHECKSUM);
    memcpy(r->footer, vpc->footer_bytes, sizeof(r->footer));
    store_be64(r->footer + 16, r->place);
    vpc_seal(r->footer, sizeof(r->footer), VPC_FOOTER_CHECKSUM);
    return GUEST_OK;
}

static enum guest_err judge_request(const struct vpc *vpc, const Abi__BackingRequest *request,
                                    struct guest_err_detail *detail)
{
    if (!vpc->is_differencing)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    if (!request->has_backing)
        return vpc_error(detail, VPC_ERR_PARENT_NONE);
    if (!span_equal_text(span_of(request->format.data, request->format.len), "vpc"))
        return vpc_error(detail, VPC_ERR_PARENT_FORMAT);
    return GUEST_OK;
}

enum guest_err vpc_change_backing(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail)
{
    enum guest_err err = judge_request(vpc_of(node), request, detail);
    struct vpc_rebase *r;

    if (err)
        return err;
    r = arena_array(1, sizeof(*r));
    if (!r)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    r->vpc = vpc_of(node);
    stepped_init(&r->base, &rebase_verbs);
    err = vpc_describe_parent(span_of(request->name.data, request->name.len),
                              span_of(request->parent_guid.data, request->parent_guid.len),
                              request->parent_time_sec, &r->parent, detail);
    if (!err)
        err = lay_out(r, detail);
    if (err) {
        free(r);
        return err;
    }
    *out = &r->base.plan;
    return GUEST_OK;
}

/* ---- no blocks ---- */

struct vpc_emptying {
    struct stepped_plan base;
    const struct vpc *vpc;
};

/* What is before the blocks ends here, bytes. */
static uint64_t end_of_tables(const struct vpc *vpc)
{
    const struct vpc_dynamic *dynamic = &vpc->dynamic;
    uint64_t end = max_u64(vpc->footer.data_offset + VPC_DYNAMIC_BYTES,
                           dynamic->table_offset + vpc_table_bytes(dynamic->max_table_entries));

    for (unsigned i = 0; i < VPC_LOCATORS; i++)
        if (dynamic->locator[i].platform_code)
            end = max_u64(end, dynamic->locator[i].offset + dynamic->locator[i].length);
    return div_round_up_u64(end, VPC_SECTOR_BYTES) * VPC_SECTOR_BYTES;
}

static enum guest_err empty_step(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                                 bool *out_more, struct guest_err_detail *detail)
{
    static const uint8_t unallocated = 0xff;
    const struct vpc *vpc = ((struct vpc_emptying *)plan)->vpc;
    uint64_t end = end_of_tables(vpc), table_bytes;
    uint32_t blob = vpc->source->blob;

    (void)step;
    (void)out_more;
    (void)detail;
    table_bytes = (uint64_t)vpc->dynamic.max_table_entries * VPC_BAT_ENTRY_BYTES;
    if (table_bytes)
        plan_pattern(sink, blob, vpc->dynamic.table_offset, table_bytes, &unallocated, 1,
                     CELL_NOTE_L1_TABLE);
    plan_barrier(sink);
    if (end + VPC_FOOTER_BYTES >= vpc->source->size_bytes)
        return GUEST_OK;
    put(sink, blob, end, vpc->footer_bytes, VPC_FOOTER_BYTES, CELL_NOTE_HEADER);
    plan_barrier(sink);
    plan_simple(sink, CELL_OP_TRUNCATE, blob, end + VPC_FOOTER_BYTES, 0, CELL_NOTE_FILE_SIZE);
    return GUEST_OK;
}

static const struct stepped_verbs empty_verbs = {
    .step = empty_step,
    .nr_steps = 1,
    .ops = 5,
    .bytes = VPC_FOOTER_BYTES,
};

enum guest_err vpc_empty(struct node *node, struct plan **out, struct guest_err_detail *detail)
{
    struct vpc_emptying *e;

    if (!vpc_of(node)->is_differencing)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    e = arena_array(1, sizeof(*e));
    if (!e)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    stepped_init(&e->base, &empty_verbs);
    e->vpc = vpc_of(node);
    e->base.plan.file_size = node->source->size_bytes;
    *out = &e->base.plan;
    return GUEST_OK;
}
