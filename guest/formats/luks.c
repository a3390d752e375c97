/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LUKS driver: a header, and behind it the disk, encrypted sector by sector.
 */
#include "guest/formats/luks2.h"
#include "guest/formats/luks_create.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static int luks_probe(struct span head)
{
    struct cursor c = cur_of(head);
    struct span magic = cur_bytes(&c, LUKS_MAGIC_BYTES);
    uint16_t version = cur_be16(&c);

    return cur_ok(&c) && span_starts_with(magic, LUKS_MAGIC) && version == 1 ? 100 : 0;
}

static void luks_close(struct node *node)
{
    struct luks *luks = node->state;

    if (!luks)
        return;
    if (luks->v2)
        crypto_wipe(luks->v2, sizeof(*luks->v2));
    free(luks->v2);
    crypto_wipe(luks, sizeof(*luks));
    free(luks);
    node->state = NULL;
}

/* ---- version 1 ---- */

/* The disk is what follows the header, in whole sectors. */
static enum guest_err measure_payload(struct node *node, struct luks *luks,
                                      struct guest_err_detail *detail)
{
    uint64_t size;

    luks->payload_bytes = (uint64_t)luks->header.payload_offset * LUKS_SECTOR_BYTES;
    if (!align_up_u64(node->source->size_bytes, LUKS_SECTOR_BYTES, &size))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (luks->payload_bytes > size)
        return luks_error(detail, LUKS_ERR_PAYLOAD_BEYOND);
    node->virtual_size = size - luks->payload_bytes;
    return GUEST_OK;
}

static enum guest_err open_v1(struct node *node, struct luks *luks, const Abi__OpenRequest *request,
                              struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (!request->no_io) {
        struct span password = span_of(request->secret->data.data, request->secret->data.len);

        err = luks_unlock(luks_header_source(node), 0, &luks->header, password, NULL, detail);
        node->cipher = &luks->header.spec;
    }
    return err ? err : measure_payload(node, luks, detail);
}

/* ---- version 2, read-only ---- */

static enum guest_err measure_segment(struct node *node, struct luks *luks,
                                      struct guest_err_detail *detail)
{
    const struct luks2_segment *segment = luks->v2->segment;
    uint64_t size = node->source->size_bytes;

    luks->payload_bytes = segment->offset;
    if (segment->offset > size)
        return luks_error(detail, LUKS_ERR_PAYLOAD_BEYOND);
    if (!segment->dynamic && segment->size > size - segment->offset)
        return luks_error(detail, LUKS2_ERR_BEYOND);
    node->virtual_size =
        segment->dynamic ? (size - segment->offset) & ~(segment->sector_size - 1) : segment->size;
    return GUEST_OK;
}

static enum guest_err open_v2(struct node *node, struct luks *luks, const Abi__OpenRequest *request,
                              struct guest_err_detail *detail)
{
    struct luks2 *v2 = arena_array(1, sizeof(*v2));
    enum guest_err err;

    if (!v2)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    luks->v2 = v2;
    err = luks2_read(luks_header_source(node), v2, detail);
    if (err == (enum guest_err)LUKS_ERR_NOT_LUKS && luks->header.version == 2)
        err = luks_error_numbers(detail, LUKS_ERR_VERSION, 2, 0); /* nothing but the number */
    if (!err)
        err = measure_segment(node, luks, detail);
    if (err || request->no_io)
        return err;
    err = luks2_unlock(luks_header_source(node), v2, request, &node->wants, detail);
    if (!err && !node->wants)
        node->cipher = &v2->spec;
    node->iv_base = v2->segment->iv_tweak * CRYPTO_IV_SECTOR;
    return err;
}

/*
 * Version 2 is for reading alone. It has a second header, so that the first need not be there; and
 * it is never probed: stock takes such a file for raw, and who names no format gets what stock
 * gives.
 */
static enum guest_err luks_open(struct node *node, const Abi__OpenRequest *request,
                                struct guest_err_detail *detail)
{
    struct luks *luks = arena_array(1, sizeof(*luks));
    enum guest_err err = GUEST_OK;

    if (!luks)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = luks;
    if (!request->no_io)
        err = luks_need_secret(request->secret, "", detail);
    if (err)
        return err;
    err = luks_read_header(luks_header_source(node), 0, node->source->header != NULL, &luks->header,
                           detail);
    if (!err)
        err = open_v1(node, luks, request, detail);
    else if (!request->read_write &&
             (err == (enum guest_err)LUKS_ERR_NOT_LUKS ||
              (err == (enum guest_err)LUKS_ERR_VERSION && luks->header.version == 2)))
        err = open_v2(node, luks, request, detail);
    node->encrypted = true;
    node->payload_bytes = luks->payload_bytes;
    return err;
}

static enum guest_err luks_map(struct node *node, uint64_t start, uint64_t length,
                               struct layer_extent *out, struct guest_err_detail *detail)
{
    const struct luks *luks = node->state;

    *out = (struct layer_extent){
        .length = length,
        .offset = luks->payload_bytes + start,
        .source = node->source,
        .kind = CELL_EXTENT_ENCRYPTED,
    };
    return GUEST_OK;
}

static enum guest_err luks_info(struct node *node, Abi__InfoReply *reply,
                                struct guest_err_detail *detail)
{
    const struct luks *luks = node->state;

    bool detached = node->source->header != NULL;

    return luks->v2 ? luks2_fill_info(luks->v2, detached, reply, detail)
                    : luks_fill_info(&luks->header, detached, reply, detail);
}

const struct format_driver format_luks = {
    .name = "luks",
    .probe = luks_probe,
    .open = luks_open,
    .map = luks_map,
    .info = luks_info,
    .create = luks_create,
    .close = luks_close,
};
