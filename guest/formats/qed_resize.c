/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another size of a QED image's disk.
 *
 * The tables are made for any size, so that growing is one field of the header. Shrinking, which
 * stock refuses, writes the size first, and then takes away the entries behind it, so that they do
 * not show up again when the disk grows; clusters at the end of the file that nothing refers to any
 * more are cut off, others are left behind as leaks.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/qed.h"
#include "guest/plan/op_list.h"

/* What is behind the disk's end in its last cluster may be anything: it will be seen. */
static enum guest_err clear_tail(struct node *node, struct op_list *list,
                                 struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    uint64_t size = q->header.image_size;
    uint64_t in = size & (q->header.cluster_size - 1);
    struct layer_extent extent;
    enum guest_err err;

    if (in == 0)
        return GUEST_OK;
    err = qed_map(node, size - 1, 1, &extent, detail);
    if (err || extent.kind != CELL_EXTENT_DATA)
        return err;
    err = op_list_simple(list, CELL_OP_FILL, extent.offset + 1, q->header.cluster_size - in,
                         CELL_NOTE_DATA, detail);
    return err ? err : op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
}

static enum guest_err write_header(const struct qed *q, uint64_t size, struct op_list *list,
                                   struct guest_err_detail *detail)
{
    uint8_t bytes[QED_AT_IMAGE_SIZE + sizeof(uint64_t) - QED_AT_FEATURES];

    store_le64(&bytes[0], q->header.features & ~QED_F_NEED_CHECK);
    store_le64(&bytes[8], q->header.compat_features);
    store_le64(&bytes[16], 0); /* autoclear_features */
    store_le64(&bytes[24], q->header.l1_table_offset);
    store_le64(&bytes[32], size);
    return op_list_write(list, QED_AT_FEATURES, bytes, sizeof(bytes), CELL_NOTE_HEADER, detail);
}

/* The L2 table of an L1 entry; 0: none. */
static enum guest_err table_of(struct qed *q, uint64_t index, uint64_t *out,
                               struct guest_err_detail *detail)
{
    struct span entries;
    enum guest_err err = qed_entries(q, &q->l1, q->header.l1_table_offset, index, &entries, detail);

    if (err)
        return err;
    *out = load_le64(entries.data);
    if (*out && !qed_table_ok(q, *out))
        return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT,
                           q->header.l1_table_offset + index * QED_ENTRY_BYTES, 0, 0, 0);
    return GUEST_OK;
}

/* The end of the last cluster that entries [0, nr) of a table refer to; *end only grows. */
static enum guest_err find_table_end(struct qed *q, uint64_t table, uint64_t nr, uint64_t *end,
                                     struct guest_err_detail *detail)
{
    struct span entries = {0};

    *end = max_u64(*end, table + q->table_bytes);
    for (uint64_t i = 0; i < nr; i += entries.len / QED_ENTRY_BYTES) {
        enum guest_err err = qed_entries(q, &q->l2, table, i, &entries, detail);

        if (err)
            return err;
        for (uint64_t at = 0; at + QED_ENTRY_BYTES <= entries.len && i + at / QED_ENTRY_BYTES < nr;
             at += QED_ENTRY_BYTES) {
            uint64_t offset = load_le64(&entries.data[at]);

            if (offset > QED_ENTRY_ZERO && qed_cluster_ok(q, offset))
                *end = max_u64(*end, offset + q->header.cluster_size);
        }
    }
    return GUEST_OK;
}

/*
 * Entries of clusters [keep, ..) go, and the end of the file that is used no more.
 *
 * bound:   what is kept is read once
 */
static enum guest_err drop_entries(struct qed *q, uint64_t size, struct op_list *list,
                                   struct guest_err_detail *detail)
{
    uint64_t keep = div_round_up_u64(size, q->header.cluster_size);
    uint64_t tables = div_round_up_u64(keep, q->table_entries);
    uint64_t old = div_round_up_u64(q->header.image_size, 1ull << q->l1_shift);
    uint64_t end = q->header.l1_table_offset + q->table_bytes, table;
    enum guest_err err = op_list_simple(
        list, CELL_OP_FILL, q->header.l1_table_offset + tables * QED_ENTRY_BYTES,
        (max_u64(old, tables) - tables) * QED_ENTRY_BYTES, CELL_NOTE_L1_TABLE, detail);

    for (uint64_t i = 0; !err && i < tables; i++) {
        uint64_t nr = min_u64(keep - i * q->table_entries, q->table_entries);

        err = table_of(q, i, &table, detail);
        if (err || table == 0)
            continue;
        err = op_list_simple(list, CELL_OP_FILL, table + nr * QED_ENTRY_BYTES,
                             (q->table_entries - nr) * QED_ENTRY_BYTES, CELL_NOTE_L2_TABLE, detail);
        if (!err)
            err = find_table_end(q, table, nr, &end, detail);
    }
    if (!err)
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err && end < q->source->size_bytes)
        err = op_list_simple(list, CELL_OP_TRUNCATE, end, 0, CELL_NOTE_FILE_SIZE, detail);
    return err;
}

static enum guest_err validate(const struct node *node, const struct qed *q,
                               const Abi__ResizeRequest *request, struct guest_err_detail *detail)
{
    static const char *const modes[] = {"off", "metadata", "falloc", "full"};
    uint64_t size = request->size, backing = node->backing ? node->backing->virtual_size : 0;

    if (size > q->header.image_size && backing > q->header.image_size)
        return qed_error(detail, QED_ERR_RESIZE_BACKING, 0);
    if (request->preallocation > ABI__PREALLOCATION__PREALLOC_FULL)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (request->preallocation != ABI__PREALLOCATION__PREALLOC_OFF)
        return err_text(
            detail, (enum guest_err)QED_ERR_RESIZE_PREALLOC,
            span_of(modes[request->preallocation], strlen(modes[request->preallocation])), 0);
    if (size % QED_SECTOR_BYTES != 0 || size > INT64_MAX ||
        size > qed_max_image_size(q->header.cluster_size, q->header.table_size))
        return qed_error(detail, QED_ERR_RESIZE_SIZE, 0);
    return size < q->header.image_size && !request->shrink
               ? err_plain(detail, GUEST_ERR_BAD_REQUEST)
               : GUEST_OK;
}

enum guest_err qed_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    uint64_t old = q->header.image_size;
    struct op_list *list;
    enum guest_err err = validate(node, q, request, detail);

    if (!err)
        err = qed_check_writable(q, detail);
    if (err)
        return err;
    list = op_list_new(q->source->blob);
    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (request->size > old)
        err = clear_tail(node, list, detail);
    if (!err)
        err = write_header(q, request->size, list, detail);
    if (!err && request->size < old)
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err && request->size < old)
        err = drop_entries(q, request->size, list, detail);
    if (err) {
        op_list_plan(list)->verbs->free(op_list_plan(list));
        return err;
    }
    *out = op_list_plan(list);
    return GUEST_OK;
}
