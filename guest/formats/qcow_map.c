/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping disk offsets through the two levels of qcow tables. Nothing says where clusters may lie,
 * but that plain ones start on a sector.
 */
#include "guest/formats/qcow.h"

#define EIO_NUMBER 5

/*
 * A cluster that starts inside a sector, and one of no bytes, can be mapped but not read, as in
 * stock: they are given out as a stream that is too short to be one.
 */
#define UNREADABLE_BYTES 1u

/* Tables and clusters beyond what a file can hold. */
static enum guest_err io_error(struct guest_err_detail *detail, uint64_t offset)
{
    return err_numbers(detail, GUEST_ERR_IO, EIO_NUMBER, offset, 0, 0);
}

enum guest_err qcow_l1(struct qcow *q, uint64_t index, struct span *out,
                       struct guest_err_detail *detail)
{
    return table_window_get(&q->l1, q->source, q->header.l1_table_offset + index * QCOW_ENTRY_BYTES,
                            (q->l1_entries - index) * QCOW_ENTRY_BYTES, out, detail);
}

/* How many entries from the first on go on by `step`, at most `max`. */
static uint64_t run_of(struct span entries, uint64_t step, uint64_t max)
{
    uint64_t expected = load_be64(entries.data), nr = 1;

    max = min_u64(max, entries.len / QCOW_ENTRY_BYTES);
    while (nr < max) {
        expected += step;
        if (load_be64(&entries.data[nr * QCOW_ENTRY_BYTES]) != expected)
            break;
        nr++;
    }
    return nr;
}

static void describe(const struct qcow *q, struct span entries, uint64_t start, uint64_t length,
                     struct layer_extent *out)
{
    uint64_t entry = load_be64(entries.data), within = start & (q->cluster_size - 1);
    uint64_t step = entry ? q->cluster_size : 0;

    if ((entry & QCOW_OFLAG_COMPRESSED) || entry % QCOW_SECTOR_BYTES != 0) {
        qcow_compressed_range(q, entry, &out->offset, &out->comp_len);
        out->comp_len = (uint32_t)max_u64(out->comp_len, UNREADABLE_BYTES);
        out->kind = CELL_EXTENT_COMPRESSED;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->codec = CELL_CODEC_DEFLATE;
        out->unit_len = (uint32_t)q->cluster_size;
        out->skip = (uint32_t)within;
        out->length = min_u64(length, q->cluster_size - within);
        return;
    }
    out->length = table_clip(
        start, length, run_of(entries, step, div_round_up_u64(within + length, q->cluster_size)),
        q->header.cluster_bits);
    if (entry) {
        out->kind = q->header.crypt_method ? CELL_EXTENT_ENCRYPTED : CELL_EXTENT_DATA;
        out->flags = q->header.crypt_method ? 0 : CELL_EXTENT_HAS_OFFSET;
        out->offset = entry + within;
    }
}

enum guest_err qcow_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail)
{
    struct qcow *q = qcow_of(node);
    uint64_t index = (start >> q->header.cluster_bits) & (q->l2_entries - 1), table;
    struct span entries;
    enum guest_err err;

    if (q->header.crypt_method && !node->cipher)
        return qcow_error(detail, QCOW_ERR_ENCRYPTED, 0);
    *out = (struct layer_extent){.source = q->source, .kind = CELL_EXTENT_HOLE};
    err = qcow_l1(q, start >> q->l1_shift, &entries, detail);
    if (err)
        return err;
    table = load_be64(entries.data);
    if (table == 0) {
        out->length = table_clip(start, length, run_of(entries, 0, UINT64_MAX), q->l1_shift);
        return GUEST_OK;
    }
    if (!range_inside_u64(table, q->l2_entries * QCOW_ENTRY_BYTES, INT64_MAX))
        return io_error(detail, table);
    err = table_window_get(&q->l2, q->source, table + index * QCOW_ENTRY_BYTES,
                           (q->l2_entries - index) * QCOW_ENTRY_BYTES, &entries, detail);
    if (!err)
        describe(q, entries, start, length, out);
    return err;
}
