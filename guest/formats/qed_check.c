/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a QED image: every cluster is used once, every entry names a cluster of the file.
 *
 * What counts as what follows stock qemu-img 7.2, as its totals on damaged images show it: a table
 * that shares a cluster with another is not looked into, a cluster that is used twice is counted
 * each further time, the header's clusters are not looked at.
 */
#include "guest/formats/qed_check.h"

#include "guest/lib/arena.h"
#include "guest/plan/op_list.h"

#define WORK_MIN (1ull << 29)

/* Puts `nr` clusters in; *out_fresh: none of them was in use. */
static enum guest_err use(struct qed_walk *w, uint64_t offset, uint64_t nr, bool *out_fresh,
                          struct guest_err_detail *detail)
{
    uint64_t first = offset >> w->q->cluster_bits;

    *out_fresh = true;
    for (uint64_t i = first; i < first + nr; i++) {
        bool fresh;

        if (!cluster_set_add(&w->used, i, &fresh))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        *out_fresh &= fresh;
        w->shared += !fresh;
    }
    return GUEST_OK;
}

static enum guest_err found_bad(struct qed_walk *w, uint64_t offset, bool in_l1,
                                struct guest_err_detail *detail)
{
    w->invalid++;
    return w->bad ? w->bad(w, offset, in_l1, detail) : GUEST_OK;
}

/* Entries from `index` of a table on; the cost is taken from the walk's allowance. */
static enum guest_err next_entries(struct qed_walk *w, struct table_window *window,
                                   uint64_t table_offset, uint64_t index, struct span *out,
                                   struct guest_err_detail *detail)
{
    enum guest_err err = qed_entries(w->q, window, table_offset, index, out, detail);

    if (err)
        return err;
    if (w->work_left < out->len / QED_ENTRY_BYTES)
        return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    w->work_left -= out->len / QED_ENTRY_BYTES;
    return GUEST_OK;
}

static enum guest_err walk_l2(struct qed_walk *w, uint64_t table, struct guest_err_detail *detail)
{
    struct qed *q = w->q;
    uint64_t last = 0;
    struct span entries = {0};
    enum guest_err err;

    for (uint64_t i = 0; i < q->table_entries; i += entries.len / QED_ENTRY_BYTES) {
        err = next_entries(w, &q->l2, table, i, &entries, detail);
        for (uint64_t at = 0; !err && at + QED_ENTRY_BYTES <= entries.len; at += QED_ENTRY_BYTES) {
            uint64_t offset = load_le64(&entries.data[at]);
            bool fresh;

            if (offset <= QED_ENTRY_ZERO)
                continue;
            w->allocated++;
            w->fragmented += last && last + q->header.cluster_size != offset;
            last = offset;
            if (qed_cluster_ok(q, offset))
                err = use(w, offset, 1, &fresh, detail);
            else
                err = found_bad(w, table + i * QED_ENTRY_BYTES + at, false, detail);
        }
        if (err)
            return err;
    }
    return GUEST_OK;
}

static enum guest_err walk_l1_entry(struct qed_walk *w, uint64_t at, uint64_t offset,
                                    struct guest_err_detail *detail)
{
    enum guest_err err;
    bool fresh;

    if (!qed_table_ok(w->q, offset))
        return found_bad(w, at, true, detail);
    err = use(w, offset, w->q->header.table_size, &fresh, detail);
    return err || !fresh ? err : walk_l2(w, offset, detail);
}

static enum guest_err walk_l1(struct qed_walk *w, struct guest_err_detail *detail)
{
    struct qed *q = w->q;
    uint64_t table = q->header.l1_table_offset;
    struct span entries = {0};
    bool fresh;
    enum guest_err err = use(w, table, q->header.table_size, &fresh, detail);

