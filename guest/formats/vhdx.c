/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhdx driver: opening, where data is, and the table of its verbs.
 *
 * Stock does not say where a VHDX keeps its data, so extents are opaque: read as they are, shown as
 * data without a place.
 */
#include "guest/formats/message.h"
#include "guest/formats/vhdx.h"
#include "guest/formats/vhdx_log.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SECTOR_BYTES 512u

static int vhdx_probe(struct span head)
{
    return span_starts_with(head, "vhdxfile") ? 100 : 0;
}

/* ---- findings about the BAT ---- */

struct first_finding {
    enum guest_err code;
    struct guest_err_detail *detail;
};

static bool keep_first(void *user, uint64_t index, enum guest_err code,
                       const struct guest_err_detail *detail)
{
    struct first_finding *first = user;

    (void)index;
    first->code = err_numbers(first->detail, code, detail->number[0], detail->number[1],
                              detail->number[2], detail->number[3]);
    return false;
}

static enum guest_err refuse_bat(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    struct first_finding first = {.detail = detail};
    enum guest_err err = vhdx_audit_bat(vhdx, keep_first, &first, detail);

    return err ? err : first.code;
}

/* ---- opening ---- */

/* A log that must be replayed is replayed before anything else is looked at, or refused. */
static enum guest_err open_log(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    enum guest_err err = vhdx_find_log(vhdx_of(node), &node->dirty, detail);
    struct plan *trial = NULL;

    if (err || !node->dirty)
        return err;
    if (!request->read_write)
        return vhdx_error(detail, VHDX_ERR_LOG_DIRTY);
    err = vhdx_replay_plan(vhdx_of(node), &trial, detail);
    if (!err)
        trial->verbs->free(trial);
    return err;
}

static enum guest_err vhdx_open(struct node *node, const Abi__OpenRequest *request,
                                struct guest_err_detail *detail)
{
    struct vhdx *vhdx = arena_array(1, sizeof(*vhdx));
    enum guest_err err;

    if (!vhdx)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = vhdx;
    vhdx->source = node->source;
    if (!align_up_u64(node->source->size_bytes, SECTOR_BYTES, &vhdx->file_end))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    err = vhdx_read_headers(vhdx, detail);
    if (!err)
        err = open_log(node, request, detail);
    if (err || node->dirty)
        return err;
    err = vhdx_read_regions(vhdx, request->for_check, detail);
    if (!err)
        err = vhdx_read_metadata(vhdx, detail);
    if (!err && (vhdx->params & VHDX_HAS_PARENT))
        err = vhdx_add_parent(node, detail);
    if (!err && !request->for_check)
        err = refuse_bat(vhdx, detail);
    node->virtual_size = vhdx->disk_size / SECTOR_BYTES * SECTOR_BYTES;
    node->cluster_size = vhdx->block_size;
    return err;
}

static void vhdx_close(struct node *node)
{
    struct vhdx *vhdx = vhdx_of(node);

    if (vhdx) {
        free(vhdx->taken);
        free(vhdx->bitmap);
    }
    free(vhdx);
    node->state = NULL;
}

static enum guest_err vhdx_info(struct node *node, Abi__InfoReply *reply,
                                struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = vhdx_of(node);
    struct span guid = span_of(vhdx->header.data_write_guid, VHDX_GUID_BYTES);

    return message_set_bytes(&reply->disk_guid, guid) ? GUEST_OK
                                                      : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

/* ---- reading ---- */

enum guest_err vhdx_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    uint64_t block = start / vhdx->block_size, in_block = start % vhdx->block_size, entry;
    enum guest_err err = vhdx_bat_entry(vhdx, vhdx_payload_index(vhdx, block), &entry, detail);

    if (err)
        return err;
    *out = (struct layer_extent){
        .length = min_u64(length, vhdx->block_size - in_block),
        .source = vhdx->source,
        .kind = CELL_EXTENT_ZERO,
        .flags = CELL_EXTENT_OPAQUE,
    };
    switch (entry & VHDX_STATE_MASK) {
    case VHDX_NOT_PRESENT:
        if (vhdx->params & VHDX_HAS_PARENT) {
            out->kind = CELL_EXTENT_HOLE;
            out->flags = 0;
        }
        return GUEST_OK;
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED:
    case VHDX_UNMAPPED_095:
        return GUEST_OK;
    case VHDX_FULLY_PRESENT:
        out->kind = CELL_EXTENT_DATA;
        out->flags |= CELL_EXTENT_HAS_OFFSET;
        out->offset = (entry & VHDX_OFFSET_MASK) + in_block;
        return GUEST_OK;
    case VHDX_PARTIALLY_PRESENT:
        out->offset = (entry & VHDX_OFFSET_MASK) + in_block;
        return vhdx_map_partial(vhdx, block, in_block, out, detail);
    default:
        out->flags |= CELL_EXTENT_BROKEN;
        return GUEST_OK;
    }
}

const struct format_driver format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .map = vhdx_map,
    .info = vhdx_info,
    .check = vhdx_check,
    .create = vhdx_create,
    .writer_open = vhdx_writer_open,
    .resize = vhdx_resize_plan,
    .link_backing = vhdx_link_backing,
    .change_backing = vhdx_change_backing,
    .empty = vhdx_empty,
    .close = vhdx_close,
};
