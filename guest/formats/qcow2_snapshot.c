/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal snapshots: the table of them, and switching a node to one for reading.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Fields of the extra data, present as far as extra_data_size reaches. */
#define EXTRA_VM_STATE_END  8u
#define EXTRA_DISK_SIZE_END 16u
#define EXTRA_ICOUNT_END    24u

static void decode_head(struct span bytes, struct qcow2_snapshot *s, uint16_t *out_id_len,
                        uint16_t *out_name_len)
{
    struct cursor c = cur_of(bytes);

    s->l1_table_offset = cur_be64(&c);
    s->l1_size = cur_be32(&c);
    *out_id_len = cur_be16(&c);
    *out_name_len = cur_be16(&c);
    s->date_sec = cur_be32(&c);
    s->date_nsec = cur_be32(&c);
    s->vm_clock_nsec = cur_be64(&c);
    s->vm_state_size = cur_be32(&c);
    s->extra_data_size = cur_be32(&c);
}

static void decode_extra(struct span extra, uint64_t virtual_size, struct qcow2_snapshot *s)
{
    struct cursor c = cur_of(extra);

    s->disk_size = virtual_size;
    if (extra.len >= EXTRA_VM_STATE_END)
        s->vm_state_size = cur_be64(&c);
    if (extra.len >= EXTRA_DISK_SIZE_END)
        s->disk_size = cur_be64(&c);
    s->has_icount = extra.len >= EXTRA_ICOUNT_END;
    s->icount = s->has_icount ? cur_be64(&c) : 0;
    if (s->icount == UINT64_MAX)
        s->has_icount = false;
}

/* Reads len bytes at *at into memory of their own, and moves *at. */
static enum guest_err read_name(struct qcow2 *q, uint64_t *at, uint16_t len, struct span *out,
                                struct guest_err_detail *detail)
{
    uint8_t *bytes = arena_bytes(len);
    enum guest_err err;

    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(q->source, *at, len, bytes, detail);
    if (err) {
        free(bytes);
        return err;
    }
    *at += len;
    *out = span_of(bytes, strnlen((const char *)bytes, len));
    return GUEST_OK;
}

static enum guest_err read_snapshot(struct qcow2 *q, uint64_t *at, uint32_t index,
                                    struct qcow2_snapshot *s,
                                    const struct qcow2_snapshot_flaws *flaws,
                                    struct guest_err_detail *detail)
{
    uint8_t head[QCOW2_SNAPSHOT_HEADER_BYTES];
    uint8_t extra[EXTRA_ICOUNT_END];
    uint32_t extra_len;
    uint16_t id_len, name_len;
    enum guest_err err;

    *at = (*at + 7) & ~7ull;
    err = source_read_padded(q->source, *at, sizeof(head), head, detail);
    if (err)
        return err;
    *at += sizeof(head);
    decode_head(span_of(head, sizeof(head)), s, &id_len, &name_len);
    if (s->extra_data_size > QCOW2_SNAPSHOT_EXTRA_MAX && !flaws)
        return qcow2_error_numbers(detail, QCOW2_ERR_SNAPSHOT_EXTRA, index, 0, 0);
    if (s->extra_data_size > QCOW2_SNAPSHOT_EXTRA_MAX)
        flaws->take(flaws->user, QCOW2_ERR_SNAPSHOT_EXTRA, index, s->extra_data_size);
    extra_len = (uint32_t)min_u64(s->extra_data_size, sizeof(extra));
    err = source_read_padded(q->source, *at, extra_len, extra, detail);
    if (err)
        return err;
    decode_extra(span_of(extra, extra_len), qcow2_virtual_size(q), s);
    *at += s->extra_data_size;
    err = read_name(q, at, id_len, &s->id_str, detail);
    if (!err)
        err = read_name(q, at, name_len, &s->name, detail);
    return err;
}