    for (uint64_t i = 0; !err && i < q->table_entries; i += entries.len / QED_ENTRY_BYTES) {
        err = next_entries(w, &q->l1, table, i, &entries, detail);
        for (uint64_t at = 0; !err && at + QED_ENTRY_BYTES <= entries.len; at += QED_ENTRY_BYTES) {
            uint64_t offset = load_le64(&entries.data[at]);

            if (offset != QED_ENTRY_UNALLOCATED)
                err = walk_l1_entry(w, table + i * QED_ENTRY_BYTES + at, offset, detail);
        }
    }
    return err;
}

static void count_leaks(struct qed_walk *w)
{
    uint64_t first = w->q->header.header_size, used = w->used.nr_in;

    /* Nothing that is in use lies below the header's end. */
    w->leaks = w->used.nr > first ? w->used.nr - first - used : 0;
}

enum guest_err qed_walk_run(struct qed_walk *w, struct guest_err_detail *detail)
{
    const struct qed *q = w->q;
    enum guest_err err;

    w->work_left =
        max_u64(WORK_MIN, (q->header.image_size >> q->cluster_bits) + 2 * q->table_entries);
    if (!cluster_set_init(&w->used, q->file_bytes >> q->cluster_bits))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = walk_l1(w, detail);
    count_leaks(w);
    return err;
}

void qed_walk_clear(struct qed_walk *w)
{
    cluster_set_clear(&w->used);
}

/* An entry that names no cluster of the file names none from now on. */
static enum guest_err clear_entry(struct qed_walk *w, uint64_t offset, bool in_l1,
                                  struct guest_err_detail *detail)
{
    static const uint8_t none[QED_ENTRY_BYTES];

    return op_list_write(w->user, offset, none, sizeof(none),
                         in_l1 ? CELL_NOTE_L1_TABLE : CELL_NOTE_L2_TABLE, detail);
}

/* The header of an image whose tables are sound, and of one that was opened for writing at all. */
static enum guest_err close_header(const struct qed *q, bool sound, struct op_list *list,
                                   struct guest_err_detail *detail)
{
    uint64_t features = q->header.features & ~(sound ? QED_F_NEED_CHECK : 0);
    uint8_t bytes[3 * sizeof(uint64_t)];
    enum guest_err err = GUEST_OK;

    if (features == q->header.features && q->header.autoclear_features == 0)
        return GUEST_OK;
    if (!op_list_empty(list))
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    store_le64(&bytes[0], features);
    store_le64(&bytes[8], q->header.compat_features);
    store_le64(&bytes[16], 0);
    return err ? err
               : op_list_write(list, QED_AT_FEATURES, bytes, sizeof(bytes), CELL_NOTE_HEADER,
                               detail);
}

/* What is wrong with entries is repaired; clusters that are shared or leaked stay as they are. */
static enum guest_err repair(struct node *node, struct qed_walk *walk,
                             struct guest_err_detail *detail)
{
    struct op_list *list = op_list_new(walk->q->source->blob);
    enum guest_err err;

    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    walk->bad = clear_entry;
    walk->user = list;
    err = qed_walk_run(walk, detail);
    if (!err)
        err = close_header(walk->q, walk->shared == 0, list, detail);
    if (err || op_list_empty(list))
        op_list_plan(list)->verbs->free(op_list_plan(list));
    else
        node->repair = op_list_plan(list);
    return err;
}

enum guest_err qed_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    struct qed_walk walk = {.q = q};
    bool fix = request->fix_leaks || request->fix_errors;
    enum guest_err err = fix ? repair(node, &walk, detail) : qed_walk_run(&walk, detail);

    reply->total_clusters = div_round_up_u64(q->header.image_size, q->header.cluster_size);
    reply->allocated_clusters = walk.allocated;
    reply->fragmented_clusters = walk.fragmented;
    reply->corruptions = walk.shared + (fix ? 0 : walk.invalid);
    reply->corruptions_fixed = fix ? walk.invalid : 0;
    reply->leaks = walk.leaks;
    qed_walk_clear(&walk);
    return err;
}
