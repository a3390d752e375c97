/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAP of a VMDK image: the extent that holds the offset, then its grains.
 *
 * The stream of a compressed grain stands behind a marker that says how long it is. The marker is
 * not looked at here, where that would cost a read for each grain, but by who decodes the grain
 * (guest/codec/grain.c).
 */
#include "guest/codec/decode.h"
#include "guest/formats/vmdk.h"
#include "guest/lib/checked.h"

static enum guest_err map_flat(const struct vmdk_extent *e, uint64_t at, uint64_t length,
                               struct layer_extent *out, struct guest_err_detail *detail)
{
    uint64_t offset, end;

    if (!add_u64(e->flat_offset, at, &offset) || !add_u64(offset, length, &end) || end > INT64_MAX)
        return vmdk_error(detail, VMDK_ERR_ENTRY, e->start + at / VMDK_SECTOR_BYTES);
    *out = (struct layer_extent){
        .length = length,
        .offset = offset,
        .source = e->source,
        .kind = CELL_EXTENT_DATA,
        .flags = CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_RECURSE,
    };
    return GUEST_OK;
}

/* The most bytes that a grain's stream can have, its marker included. */
static uint64_t stream_bytes(const struct vmdk_extent *e, const struct vmdk_grain *grain)
{
    uint64_t size = e->source->size_bytes;
    uint64_t most = 2 * vmdk_cluster_bytes(e);

    if (grain->offset >= size)
        return 1; /* there is nothing, and that does not decode */
    if (grain->next_offset > grain->offset)
        most = min_u64(most, grain->next_offset - grain->offset);
    return min_u64(most, size - grain->offset);
}

static enum guest_err map_grain(const struct vmdk_extent *e, const struct vmdk_grain *grain,
                                uint64_t into, uint64_t length, struct layer_extent *out,
                                struct guest_err_detail *detail)
{
    static const uint8_t kinds[] = {CELL_EXTENT_HOLE, CELL_EXTENT_ZERO, CELL_EXTENT_DATA};

    *out = (struct layer_extent){.length = length, .kind = kinds[grain->kind], .source = e->source};
    if (grain->kind != VMDK_GRAIN_DATA)
        return GUEST_OK;
    if (!e->compressed) {
        out->offset = grain->offset + into;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        return GUEST_OK;
    }
    if (vmdk_cluster_bytes(e) > DECODE_UNIT_MAX)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    out->kind = CELL_EXTENT_COMPRESSED;
    out->flags = CELL_EXTENT_HAS_OFFSET;
    out->codec = e->markers ? CELL_CODEC_VMDK_GRAIN : CELL_CODEC_ZLIB;
    out->offset = grain->offset;
    out->comp_len = (uint32_t)stream_bytes(e, grain);
    out->unit_len = (uint32_t)vmdk_cluster_bytes(e);
    out->skip = (uint32_t)into;
    return GUEST_OK;
}

enum guest_err vmdk_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    const struct vmdk_extent *e = vmdk_extent_at(v, start / VMDK_SECTOR_BYTES);
    uint64_t at, cluster, into;
    struct vmdk_grain grain;
    enum guest_err err;

    if (!e)
        return vmdk_error(detail, VMDK_ERR_ENTRY, start / VMDK_SECTOR_BYTES);
    at = start - e->start * VMDK_SECTOR_BYTES;
    length = min_u64(length, e->sectors * VMDK_SECTOR_BYTES - at);
    if (e->flat)
        return map_flat(e, at, length, out, detail);
    cluster = vmdk_cluster_bytes(e);
    into = at % cluster;
    err = vmdk_find_grain(v, e, at / cluster, div_round_up_u64(into + length, cluster), &grain,
                          detail);
    if (err)
        return err;
    length = min_u64(length, grain.same_grains * cluster - into);
    return map_grain(e, &grain, into, length, out, detail);
}
