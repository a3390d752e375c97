/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow's tables, as the table writer needs to know them.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/qcow.h"
#include "guest/formats/table_writer.h"
#include "guest/lib/arena.h"

static enum table_entry_kind look(const void *image, uint64_t entry, uint64_t *out_offset)
{
    const struct qcow *q = image;
    uint32_t len;

    if (entry == 0)
        return TABLE_ENTRY_ABSENT;
    if (entry & QCOW_OFLAG_COMPRESSED) {
        qcow_compressed_range(q, entry, out_offset, &len);
        return TABLE_ENTRY_COMPRESSED;
    }
    *out_offset = entry;
    return entry % QCOW_SECTOR_BYTES == 0 && entry >= QCOW_HEADER_BYTES ? TABLE_ENTRY_DATA
                                                                        : TABLE_ENTRY_BAD;
}

static uint64_t data_entry(const void *image, uint64_t offset)
{
    return offset;
}

static uint64_t compressed_entry(const void *image, uint64_t offset, uint32_t len)
{
    const struct qcow *q = image;

    return QCOW_OFLAG_COMPRESSED | (uint64_t)len << (63 - q->header.cluster_bits) | offset;
}

static const struct table_format qcow_tables = {
    .entry_bytes = QCOW_ENTRY_BYTES,
    .big_endian = true,
    .look = look,
    .data_entry = data_entry,
    .compressed_entry = compressed_entry,
};

/* Where each L2 table is. */
static enum guest_err read_tables(struct qcow *q, uint64_t *tables, struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < q->l1_entries;) {
        struct span entries;
        enum guest_err err = qcow_l1(q, i, &entries, detail);

        if (err)
            return err;
        for (size_t at = 0; at + QCOW_ENTRY_BYTES <= entries.len; at += QCOW_ENTRY_BYTES) {
            tables[i] = load_be64(&entries.data[at]);
            if (tables[i] && !range_inside_u64(tables[i], q->l2_entries * QCOW_ENTRY_BYTES,
                                               q->source->size_bytes))
                return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT,
                                   q->header.l1_table_offset + i * QCOW_ENTRY_BYTES, 0, 0, 0);
            i++;
        }
    }
    return GUEST_OK;
}

enum guest_err qcow_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail)
{
    struct qcow *q = qcow_of(node);
    struct table_image image = {
        .format = &qcow_tables,
        .image = q,
        .source = q->source,
        .has_backing = node->nr_refs != 0,
        .encrypted = q->header.crypt_method != 0,
        .disk_bytes = node->virtual_size,
        .block_bytes = q->cluster_size,
        .block_align = q->cluster_size,
        .table_entries = q->l2_entries,
        .table_align = q->cluster_size,
        .nr_tables = q->l1_entries,
        .l1_offset = q->header.l1_table_offset,
        .end = q->source->size_bytes,
    };
    enum guest_err err;

    if (q->header.crypt_method && !node->cipher)
        return err_plain(detail, GUEST_ERR_PLAN_ENCRYPTED);
    image.tables = arena_array(image.nr_tables, sizeof(*image.tables));
    if (!image.tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = read_tables(q, image.tables, detail);
    if (!err)
        err = table_writer_new(&image, options, out, detail);
    if (err)
        free(image.tables);
    return err;
}
