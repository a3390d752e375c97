/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding a change of snapshots: which one, whether it may be done, whose references come and go.
 * source: behaviour observed with stock 7.2; see tests/diff/cases/snapshot.cases.
 */
#include "guest/formats/qcow2_snapshot_plan.h"

#include <stdlib.h>

#include "guest/lib/arena.h"

#define NONE UINT32_MAX

static enum guest_err check(const struct snap_plan *p, struct guest_err_detail *detail)
{
    if (p->q->has_data_file)
        return err_plain(detail, GUEST_ERR_PLAN_SNAPSHOT_DATA);
    if (p->q->header.incompatible_features & QCOW2_INCOMPAT_DIRTY)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    return GUEST_OK;
}

static uint32_t find(const struct qcow2 *q, ProtobufCBinaryData name, bool by_id)
{
    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        struct span have = by_id ? q->snapshots[i].id_str : q->snapshots[i].name;
        if (span_equal(have, span_of(name.data, name.len)))
            return i;
    }
    return NONE;
}

static enum guest_err load_l1(struct snap_plan *p, const struct qcow2_snapshot *s,
                              struct guest_err_detail *detail)
{
    enum guest_err err = qcow2_check_table(p->q, s->l1_table_offset, s->l1_size, sizeof(uint64_t),
                                           QCOW2_L1_BYTES_MAX, QCOW2_ERR_SNAPSHOT_L1_LARGE,
                                           QCOW2_ERR_SNAPSHOT_L1_OFFSET, detail);
    if (!err)
        err = qcow2_read_l1(p->q, s->l1_table_offset, s->l1_size, &p->snapshot_l1, detail);
    return err;
}

static void add_tree(struct snap_plan *p, const uint64_t *l1, uint64_t l1_size, int add)
{
    p->trees[p->nr_trees++] = (struct snap_tree){l1, l1_size, add};
}

static enum guest_err plan_create(struct snap_plan *p, const Abi__SnapshotRequest *request,
                                  struct guest_err_detail *detail)
{
    add_tree(p, p->q->l1, p->q->l1_size, 1);
    return snap_table_add(p, request, detail);
}

static enum guest_err plan_delete(struct snap_plan *p, const Abi__SnapshotRequest *request,
                                  struct guest_err_detail *detail)
{
    uint32_t index = find(p->q, request->name, false);
    if (index == NONE)
        return err_plain(detail, GUEST_ERR_SNAPSHOT_NOT_FOUND);
    const struct qcow2_snapshot *s = &p->q->snapshots[index];
    enum guest_err err = load_l1(p, s, detail);
    if (err)
        return err;
    add_tree(p, p->snapshot_l1, s->l1_size, -1);
    p->gone_l1 = s->l1_table_offset >> snap_bits(p);
    p->gone_l1_clusters = div_round_up_u64((uint64_t)s->l1_size * 8, p->q->cluster_size);
    return snap_table_remove(p, index, detail);
}

/* The disk becomes as large as it was then. */
static enum guest_err set_size(struct snap_plan *p, const struct qcow2_snapshot *s,
                               struct guest_err_detail *detail)
{
    uint64_t size = s->disk_size;
    p->l1_entries = s->l1_size;
    if (size == qcow2_virtual_size(p->q)) {
        p->l1_entries = max_u64(p->l1_entries, p->q->l1_size);
        return GUEST_OK;
    }
    if (p->q->header.version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_V2_SNAPSHOTS);
    if (size % QCOW2_SECTOR_BYTES != 0)
        return err_plain(detail, GUEST_ERR_PLAN_SIZE_UNALIGNED);
    if (size > INT64_MAX || size >> p->q->l1_shift >= QCOW2_L1_BYTES_MAX / 8)
        return err_numbers(detail, GUEST_ERR_PLAN_SNAPSHOT_SIZE, size, 0, 0, 0);
    p->l1_entries = max_u64(p->l1_entries, div_round_up_u64(size, 1ull << p->q->l1_shift));
    p->new_size = size;
    return GUEST_OK;
}

