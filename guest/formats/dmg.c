/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dmg driver: disk images of macOS, for reading.
 */
#include "guest/formats/dmg.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SEARCH_BYTES 515u

/* No sign at the start of the file: the host says when the file's name asks for it. */
static int dmg_probe(struct span head)
{
    return 0;
}

/*
 * Where the trailer begins: in the last whole sector of the file or in the one before, if the file
 * does not end on a sector.
 */
static enum guest_err find_trailer(struct dmg *dmg, uint64_t *out, struct guest_err_detail *detail)
{
    uint8_t bytes[SEARCH_BYTES];
    uint64_t length, offset = 0;
    enum guest_err err;

    if (!align_up_u64(dmg->source->size_bytes, DMG_SECTOR_BYTES, &length))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (length < DMG_TRAILER_BYTES)
        return err_plain(detail, (enum guest_err)DMG_ERR_SHORT);
    if (length > 2 * DMG_SECTOR_BYTES - 1)
        offset = length - (2 * DMG_SECTOR_BYTES - 1);
    length = min_u64(length, SEARCH_BYTES);
    err = source_read_padded(dmg->source, offset, length, bytes, detail);
    if (err)
        return err;
    for (uint64_t i = 0; i + 4 <= length; i++) {
        if (memcmp(&bytes[i], "koly", 4) == 0) {
            *out = offset + i;
            return GUEST_OK;
        }
    }
    return err_plain(detail, (enum guest_err)DMG_ERR_TRAILER);
}

/* Both forks and the list lie before the trailer. */
static enum guest_err read_tables(struct dmg *dmg, const uint8_t *trailer, uint64_t at,
                                  struct guest_err_detail *detail)
{
    uint64_t data = load_be64(&trailer[DMG_AT_DATA_FORK_OFFSET]);
    uint64_t rsrc = load_be64(&trailer[DMG_AT_RSRC_FORK_OFFSET]);
    uint64_t rsrc_len = load_be64(&trailer[DMG_AT_RSRC_FORK_LENGTH]);
    uint64_t xml = load_be64(&trailer[DMG_AT_XML_OFFSET]);
    uint64_t xml_len = load_be64(&trailer[DMG_AT_XML_LENGTH]);
    enum guest_err err;

    if (data > at || rsrc >= at || rsrc_len > at - rsrc || xml >= at || xml_len > at - xml ||
        load_be64(&trailer[DMG_AT_SECTOR_COUNT]) > INT64_MAX)
        return dmg_invalid(detail);
    dmg->data_fork_offset = data;
    if (rsrc_len)
        err = dmg_read_resources(dmg, rsrc, rsrc_len, detail);
    else if (xml_len)
        err = dmg_read_list(dmg, xml, xml_len, detail);
    else
        err = dmg_invalid(detail);
    /* Stock 7.2 takes an empty table, and reads beside it. */
    return !err && dmg->nr_chunks == 0 ? dmg_invalid(detail) : err;
}

static enum guest_err dmg_open(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    uint8_t trailer[DMG_TRAILER_BYTES];
    struct dmg *dmg;
    uint64_t at = 0;
    enum guest_err err;

    if (request->read_write)
        return err_plain(detail, GUEST_ERR_READ_ONLY);
    dmg = arena_array(1, sizeof(*dmg));
    if (!dmg)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = dmg;
    dmg->source = node->source;
    err = find_trailer(dmg, &at, detail);
    if (!err)
        err = source_read_padded(dmg->source, at, sizeof(trailer), trailer, detail);
    if (!err)
        err = read_tables(dmg, trailer, at, detail);
    if (!err &&
        !mul_u64(load_be64(&trailer[DMG_AT_SECTOR_COUNT]), DMG_SECTOR_BYTES, &node->virtual_size))
        err = err_plain(detail, (enum guest_err)DMG_ERR_SECTOR_COUNT);
    if (!err && node->virtual_size > INT64_MAX)
        err = err_plain(detail, (enum guest_err)DMG_ERR_SECTOR_COUNT);
    if (!err && dmg->has_unknown) {
        node->warning_numbers[node->nr_warnings] = dmg->unknown_type;
        node->warnings[node->nr_warnings++] = (uint32_t)DMG_WARN_TYPE;
    }
    return err;
}

