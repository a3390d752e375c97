/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cloop driver: compressed loop device images, version 2.0, for reading.
 * source: the layout of cloop files as its tools make them; what stock looks at was seen by
 * changing one field at a time (tests/diff/cases/cloop.cases).
 *
 *   OFFSET SIZE NAME         MEANING, big-endian
 *        0  128              a shell script; its text is how the format is recognised
 *      128    4 block_size   bytes of a block before compression, at most 64 MiB
 *      132    4 n_blocks
 *      136    8 offsets[]    n_blocks + 1: block i is a zlib stream at [offsets[i], offsets[i + 1])
 *
 * Up to 512 MiB of offsets: all of them are looked at when the image is opened, as stock does, and
 * read again as they are needed.
 */
#include "guest/abi/error_cloop.h"
#include "guest/formats/format.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SCRIPT                                                                                     \
    "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
#define HEADER_BYTES   136u
#define SECTOR_BYTES   512u
#define BLOCK_MAX      (64u << 20)
#define BLOCKS_MAX     0x1fffffffu /* what stock can count: 32 bits of bytes */
#define OFFSETS_MAX    (512u << 20)
#define OFFSET_BYTES   8u
#define WINDOW_OFFSETS 2048u

struct cloop {
    struct source *source;
    uint32_t block_size, n_blocks;
    uint64_t window[WINDOW_OFFSETS]; /* offsets [first, first + nr) */
    uint32_t window_first, window_nr;
};

static enum guest_err cloop_error(struct guest_err_detail *detail, enum cloop_err code, uint64_t n0,
                                  uint64_t n1)
{
    return err_numbers(detail, (enum guest_err)code, n0, n1, 0, 0);
}

/* Any better sign wins. */
static int cloop_probe(struct span head)
{
    return span_starts_with(head, SCRIPT) ? 2 : 0;
}

/* The index-th offset; behind the end of the file there are zeros. */
static enum guest_err get_offset(struct cloop *c, uint32_t index, uint64_t *out,
                                 struct guest_err_detail *detail)
{
    if (index < c->window_first || index - c->window_first >= c->window_nr) {
        uint32_t nr = (uint32_t)min_u64(WINDOW_OFFSETS, (uint64_t)c->n_blocks + 1 - index);
        enum guest_err err;

        c->window_nr = 0;
        err = source_read_padded(c->source, HEADER_BYTES + (uint64_t)index * OFFSET_BYTES,
                                 (uint64_t)nr * OFFSET_BYTES, c->window, detail);
        if (err)
            return err;
        for (uint32_t i = 0; i < nr; i++)
            c->window[i] = load_be64((const uint8_t *)&c->window[i]);
        c->window_first = index;
        c->window_nr = nr;
    }
    *out = c->window[index - c->window_first];
    return GUEST_OK;
}

static enum guest_err check_header(const struct cloop *c, struct guest_err_detail *detail)
{
    if (c->block_size % SECTOR_BYTES)
        return cloop_error(detail, CLOOP_ERR_BLOCK_ODD, c->block_size, 0);
    if (c->block_size == 0)
        return cloop_error(detail, CLOOP_ERR_BLOCK_ZERO, 0, 0);
    if (c->block_size > BLOCK_MAX)
        return cloop_error(detail, CLOOP_ERR_BLOCK_LARGE, c->block_size, 0);
    if (c->n_blocks > BLOCKS_MAX)
        return cloop_error(detail, CLOOP_ERR_BLOCKS, c->n_blocks, BLOCKS_MAX);
    /* The size of the largest count wraps round in stock, and cannot be had. */
    if (c->n_blocks == BLOCKS_MAX)
        return cloop_error(detail, CLOOP_ERR_NO_TABLE, 0, 0);
    if (((uint64_t)c->n_blocks + 1) * OFFSET_BYTES > OFFSETS_MAX)
        return cloop_error(detail, CLOOP_ERR_OFFSETS, 0, 0);
    return GUEST_OK;
}

static enum guest_err check_offsets(struct cloop *c, struct guest_err_detail *detail)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i <= c->n_blocks; i++) {
        uint64_t offset;
        enum guest_err err = get_offset(c, i, &offset, detail);

        if (err)
            return err;
        if (i && offset < before)
            return cloop_error(detail, CLOOP_ERR_ORDER, i, 0);
        if (i && offset - before > 2ull * BLOCK_MAX)
            return cloop_error(detail, CLOOP_ERR_SIZE, i, 0);
        before = offset;
    }
    return GUEST_OK;
}

static enum guest_err cloop_open(struct node *node, const Abi__OpenRequest *request,
                                 struct guest_err_detail *detail)
{
    uint8_t bytes[HEADER_BYTES];
    struct cloop *c;
    enum guest_err err;

    if (request->read_write)
        return err_plain(detail, GUEST_ERR_READ_ONLY);
    c = arena_array(1, sizeof(*c));
    if (!c)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = c;
    c->source = node->source;
    err = source_read_padded(node->source, 0, sizeof(bytes), bytes, detail);
    if (err)
        return err;
    c->block_size = load_be32(&bytes[128]);
    c->n_blocks = load_be32(&bytes[132]);
    err = check_header(c, detail);
    if (!err)
        err = check_offsets(c, detail);
    node->virtual_size = (uint64_t)c->n_blocks * c->block_size;
    return err;
}

static void cloop_close(struct node *node)
{
    free(node->state);
    node->state = NULL;
}

static enum guest_err cloop_map(struct node *node, uint64_t start, uint64_t length,
                                struct layer_extent *out, struct guest_err_detail *detail)
{
    struct cloop *c = node->state;
    uint32_t index = (uint32_t)(start / c->block_size);
    uint64_t offset, end;
    enum guest_err err = get_offset(c, index, &offset, detail);

    if (!err)
        err = get_offset(c, index + 1, &end, detail);
    if (err)
        return err;
    *out = (struct layer_extent){
        .length = min_u64(length, c->block_size - start % c->block_size),
        .source = node->source,
        .kind = CELL_EXTENT_COMPRESSED,
        .flags = CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_OPAQUE,
        .offset = offset,
        .comp_len = (uint32_t)min_u64(end - offset, 2ull * c->block_size),
        .unit_len = c->block_size,
        .skip = (uint32_t)(start % c->block_size),
        .codec = CELL_CODEC_ZLIB_CHUNK,
    };
    if (end > INT64_MAX || end <= offset) { /* nonsense, or no stream at all */
        out->kind = CELL_EXTENT_DATA;
        out->flags |= CELL_EXTENT_REJECTED;
        out->offset = 0;
    }
    return GUEST_OK;
}

/* Neither a cluster size nor a dirty flag. */
static enum guest_err cloop_info(struct node *node, Abi__InfoReply *reply,
                                 struct guest_err_detail *detail)
{
    reply->no_summary = true;
    return GUEST_OK;
}

const struct format_driver format_cloop = {
    .name = "cloop",
    .probe = cloop_probe,
    .open = cloop_open,
    .map = cloop_map,
    .info = cloop_info,
    .close = cloop_close,
};