static enum guest_err plan_apply(struct snap_plan *p, const Abi__SnapshotRequest *request,
                                 struct guest_err_detail *detail)
{
    uint32_t index = find(p->q, request->name, true);
    if (index == NONE)
        index = find(p->q, request->name, false);
    if (index == NONE)
        return err_plain(detail, GUEST_ERR_SNAPSHOT_NOT_FOUND);
    const struct qcow2_snapshot *s = &p->q->snapshots[index];
    enum guest_err err = load_l1(p, s, detail);
    if (!err)
        err = set_size(p, s, detail);
    if (err)
        return err;
    add_tree(p, p->q->l1, p->q->l1_size, -1);
    add_tree(p, p->snapshot_l1, s->l1_size, 1);
    p->base_l1 = p->snapshot_l1;
    p->base_l1_size = s->l1_size;
    return GUEST_OK;
}

static enum guest_err prepare(struct snap_plan *p, const Abi__SnapshotRequest *request,
                              struct guest_err_detail *detail)
{
    enum guest_err err;
    /* Stock asks for bitmaps before it asks the format. */
    if (p->action == ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY && p->q->nr_bitmaps)
        return err_plain(detail, GUEST_ERR_PLAN_SNAPSHOT_BITMAPS);
    err = check(p, detail);
    if (err)
        return err;
    switch (p->action) {
    case ABI__SNAPSHOT_ACTION__SNAPSHOT_CREATE:
        err = plan_create(p, request, detail);
        break;
    case ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY:
        err = plan_apply(p, request, detail);
        break;
    case ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE:
        err = plan_delete(p, request, detail);
        break;
    default:
        err = err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
    if (!err)
        err = qcow2_alloc_init(&p->alloc, p->q, detail);
    if (!err)
        err = snap_count(p, detail);
    return err ? err : snap_place(p, detail);
}

/* As apply does with a snapshot in which nothing is allocated. */
static enum guest_err prepare_empty(struct snap_plan *p, struct guest_err_detail *detail)
{
    p->snapshot_l1 = arena_array(max_u64(p->q->l1_size, 1), sizeof(*p->snapshot_l1));
    if (!p->snapshot_l1)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base_l1 = p->snapshot_l1;
    p->drops_data_file = p->data_file != NULL;
    add_tree(p, p->q->l1, p->q->l1_size, -1);
    enum guest_err err = qcow2_alloc_init(&p->alloc, p->q, detail);
    if (!err)
        err = snap_count(p, detail);
    return err ? err : snap_place(p, detail);
}

static struct snap_plan *new_plan(struct node *node, Abi__SnapshotAction action)
{
    struct snap_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->base.verbs = &snap_verbs;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->data_file = node->data_file;
    p->action = action;
    p->base_l1 = p->q->l1;
    p->base_l1_size = p->l1_entries = p->q->l1_size;
    p->new_size = p->q->header.size;
    p->nr_snapshots = p->q->nr_snapshots;
    return p;
}

static enum guest_err hand_over(struct snap_plan *p, enum guest_err err, struct plan **out)
{
    if (err) {
        snap_verbs.free(&p->base);
        return err;
    }
    p->base.file_size = max_u64(p->q->source->size_bytes, p->end << snap_bits(p));
    *out = &p->base;
    return GUEST_OK;
}

enum guest_err qcow2_snapshot_plan(struct node *node, const Abi__SnapshotRequest *request,
                                   struct plan **out, struct guest_err_detail *detail)
{
    struct snap_plan *p = new_plan(node, request->action);
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return hand_over(p, prepare(p, request, detail), out);
}

enum guest_err qcow2_snapshot_plan_empty(struct node *node, struct plan **out,
                                         struct guest_err_detail *detail)
{
    struct snap_plan *p = new_plan(node, ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY);
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return hand_over(p, prepare_empty(p, detail), out);
}
