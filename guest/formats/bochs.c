/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Bochs driver: growing disk images ("Redolog", "Growing"), versions 1 and 2, for reading.
 * source: the description of disk image formats in the Bochs documentation; what stock looks at was
 * seen by changing one field at a time (tests/diff/cases/bochs.cases).
 *
 *   header ──► catalog ──► extents, each: bitmap (whole sectors), data
 *               4 B/entry  numbered from the catalog's end on
 *
 * Header, little-endian
 *   OFFSET SIZE NAME       MEANING
 *        0   32 magic      "Bochs Virtual HD Image"
 *       32   16 type       "Redolog"
 *       48   16 subtype    "Growing"
 *       64    4 version    0x10000 or 0x20000
 *       68    4 header     bytes: where the catalog is
 *       72    4 catalog    entries; 0xffffffff: the extent was never written
 *       76    4 bitmap     bytes of an extent's bitmap: a bit for each sector of its data, the
 * first the least significant 80    4 extent     bytes of an extent's data 84    4 timestamp
 * version 2 alone 84, 88   8 disk       bytes
 */
#include "guest/abi/error_bochs.h"
#include "guest/formats/format.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define HEADER_BYTES 512u
#define VERSION_1    0x00010000u
#define VERSION_2    0x00020000u
#define SECTOR_BYTES 512u
#define CATALOG_MAX  0x100000u
#define EXTENT_MAX   0x800000u
#define NO_EXTENT    0xffffffffu
#define BITMAP_MAX   (EXTENT_MAX / SECTOR_BYTES / 8)

struct bochs {
    struct source *source;
    uint64_t extent_size;   /* bytes */
    uint64_t extent_stride; /* bytes from one extent to the next */
    uint64_t bitmap_bytes;  /* in front of an extent's data */
    uint64_t data_offset;   /* of extent 0 */
    uint32_t catalog_size;
    uint32_t *catalog;
    /* The bitmap of one extent. */
    uint8_t bitmap[BITMAP_MAX];
    uint32_t bitmap_of; /* index in the catalog, NO_EXTENT: none */
};

static enum guest_err bochs_error(struct guest_err_detail *detail, enum bochs_err code, uint64_t n0)
{
    return err_numbers(detail, (enum guest_err)code, n0, 0, 0, 0);
}

/* A field that holds the text, and ends there. */
static bool is_text(struct span field, const char *text)
{
    size_t len = strlen(text);

    return span_starts_with(field, text) && len < field.len && field.data[len] == '\0';
}

static bool names_match(struct cursor *c)
{
    struct span magic = cur_bytes(c, 32), type = cur_bytes(c, 16), subtype = cur_bytes(c, 16);

    return cur_ok(c) && is_text(magic, "Bochs Virtual HD Image") && is_text(type, "Redolog") &&
           is_text(subtype, "Growing");
}

static int bochs_probe(struct span head)
{
    struct cursor c = cur_of(head);
    bool match = names_match(&c);
    uint32_t version = cur_le32(&c);

    return match && cur_ok(&c) && (version == VERSION_1 || version == VERSION_2) ? 100 : 0;
}

/* Fields of the header, and how an extent is laid out. */
static enum guest_err read_header(struct bochs *b, uint32_t *out_header, uint64_t *out_sectors,
                                  struct guest_err_detail *detail)
{
    uint8_t bytes[HEADER_BYTES];
    struct cursor c = cur_of(span_of(bytes, sizeof(bytes)));
    uint32_t version, bitmap, extent;
    enum guest_err err = source_read_padded(b->source, 0, sizeof(bytes), bytes, detail);

    if (err)
        return err;
    if (bochs_probe(span_of(bytes, sizeof(bytes))) == 0)
        return bochs_error(detail, BOCHS_ERR_MAGIC, 0);
    cur_skip(&c, 64);
    version = cur_le32(&c);
    *out_header = cur_le32(&c);
    b->catalog_size = cur_le32(&c);
    bitmap = cur_le32(&c);
    extent = cur_le32(&c);
    if (version == VERSION_2)
        cur_skip(&c, 4);
    *out_sectors = cur_le64(&c) / SECTOR_BYTES;
    if (b->catalog_size > CATALOG_MAX)
        return bochs_error(detail, BOCHS_ERR_CATALOG_LARGE, 0);
    if (extent < SECTOR_BYTES)
        return bochs_error(detail, BOCHS_ERR_EXTENT_SMALL, 0);
    if (!is_power_of_two_u64(extent))
        return bochs_error(detail, BOCHS_ERR_EXTENT_ODD, extent);
    if (extent > EXTENT_MAX)
        return bochs_error(detail, BOCHS_ERR_EXTENT_LARGE, extent);
    if (b->catalog_size < div_round_up_u64(*out_sectors, extent / SECTOR_BYTES))
        return bochs_error(detail, BOCHS_ERR_CATALOG_SMALL, 0);
    b->extent_size = extent;
    /* Of 32 bits, as in stock: a bitmap of 0 bytes takes 2^23 sectors. */
    b->bitmap_bytes = (1 + (bitmap - 1) / SECTOR_BYTES) * (uint64_t)SECTOR_BYTES;
    b->extent_stride = b->bitmap_bytes + extent;
    return GUEST_OK;
}

