/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emptying a qcow image: nothing is allocated any more (commit).
 *
 * Each entry of the L1 table that goes takes its part of the disk back to the backing file, which
 * holds the same by then. The file is cut where nothing is referred to any more.
 */
#include "guest/formats/qcow.h"
#include "guest/plan/op_list.h"

/* The first byte that neither the L1 table nor the backing file's name needs. */
static uint64_t used_end(const struct qcow *q)
{
    const struct qcow_header *h = &q->header;
    uint64_t end = h->l1_table_offset + q->l1_entries * QCOW_ENTRY_BYTES;

    if (h->backing_file_offset)
        end = max_u64(end, h->backing_file_offset + h->backing_file_size);
    return max_u64(end, QCOW_HEADER_BYTES);
}

enum guest_err qcow_empty(struct node *node, struct plan **out, struct guest_err_detail *detail)
{
    struct qcow *q = qcow_of(node);
    struct op_list *list = op_list_new(q->source->blob);
    uint64_t end = used_end(q);
    enum guest_err err;

    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = op_list_simple(list, CELL_OP_FILL, q->header.l1_table_offset,
                         q->l1_entries * QCOW_ENTRY_BYTES, CELL_NOTE_L1_TABLE, detail);
    if (!err)
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err && end < q->source->size_bytes)
        err = op_list_simple(list, CELL_OP_TRUNCATE, end, 0, CELL_NOTE_FILE_SIZE, detail);
    if (err) {
        op_list_free(list);
        return err;
    }
    *out = op_list_plan(list);
    return GUEST_OK;
}