static void dmg_close(struct node *node)
{
    struct dmg *dmg = node->state;

    if (dmg)
        free(dmg->chunks);
    free(dmg);
    node->state = NULL;
}

/* The chunk that holds a sector, or NULL. In a table out of order it is a matter of luck, as in
 * stock. out: *out_next, if there is none: where the next begins. */
static const struct dmg_chunk *find_chunk(const struct dmg *dmg, uint64_t sector,
                                          uint64_t *out_next)
{
    uint32_t low = 0, high = dmg->nr_chunks;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct dmg_chunk *chunk = &dmg->chunks[middle];

        if (chunk->sector > sector)
            high = middle;
        else if (sector - chunk->sector < chunk->sector_count)
            return chunk;
        else
            low = middle + 1;
    }
    *out_next = low < dmg->nr_chunks ? dmg->chunks[low].sector : UINT64_MAX;
    return NULL;
}

static enum cell_codec codec_of(uint32_t type)
{
    switch (type) {
    case DMG_CHUNK_ADC:
        return CELL_CODEC_ADC;
    case DMG_CHUNK_BZ2:
        return CELL_CODEC_BZ2;
    case DMG_CHUNK_LZFSE:
        return CELL_CODEC_LZFSE;
    default:
        return CELL_CODEC_ZLIB_CHUNK;
    }
}

/* What no chunk holds, or a chunk that has too few bytes, is there and cannot be read. */
static void describe_unreadable(struct layer_extent *out)
{
    out->kind = CELL_EXTENT_DATA;
    out->flags |= CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_REJECTED;
    out->offset = 0;
}

static void describe(const struct dmg_chunk *chunk, uint64_t skip, struct layer_extent *out)
{
    uint64_t bytes = chunk->sector_count * DMG_SECTOR_BYTES;

    if (chunk->type == DMG_CHUNK_ZERO || chunk->type == DMG_CHUNK_IGNORE)
        return;
    if (chunk->offset > INT64_MAX - DMG_CHUNK_LENGTH_MAX || chunk->length == 0 ||
        (chunk->type == DMG_CHUNK_RAW && chunk->length < bytes)) {
        describe_unreadable(out);
        return;
    }
    out->flags |= CELL_EXTENT_HAS_OFFSET;
    if (chunk->type == DMG_CHUNK_RAW) {
        out->kind = CELL_EXTENT_DATA;
        out->offset = chunk->offset + skip;
        return;
    }
    out->kind = CELL_EXTENT_COMPRESSED;
    out->offset = chunk->offset;
    out->comp_len = (uint32_t)min_u64(chunk->length, 2 * bytes);
    out->unit_len = (uint32_t)bytes;
    out->skip = (uint32_t)skip;
    out->codec = (uint8_t)codec_of(chunk->type);
}

static enum guest_err dmg_map(struct node *node, uint64_t start, uint64_t length,
                              struct layer_extent *out, struct guest_err_detail *detail)
{
    struct dmg *dmg = node->state;
    uint64_t sector = start / DMG_SECTOR_BYTES, left, next = sector;
    const struct dmg_chunk *chunk = find_chunk(dmg, sector, &next);

    *out = (struct layer_extent){
        .source = node->source,
        .kind = CELL_EXTENT_ZERO,
        .flags = CELL_EXTENT_OPAQUE,
    };
    left = chunk ? chunk->sector_count - (sector - chunk->sector) : next - sector;
    out->length = length;
    if (left <= length / DMG_SECTOR_BYTES)
        out->length = left * DMG_SECTOR_BYTES - start % DMG_SECTOR_BYTES;
    if (!chunk) {
        describe_unreadable(out);
        return GUEST_OK;
    }
    describe(chunk, start - chunk->sector * DMG_SECTOR_BYTES, out);
    return GUEST_OK;
}

/* Neither a cluster size nor a dirty flag. */
static enum guest_err dmg_info(struct node *node, Abi__InfoReply *reply,
                               struct guest_err_detail *detail)
{
    reply->no_summary = true;
    return GUEST_OK;
}

const struct format_driver format_dmg = {
    .name = "dmg",
    .probe = dmg_probe,
    .open = dmg_open,
    .map = dmg_map,
    .info = dmg_info,
    .close = dmg_close,
};
