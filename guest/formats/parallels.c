/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Parallels driver: opening an image, mapping through its BAT, and the table of its verbs.
 *
 * The order of the rules is stock's (11.1).
 */
#include "guest/formats/parallels.h"

#include "guest/lib/arena.h"

static bool has_magic(struct span head, const char *magic)
{
    return span_starts_with(head, magic);
}

static int parallels_probe(struct span head)
{
    struct span at;
    bool magic = has_magic(head, PARALLELS_MAGIC) || has_magic(head, PARALLELS_MAGIC_EXT);

    return magic && span_sub(head, PARALLELS_MAGIC_BYTES, 4, &at) &&
                   load_le32(at.data) == PARALLELS_VERSION
               ? 100
               : 0;
}

static void decode_header(struct span bytes, struct parallels_header *h)
{
    struct cursor c = cur_of(bytes);

    cur_skip(&c, PARALLELS_MAGIC_BYTES);
    h->version = cur_le32(&c);
    cur_skip(&c, 8);
    h->tracks = cur_le32(&c);
    h->nb_bat_entries = cur_le32(&c);
    h->nb_sectors = cur_le64(&c);
    h->in_use = cur_le32(&c);
    h->data_off = cur_le32(&c);
    cur_skip(&c, 4);
    h->ext_off = cur_le64(&c);
}

uint64_t parallels_data_min(const struct parallels *p, uint64_t entries)
{
    uint64_t unit = p->counts_clusters ? p->cluster_size : PARALLELS_SECTOR;

    return div_round_up_u64(PARALLELS_HEADER_BYTES + entries * PARALLELS_ENTRY_BYTES, unit) * unit;
}

static void find_data_start(struct parallels *p)
{
    uint64_t given = p->header.data_off * PARALLELS_SECTOR;

    p->data_start = parallels_data_min(p, p->header.nb_bat_entries);
    p->data_off_ok = true;
    if (p->header.data_off == 0 && !p->counts_clusters)
        return;
    p->data_off_ok = given >= p->data_start && given <= p->file_bytes;
    if (p->data_off_ok)
        p->data_start = given;
}

static enum guest_err validate_header(struct parallels *p, struct span bytes,
                                      struct guest_err_detail *detail)
{
    struct parallels_header *h = &p->header;
    bool old = has_magic(bytes, PARALLELS_MAGIC);

    p->counts_clusters = has_magic(bytes, PARALLELS_MAGIC_EXT);
    if (h->version != PARALLELS_VERSION || !(old || p->counts_clusters))
        return parallels_error(detail, PARALLELS_ERR_NOT_PARALLELS, 0);
    if (old)
        h->nb_sectors &= UINT32_MAX;
    if (h->tracks == 0)
        return parallels_error(detail, PARALLELS_ERR_NO_TRACKS, 0);
    if (h->tracks > PARALLELS_TRACKS_MAX)
        return parallels_error(detail, PARALLELS_ERR_CLUSTER_LARGE, 0);
    if (h->nb_bat_entries > PARALLELS_BAT_MAX)
        return parallels_error(detail, PARALLELS_ERR_BAT_LARGE, 0);
    if (div_round_up_u64(h->nb_sectors, h->tracks) > h->nb_bat_entries)
        return parallels_error(detail, PARALLELS_ERR_BAT_SMALL, 0);
    p->cluster_size = h->tracks * PARALLELS_SECTOR;
    p->entry_unit = p->counts_clusters ? p->cluster_size : PARALLELS_SECTOR;
    if (!align_up_u64(p->source->size_bytes, PARALLELS_SECTOR, &p->file_bytes))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    find_data_start(p);
    return GUEST_OK;
}

/* Whoever writes does not look at it, as in stock, and is told so. */
static enum guest_err look_at_extension(struct node *node, bool read_write,
                                        struct guest_err_detail *detail)
{
    struct parallels *p = parallels_of(node);

    if (p->header.ext_off == 0)
        return GUEST_OK;
    if (p->header.ext_off >= INT64_MAX / PARALLELS_SECTOR)
        return parallels_error(detail, PARALLELS_ERR_EXT_OFFSET, 0);
    if (!read_write)
        return parallels_read_extension(p, detail);
    node->warnings[node->nr_warnings++] = PARALLELS_WARN_EXT_IGNORED;
    return GUEST_OK;
}

static enum guest_err parallels_open(struct node *node, const Abi__OpenRequest *request,
                                     struct guest_err_detail *detail)
{
    struct parallels *p = arena_array(1, sizeof(*p));
    uint8_t bytes[PARALLELS_HEADER_BYTES];
    enum guest_err err;

    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = p;
    p->source = node->source;
    err = source_read_padded(node->source, 0, sizeof(bytes), bytes, detail);
    if (err)
        return err;
    decode_header(span_of(bytes, sizeof(bytes)), &p->header);
    err = validate_header(p, span_of(bytes, sizeof(bytes)), detail);
    if (!err)
        err = look_at_extension(node, request->read_write, detail);
    if (err)
        return err;
    node->virtual_size = p->header.nb_sectors * PARALLELS_SECTOR;
    /* Stock says nothing about it to who only reads. */
    node->dirty = request->read_write && p->header.in_use == PARALLELS_IN_USE;
    return GUEST_OK;
}

enum guest_err parallels_bat(struct parallels *p, uint64_t index, struct span *out,
                             struct guest_err_detail *detail)
{
    return table_window_get(
        &p->bat, p->source, PARALLELS_HEADER_BYTES + index * PARALLELS_ENTRY_BYTES,
        (p->header.nb_bat_entries - index) * (uint64_t)PARALLELS_ENTRY_BYTES, out, detail);
}

static enum guest_err parallels_map(struct node *node, uint64_t start, uint64_t length,
                                    struct layer_extent *out, struct guest_err_detail *detail)
{
    struct parallels *p = parallels_of(node);
    uint64_t within = start % p->cluster_size, nr = 1, max, expected, step;
    struct span entries;
    enum guest_err err = parallels_bat(p, start / p->cluster_size, &entries, detail);

    *out = (struct layer_extent){.source = p->source, .kind = CELL_EXTENT_HOLE};
    if (err)
        return err;
    expected = load_le32(entries.data);
    if (expected) {
        out->kind = CELL_EXTENT_DATA;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = expected * p->entry_unit + within;
    }
    step = expected ? p->cluster_size / p->entry_unit : 0;
    max = min_u64(entries.len / PARALLELS_ENTRY_BYTES,
                  div_round_up_u64(within + length, p->cluster_size));
    for (; nr < max; nr++) {
        expected += step;
        if (load_le32(&entries.data[nr * PARALLELS_ENTRY_BYTES]) != expected)
            break;
    }
    out->length = min_u64(nr * p->cluster_size - within, length);
    return GUEST_OK;
}

static void parallels_close(struct node *node)
{
    struct parallels *p = parallels_of(node);

    if (!p)
        return;
    table_window_clear(&p->bat);
    free(p->bitmaps);
    free(p);
    node->state = NULL;
}

const struct format_driver format_parallels = {
    .name = "parallels",
    .probe = parallels_probe,
    .open = parallels_open,
    .map = parallels_map,
    .info = parallels_info,
    .check = parallels_check,
    .create = parallels_create,
    .writer_open = parallels_writer_open,
    .resize = parallels_resize,
    .bitmap_read = parallels_bitmap_read,
    .close = parallels_close,
};
