/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/chain_read.h"

#include <stdlib.h>
#include <string.h>

#include "guest/codec/decode.h"
#include "guest/lib/arena.h"
#include "guest/plan/map.h"

#define CHAIN_EIO 5

/* The source of a blob, among the layers of a chain and their data files. */
static struct source *find_source(struct node *node, uint32_t blob)
{
    for (unsigned depth = 0; node && depth < MAP_DEPTH_MAX; node = node->backing, depth++) {
        if (node->source->blob == blob)
            return node->source;
        if (node->data_file && node->data_file->source->blob == blob)
            return node->data_file->source;
        for (unsigned i = 0; i < node->nr_extents; i++)
            if (node->extents[i]->source->blob == blob)
                return node->extents[i]->source;
    }
    return NULL;
}

static enum guest_err read_unit(struct source *source, const struct cell_extent *extent,
                                uint8_t *buf, struct guest_err_detail *detail)
{
    struct decoder *decoder = decoder_new();
    uint8_t *packed = arena_bytes(extent->comp_len), *unit = arena_bytes(extent->unit_len);
    enum guest_err err =
        decoder && packed && unit ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = source_read_padded(source, extent->offset, extent->comp_len, packed, detail);
    if (!err && decode_unit(decoder, extent->codec, span_of(packed, extent->comp_len), unit,
                            extent->unit_len))
        err = err_plain(detail, GUEST_ERR_DECODE);
    if (!err && !range_inside_u64(extent->skip, extent->length, extent->unit_len))
        err = err_plain(detail, GUEST_ERR_DECODE);
    if (!err)
        memcpy(buf, unit + extent->skip, extent->length);
    free(packed);
    free(unit);
    decoder_free(decoder);
    return err;
}

/* The layer of a chain at that depth. */
static const struct node *layer_at(const struct node *node, unsigned depth)
{
    while (node && depth-- > 0)
        node = node->backing;
    return node;
}

/* Encrypted bytes: whole sectors around what is wanted. */
static enum guest_err read_encrypted(const struct node *layer, struct source *source,
                                     const struct cell_extent *extent, uint8_t *buf,
                                     struct guest_err_detail *detail)
{
    struct sector_cipher *cipher = layer && layer->cipher ? sector_cipher_new(layer->cipher) : NULL;
    uint64_t iv, skip, len;
    uint8_t *sectors;
    enum guest_err err;

    if (!cipher)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    iv = layer->cipher_by_place ? extent->offset : extent->start;
    skip = iv % sector_cipher_unit(cipher);
    len = div_round_up_u64(skip + extent->length, sector_cipher_unit(cipher)) *
          sector_cipher_unit(cipher);
    sectors = arena_bytes(len);
    err = sectors ? source_read_padded(source, extent->offset - skip, len, sectors, detail)
                  : err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err) {
        sector_cipher_decrypt(cipher, iv - skip, sectors, len);
        memcpy(buf, sectors + skip, extent->length);
    }
    free(sectors);
    sector_cipher_free(cipher);
    return err;
}

static enum guest_err read_extent(struct node *node, const struct cell_extent *extent, uint8_t *buf,
                                  struct guest_err_detail *detail)
{
    struct source *source;
    if (extent->flags & CELL_EXTENT_BROKEN)
        return err_numbers(detail, GUEST_ERR_IO, CHAIN_EIO, extent->start, 0, 0);
    if (extent->flags & CELL_EXTENT_REJECTED && extent->kind >= CELL_EXTENT_DATA)
        return extent->flags & CELL_EXTENT_OPAQUE
                   ? err_numbers(detail, GUEST_ERR_IO, 5 /* EIO */, 0, 0, 0)
                   : err_plain(detail, GUEST_ERR_INVALID);
    switch (extent->kind) {
    case CELL_EXTENT_HOLE:
    case CELL_EXTENT_ZERO:
        memset(buf, 0, extent->length);
        return GUEST_OK;
    case CELL_EXTENT_DATA:
    case CELL_EXTENT_COMPRESSED:
    case CELL_EXTENT_ENCRYPTED:
        source = find_source(node, extent->blob);
        if (!source)
            return err_plain(detail, GUEST_ERR_NO_NODE);
        if (extent->kind == CELL_EXTENT_ENCRYPTED)
            return read_encrypted(layer_at(node, extent->depth), source, extent, buf, detail);
        return extent->kind == CELL_EXTENT_DATA
                   ? source_read_padded(source, extent->offset, extent->length, buf, detail)
                   : read_unit(source, extent, buf, detail);
    default:
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    }
}

enum guest_err chain_read(struct node *node, uint64_t start, uint64_t length, uint8_t *buf,
                          struct guest_err_detail *detail)
{
    uint64_t at = start, end = start + length;
    while (at < end) {
        struct cell_extent extent;
        uint32_t nr = 0;
        uint64_t next = at;
        enum guest_err err = plan_map(node, at, end - at, 0, &extent, 1, &nr, &next, detail);
        if (err && nr == 0)
            return err;
        err = read_extent(node, &extent, buf + (at - start), detail);
        if (err)
            return err;
        at += extent.length;
    }
    return GUEST_OK;
}