void qcow2_free_snapshots(struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        free((void *)q->snapshots[i].id_str.data);
        free((void *)q->snapshots[i].name.data);
    }
    free(q->snapshots);
    q->snapshots = NULL;
    q->nr_snapshots = 0;
}

/* The table without its entries from `index` on. */
static void cut_snapshots(struct qcow2 *q, uint32_t index, uint64_t bytes)
{
    while (q->nr_snapshots > index) {
        struct qcow2_snapshot *s = &q->snapshots[--q->nr_snapshots];

        free((void *)s->id_str.data);
        free((void *)s->name.data);
    }
    q->snapshots_bytes = bytes;
}

enum guest_err qcow2_read_snapshots(struct qcow2 *q, struct guest_err_detail *detail)
{
    return qcow2_read_snapshots_mending(q, NULL, detail);
}

enum guest_err qcow2_read_snapshots_mending(struct qcow2 *q,
                                            const struct qcow2_snapshot_flaws *flaws,
                                            struct guest_err_detail *detail)
{
    uint64_t start = q->header.snapshots_offset, at = start;
    uint32_t nr = q->header.nb_snapshots;

    qcow2_free_snapshots(q);
    q->snapshots_bytes = 0;
    if (nr == 0)
        return GUEST_OK;
    q->snapshots = arena_array(nr, sizeof(*q->snapshots));
    if (!q->snapshots)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < nr; i++) {
        uint64_t before = at - start;
        enum guest_err err;

        q->nr_snapshots = i + 1;
        err = read_snapshot(q, &at, i, &q->snapshots[i], flaws, detail);
        if (err)
            return err;
        q->snapshots_bytes = at - start;
        if (at - start <= QCOW2_SNAPSHOT_TABLE_MAX)
            continue;
        if (!flaws)
            return qcow2_error_numbers(detail, QCOW2_ERR_SNAPSHOT_TABLE_BIG, nr - i, 0, 0);
        flaws->take(flaws->user, QCOW2_ERR_SNAPSHOT_TABLE_BIG, nr - i, 0);
        cut_snapshots(q, i, before);
        return GUEST_OK;
    }
    return GUEST_OK;
}

static bool matches(struct span have, ProtobufCBinaryData want)
{
    return span_equal(have, span_of(want.data, want.len));
}

static const struct qcow2_snapshot *find(const struct qcow2 *q,
                                         const Abi__SnapshotLoadRequest *request)
{
    bool both = request->by_id || request->by_name;

    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        const struct qcow2_snapshot *s = &q->snapshots[i];
        if (both && (!request->by_id || matches(s->id_str, request->id)) &&
            (!request->by_name || matches(s->name, request->name)))
            return s;
        if (!both && matches(s->id_str, request->name))
            return s;
    }
    for (uint32_t i = 0; !both && i < q->nr_snapshots; i++)
        if (matches(q->snapshots[i].name, request->name))
            return &q->snapshots[i];
    return NULL;
}

enum guest_err qcow2_load_snapshot(struct node *node, const Abi__SnapshotLoadRequest *request,
                                   struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    const struct qcow2_snapshot *s = find(q, request);
    uint64_t *l1;
    enum guest_err err;

    if (!s)
        return err_text(detail, GUEST_ERR_SNAPSHOT_NOT_FOUND,
                        span_of(request->name.data, request->name.len), 0);
    err = qcow2_check_table(q, s->l1_table_offset, s->l1_size, sizeof(uint64_t), QCOW2_L1_BYTES_MAX,
                            QCOW2_ERR_SNAPSHOT_L1_LARGE, QCOW2_ERR_SNAPSHOT_L1_OFFSET, detail);
    if (!err)
        err = qcow2_read_l1(q, s->l1_table_offset, s->l1_size, &l1, detail);
    if (err)
        return err;
    free(q->l1);
    q->l1 = l1;
    q->l1_size = s->l1_size;
    qcow2_l2_window_reset(&q->window, q->l1, q->l1_size);
    return GUEST_OK;
}
