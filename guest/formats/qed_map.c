/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping disk offsets through the two levels of QED tables.
 *
 * Of a run of adjacent clusters only the first is looked at for whether it may lie there, as in
 * stock: what reaches past the end of the file reads as zeros. source: QED specification, "Tables".
 */
#include "guest/formats/qed.h"

enum guest_err qed_entries(struct qed *q, struct table_window *window, uint64_t table_offset,
                           uint64_t index, struct span *out, struct guest_err_detail *detail)
{
    return table_window_get(window, q->source, table_offset + index * QED_ENTRY_BYTES,
                            (q->table_entries - index) * QED_ENTRY_BYTES, out, detail);
}

/* How many entries from the first on go on by `step`, at most `max`. */
static uint64_t run_of(struct span entries, uint64_t step, uint64_t max)
{
    uint64_t expected = load_le64(entries.data), nr = 1;

    max = min_u64(max, entries.len / QED_ENTRY_BYTES);
    while (nr < max) {
        expected += step;
        if (load_le64(&entries.data[nr * QED_ENTRY_BYTES]) != expected)
            break;
        nr++;
    }
    return nr;
}

enum guest_err qed_map(struct node *node, uint64_t start, uint64_t length, struct layer_extent *out,
                       struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    uint64_t index = (start >> q->cluster_bits) & (q->table_entries - 1);
    uint64_t within = start & (q->header.cluster_size - 1);
    uint64_t entry, step;
    struct span entries;
    enum guest_err err;

    *out = (struct layer_extent){.source = q->source, .kind = CELL_EXTENT_HOLE};
    err = qed_entries(q, &q->l1, q->header.l1_table_offset, start >> q->l1_shift, &entries, detail);
    if (err)
        return err;
    entry = load_le64(entries.data);
    if (entry == QED_ENTRY_UNALLOCATED) {
        out->length = table_clip(start, length, run_of(entries, 0, UINT64_MAX), q->l1_shift);
        return GUEST_OK;
    }
    if (!qed_table_ok(q, entry))
        return err_plain(detail, GUEST_ERR_INVALID);
    err = qed_entries(q, &q->l2, entry, index, &entries, detail);
    if (err)
        return err;
    entry = load_le64(entries.data);
    step = entry > QED_ENTRY_ZERO ? q->header.cluster_size : 0;
    if (step && !qed_cluster_ok(q, entry))
        return err_plain(detail, GUEST_ERR_INVALID);
    out->length = table_clip(start, length,
                             run_of(entries, step, ((within + length - 1) >> q->cluster_bits) + 1),
                             q->cluster_bits);
    if (entry == QED_ENTRY_ZERO)
        out->kind = CELL_EXTENT_ZERO;
    if (step) {
        out->kind = CELL_EXTENT_DATA;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = entry + within;
    }
    return GUEST_OK;
}
