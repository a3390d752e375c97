/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QED's tables, as the table writer needs to know them.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/qed.h"
#include "guest/formats/qed_check.h"
#include "guest/formats/table_writer.h"
#include "guest/lib/arena.h"

enum guest_err qed_check_writable(struct qed *q, struct guest_err_detail *detail)
{
    struct qed_walk walk = {.q = q};
    enum guest_err err;

    if (!(q->header.features & QED_F_NEED_CHECK))
        return GUEST_OK;
    err = qed_walk_run(&walk, detail);
    qed_walk_clear(&walk);
    if (!err && (walk.invalid || walk.shared))
        err = err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    return err;
}

/* The writer knows where the file ends by now; the header and the boundary are left to look at. */
static enum table_entry_kind look(const void *image, uint64_t entry, uint64_t *out_offset)
{
    const struct qed *q = image;
    uint64_t header_bytes = (uint64_t)q->header.header_size * q->header.cluster_size;

    if (entry == QED_ENTRY_UNALLOCATED)
        return TABLE_ENTRY_ABSENT;
    if (entry == QED_ENTRY_ZERO)
        return TABLE_ENTRY_ZERO;
    *out_offset = entry;
    return entry >= header_bytes && (entry & (q->header.cluster_size - 1)) == 0 ? TABLE_ENTRY_DATA
                                                                                : TABLE_ENTRY_BAD;
}

static uint64_t data_entry(const void *image, uint64_t offset)
{
    return offset;
}

/* Features that nobody here keeps up, and the sign of tables that were found to be sound. */
static void before(void *image, struct plan_sink *sink)
{
    struct qed *q = image;
    uint64_t features = q->header.features & ~QED_F_NEED_CHECK;

    if (features == q->header.features && q->header.autoclear_features == 0)
        return;
    q->header.features = features;
    q->header.autoclear_features = 0;
    uint8_t *at =
        plan_write(sink, q->source->blob, QED_AT_FEATURES, 3 * sizeof(uint64_t), CELL_NOTE_HEADER);
    store_le64(&at[0], features);
    store_le64(&at[8], q->header.compat_features);
    store_le64(&at[16], 0);
}

static const struct table_format qed_tables = {
    .entry_bytes = QED_ENTRY_BYTES,
    .has_zero_entry = true,
    .zero_entry = QED_ENTRY_ZERO,
    .look = look,
    .data_entry = data_entry,
    .before = before,
};

/* Where each L2 table is that the disk needs. */
static enum guest_err read_tables(struct qed *q, uint64_t nr, uint64_t *tables,
                                  struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < nr;) {
        struct span entries;
        enum guest_err err = qed_entries(q, &q->l1, q->header.l1_table_offset, i, &entries, detail);

        if (err)
            return err;
        for (uint64_t at = 0; i < nr && at + QED_ENTRY_BYTES <= entries.len;
             at += QED_ENTRY_BYTES) {
            uint64_t offset = load_le64(&entries.data[at]);

            if (offset && !qed_table_ok(q, offset))
                return err_numbers(detail, GUEST_ERR_PLAN_CORRUPT,
                                   q->header.l1_table_offset + i * QED_ENTRY_BYTES, 0, 0, 0);
            tables[i++] = offset;
        }
    }
    return GUEST_OK;
}

enum guest_err qed_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    struct table_image image = {
        .format = &qed_tables,
        .image = q,
        .source = q->source,
        .has_backing = node->nr_refs != 0,
        .disk_bytes = q->header.image_size,
        .block_bytes = q->header.cluster_size,
        .block_align = q->header.cluster_size,
        .table_entries = q->table_entries,
        .table_align = q->header.cluster_size,
        .nr_tables = div_round_up_u64(q->header.image_size, 1ull << q->l1_shift),
        .l1_offset = q->header.l1_table_offset,
        .end = q->source->size_bytes,
    };
    enum guest_err err = qed_check_writable(q, detail);

    if (err)
        return err;
    image.tables = arena_array(image.nr_tables, sizeof(*image.tables));
    if (!image.tables)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = read_tables(q, image.nr_tables, image.tables, detail);
    if (!err)
        err = table_writer_new(&image, options, out, detail);
    if (err)
        free(image.tables);
    return err;
}