static enum guest_err read_catalog(struct bochs *b, uint32_t header,
                                   struct guest_err_detail *detail)
{
    uint64_t len = (uint64_t)b->catalog_size * sizeof(uint32_t);
    enum guest_err err;

    b->data_offset = (uint32_t)(header + len); /* of 32 bits, as in stock */
    b->catalog = arena_array(b->catalog_size, sizeof(*b->catalog));
    if (!b->catalog)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(b->source, header, len, b->catalog, detail);
    for (uint32_t i = 0; !err && i < b->catalog_size; i++)
        b->catalog[i] = load_le32((const uint8_t *)&b->catalog[i]);
    return err;
}

static enum guest_err bochs_open(struct node *node, const Abi__OpenRequest *request,
                                 struct guest_err_detail *detail)
{
    struct bochs *b;
    uint64_t sectors;
    uint32_t header;
    enum guest_err err;

    if (request->read_write)
        return err_plain(detail, GUEST_ERR_READ_ONLY);
    b = arena_array(1, sizeof(*b));
    if (!b)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = b;
    b->source = node->source;
    b->bitmap_of = NO_EXTENT;
    err = read_header(b, &header, &sectors, detail);
    if (!err)
        err = read_catalog(b, header, detail);
    node->virtual_size = err ? 0 : sectors * SECTOR_BYTES;
    return err;
}

static void bochs_close(struct node *node)
{
    struct bochs *b = node->state;

    if (b)
        free(b->catalog);
    free(b);
    node->state = NULL;
}

/* Where an extent's bitmap begins; false: beyond what an offset can say. */
static bool extent_place(const struct bochs *b, uint32_t index, uint64_t *out)
{
    return mul_u64(b->catalog[index], b->extent_stride, out) &&
           add_u64(*out, b->data_offset, out) && *out <= INT64_MAX - b->extent_stride;
}

static enum guest_err load_bitmap(struct bochs *b, uint32_t index, uint64_t place,
                                  struct guest_err_detail *detail)
{
    uint64_t len = div_round_up_u64(b->extent_size / SECTOR_BYTES, 8);
    enum guest_err err;

    if (b->bitmap_of == index)
        return GUEST_OK;
    b->bitmap_of = NO_EXTENT;
    err = source_read_padded(b->source, place, len, b->bitmap, detail);
    if (!err)
        b->bitmap_of = index;
    return err;
}

static bool is_written(const struct bochs *b, uint64_t sector)
{
    return b->bitmap[sector / 8] >> (sector % 8) & 1;
}

/* Runs do not cross extents; who asks joins them. */
static enum guest_err bochs_map(struct node *node, uint64_t start, uint64_t length,
                                struct layer_extent *out, struct guest_err_detail *detail)
{
    struct bochs *b = node->state;
    uint32_t index = (uint32_t)(start / b->extent_size);
    uint64_t within = start % b->extent_size, sector = within / SECTOR_BYTES, run = 1, place, end;
    enum guest_err err;

    *out = (struct layer_extent){
        .length = min_u64(length, b->extent_size - within),
        .source = node->source,
        .kind = CELL_EXTENT_ZERO,
        .flags = CELL_EXTENT_OPAQUE,
    };
    if (b->catalog[index] == NO_EXTENT)
        return GUEST_OK;
    if (!extent_place(b, index, &place)) {
        out->kind = CELL_EXTENT_DATA;
        out->flags |= CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_REJECTED;
        return GUEST_OK;
    }
    err = load_bitmap(b, index, place, detail);
    if (err)
        return err;
    end = div_round_up_u64(within + out->length, SECTOR_BYTES);
    while (sector + run < end && is_written(b, sector + run) == is_written(b, sector))
        run++;
    out->length = min_u64(out->length, (sector + run) * SECTOR_BYTES - within);
    if (is_written(b, sector)) {
        out->kind = CELL_EXTENT_DATA;
        out->flags |= CELL_EXTENT_HAS_OFFSET;
        out->offset = place + b->bitmap_bytes + within;
    }
    return GUEST_OK;
}

/* Neither a cluster size nor a dirty flag. */
static enum guest_err bochs_info(struct node *node, Abi__InfoReply *reply,
                                 struct guest_err_detail *detail)
{
    reply->no_summary = true;
    return GUEST_OK;
}

const struct format_driver format_bochs = {
    .name = "bochs",
    .probe = bochs_probe,
    .open = bochs_open,
    .map = bochs_map,
    .info = bochs_info,
    .close = bochs_close,
};
