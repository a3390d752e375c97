/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BAT, as the table writer needs to know it.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/parallels.h"
#include "guest/formats/table_writer.h"
#include "guest/lib/arena.h"

static enum table_entry_kind look(const void *image, uint64_t entry, uint64_t *out_offset)
{
    const struct parallels *p = image;

    if (entry == 0)
        return TABLE_ENTRY_ABSENT;
    *out_offset = entry * p->entry_unit;
    return *out_offset >= p->data_start ? TABLE_ENTRY_DATA : TABLE_ENTRY_BAD;
}

static uint64_t data_entry(const void *image, uint64_t offset)
{
    const struct parallels *p = image;

    return offset / p->entry_unit;
}

/* Bitmaps that do not see what is written are worth nothing. */
static void before(void *image, struct plan_sink *sink)
{
    struct parallels *p = image;

    if (p->header.ext_off == 0)
        return;
    p->header.ext_off = 0;
    store_le64(
        plan_write(sink, p->source->blob, PARALLELS_AT_EXT_OFF, sizeof(uint64_t), CELL_NOTE_HEADER),
        0);
}

static const struct table_format parallels_tables = {
    .entry_bytes = PARALLELS_ENTRY_BYTES,
    .look = look,
    .data_entry = data_entry,
    .before = before,
};

/* The end of the last cluster that an entry names. */
static enum guest_err find_end(struct parallels *p, uint64_t *out, struct guest_err_detail *detail)
{
    uint64_t nr = p->header.nb_bat_entries;
    struct span entries = {0};

    *out = max_u64(p->source->size_bytes, p->data_start);
    for (uint64_t i = 0; i < nr; i += entries.len / PARALLELS_ENTRY_BYTES) {
        enum guest_err err = parallels_bat(p, i, &entries, detail);

        if (err)
            return err;
        for (size_t at = 0; at + PARALLELS_ENTRY_BYTES <= entries.len;
             at += PARALLELS_ENTRY_BYTES) {
            uint64_t entry = load_le32(&entries.data[at]);

            if (entry && !parallels_cluster_ok(p, entry * p->entry_unit))
                return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT,
                                   PARALLELS_HEADER_BYTES + i * PARALLELS_ENTRY_BYTES + at, 0, 0,
                                   0);
        }
    }
    return GUEST_OK;
}

enum guest_err parallels_writer_open(struct node *node, const struct image_writer_options *options,
                                     struct image_writer **out, struct guest_err_detail *detail)
{
    struct parallels *p = parallels_of(node);
    struct table_image image = {
        .format = &parallels_tables,
        .image = p,
        .source = p->source,
        .disk_bytes = node->virtual_size,
        .block_bytes = p->cluster_size,
        .block_align = p->cluster_size,
        .block_base = p->counts_clusters ? 0 : p->data_start,
        .table_entries = p->header.nb_bat_entries,
        .table_align = PARALLELS_SECTOR,
        .nr_tables = 1,
    };
    enum guest_err err;

    if (p->header.in_use == PARALLELS_IN_USE || !p->data_off_ok)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    err = find_end(p, &image.end, detail);
    if (err)
        return err;
    image.tables = arena_array(1, sizeof(*image.tables));
    if (!image.tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    image.tables[0] = PARALLELS_HEADER_BYTES;
    image.table_entries = max_u64(image.table_entries, 1);
    err = table_writer_new(&image, options, out, detail);
    if (err)
        free(image.tables);
    return err;
}
