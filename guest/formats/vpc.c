/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vpc driver (VHD: fixed, dynamic, differencing): opening, where data is, and the table of its
 * verbs.
 *
 * Reading a dynamic disk stock looks at the BAT alone, and so do we: a sector whose bitmap bit is
 * clear has zeros in the block. In a differencing disk the bit says whose sector it is.
 */
#include "guest/formats/message.h"
#include "guest/formats/vpc.h"
#include "guest/formats/vpc_writer.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static int vpc_probe(struct span head)
{
    return span_starts_with(head, "conectix") ? 100 : 0;
}

static enum guest_err vpc_open(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    struct vpc *vpc = arena_array(1, sizeof(*vpc));
    enum guest_err err;

    if (!vpc)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = vpc;
    err = vpc_read_header(node, request->vpc_size, request->for_check, vpc, detail);
    if (!err && !vpc->is_fixed)
        node->cluster_size = vpc->dynamic.block_size;
    if (!err && vpc->is_differencing && !request->for_check)
        err = vpc_add_parent(node, vpc, detail);
    return err;
}

static enum guest_err vpc_info(struct node *node, Abi__InfoReply *reply,
                               struct guest_err_detail *detail)
{
    const struct vpc *vpc = vpc_of(node);

    reply->parent_time_sec = vpc->footer.time_stamp;
    return message_set_bytes(&reply->disk_guid,
                             span_of(vpc->footer.unique_id, sizeof(vpc->footer.unique_id)))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

static void vpc_close(struct node *node)
{
    struct vpc *vpc = vpc_of(node);

    if (vpc)
        free(vpc->bitmap);
    free(vpc);
    node->state = NULL;
}

/* All of the disk is the file, from its start. */
static void map_fixed(const struct vpc *vpc, uint64_t start, uint64_t length,
                      struct layer_extent *out)
{
    *out = (struct layer_extent){
        .length = length,
        .offset = start,
        .source = vpc->source,
        .kind = CELL_EXTENT_DATA,
        .flags = CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_RECURSE,
    };
}

enum guest_err vpc_map(struct node *node, uint64_t start, uint64_t length, struct layer_extent *out,
                       struct guest_err_detail *detail)
{
    struct vpc *vpc = vpc_of(node);
    uint64_t in_block;
    uint32_t entry;
    enum guest_err err;

    if (vpc->is_fixed) {
        map_fixed(vpc, start, length, out);
        return GUEST_OK;
    }
    in_block = start % vpc->dynamic.block_size;
    err = vpc_bat_entry(vpc, (uint32_t)(start / vpc->dynamic.block_size), &entry, detail);
    if (err)
        return err;
    *out = (struct layer_extent){
        .length = min_u64(length, vpc->dynamic.block_size - in_block),
        .source = vpc->source,
        .kind = vpc->is_differencing ? CELL_EXTENT_HOLE : CELL_EXTENT_ZERO,
    };
    if (entry != VPC_UNALLOCATED && vpc->is_differencing)
        return vpc_map_own(vpc, entry, in_block, out, detail);
    if (entry != VPC_UNALLOCATED) {
        out->kind = CELL_EXTENT_DATA;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = vpc_data_offset(vpc, entry) + in_block;
    }
    return GUEST_OK;
}

const struct format_driver format_vpc = {
    .name = "vpc",
    .probe = vpc_probe,
    .open = vpc_open,
    .map = vpc_map,
    .info = vpc_info,
    .check = vpc_check,
    .create = vpc_create,
    .writer_open = vpc_writer_open,
    .resize = vpc_resize_plan,
    .link_backing = vpc_link_backing,
    .change_backing = vpc_change_backing,
    .empty = vpc_empty,
    .close = vpc_close,
};
