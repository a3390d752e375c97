/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions of a resize: whether it can be, and where everything goes.
 */
#include "guest/formats/vpc_resize.h"

#include "guest/abi/error_vpc.h"
#include "guest/formats/vpc_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define FILE_SECTORS_MAX 0xfffffffeull /* a BAT entry says no more */

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
    for (unsigned i = 0; r->vpc->is_differencing && i < VPC_LOCATORS; i++) {
        const struct vpc_locator *l = &dynamic->locator[i];
        uint64_t after;

        if (l->platform_code && add_u64(l->offset, l->length, &after) &&
            align_up_u64(after, VPC_SECTOR_BYTES, &after) && after <= r->old_end)
            end = max_u64(end, after);
    }
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
    if (!vpc_resize_grows(r))
        return end_of_kept(r, detail);
    err = has_stray(r, &stray, detail);
    if (!err && r->vpc->is_differencing)
        err = vpc_resize_find_hidden(r, detail);
    if (err || (needed <= dynamic->max_table_entries && !stray && r->nr_hidden == 0))
        return err;
    r->moves_table = true;
    r->table_entries = (uint32_t)max_u64(needed, dynamic->max_table_entries);
    r->table_offset = max_u64(r->vpc->free_offset, r->old_end - VPC_FOOTER_BYTES);
    r->hidden_offset = r->table_offset + vpc_table_bytes(r->table_entries);
    r->new_end = r->hidden_offset + r->nr_hidden * vpc_resize_span(r) + VPC_FOOTER_BYTES;
    return r->new_end / VPC_SECTOR_BYTES <= FILE_SECTORS_MAX
               ? GUEST_OK
               : vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
}

static enum guest_err lay_out(struct vpc_resize *r, struct guest_err_detail *detail)
{
    if (r->vpc->is_fixed && r->vpc->has_table)
        return vpc_error(detail, VPC_ERR_RESIZE_KIND);
    if (r->new_size / VPC_SECTOR_BYTES > VPC_SECTORS_MAX)
        return vpc_error(detail, VPC_ERR_SIZE_TOO_LARGE);
    if (r->vpc->has_table)
        return lay_out_dynamic(r, detail);
    if (r->old_size + VPC_FOOTER_BYTES > r->old_end)
        return vpc_error(detail, VPC_ERR_WRITE_SHORT);
    r->new_end = vpc_resize_grows(r) ? max_u64(r->old_end, r->new_size + VPC_FOOTER_BYTES)
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
    vpc_resize_start(r);
    r->old_size = node->virtual_size;
    r->parent_size = node->backing ? node->backing->virtual_size : 0;
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
