/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `info` and `snapshot -l` show of a qcow2 image, as a message.
 */
#include "guest/formats/luks.h"
#include "guest/formats/message.h"
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static bool fill_snapshot(const struct qcow2_snapshot *s, Abi__Snapshot *out)
{
    out->vm_state_size = s->vm_state_size;
    out->date_sec = s->date_sec;
    out->date_nsec = s->date_nsec;
    out->vm_clock_nsec = s->vm_clock_nsec;
    out->has_icount = s->has_icount;
    out->icount = s->icount;
    out->disk_size = s->disk_size;
    return message_set_bytes(&out->id, s->id_str) && message_set_bytes(&out->name, s->name);
}

static enum guest_err fill_snapshots(const struct qcow2 *q, Abi__InfoReply *reply,
                                     struct guest_err_detail *detail)
{
    reply->snapshot = arena_array(q->nr_snapshots, sizeof(*reply->snapshot));
    if (!reply->snapshot)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < q->nr_snapshots; i++) {
        Abi__Snapshot *s = malloc(sizeof(*s));

        if (!s)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        abi__snapshot__init(s);
        reply->snapshot[reply->n_snapshot++] = s;
        if (!fill_snapshot(&q->snapshots[i], s))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static enum guest_err fill_bitmaps(const struct qcow2 *q, Abi__Qcow2Info *out,
                                   struct guest_err_detail *detail)
{
    out->has_bitmaps = true; /* or none, which is worth showing */
    out->bitmap = arena_array(q->nr_bitmaps, sizeof(*out->bitmap));
    if (!out->bitmap)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < q->nr_bitmaps; i++) {
        const struct qcow2_bitmap *from = &q->bitmaps[i];
        Abi__Bitmap *b = malloc(sizeof(*b));

        if (!b)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        abi__bitmap__init(b);
        out->bitmap[out->n_bitmap++] = b;
        b->granularity = 1ull << from->granularity_bits;
        b->in_use = from->flags & QCOW2_BITMAP_IN_USE;
        b->auto_ = from->flags & QCOW2_BITMAP_AUTO;
        b->unknown_flags = from->flags & ~(QCOW2_BITMAP_IN_USE | QCOW2_BITMAP_AUTO);
        if (!message_set_bytes(&b->name, from->name))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static bool fill_words(const struct qcow2 *q, Abi__Qcow2Info *out)
{
    static const char *const encrypt_formats[] = {"", "aes", "luks"};
    bool zstd = q->header.compression_type == QCOW2_COMPRESSION_ZSTD;

    return message_set_text(&out->compression_type, zstd ? "zstd" : "zlib") &&
           message_set_text(&out->encrypt_format, encrypt_formats[q->header.crypt_method]) &&
           (!q->ext.has_data_file || message_set_bytes(&out->data_file, q->ext.data_file));
}

enum guest_err qcow2_info(struct node *node, Abi__InfoReply *reply, struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    const struct qcow2_header *h = &q->header;
    Abi__Qcow2Info *out = malloc(sizeof(*out));
    enum guest_err err;

    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__qcow2_info__init(out);
    reply->qcow2 = out;
    out->version = h->version;
    out->refcount_bits = q->refcount_bits;
    out->lazy_refcounts = h->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
    out->corrupt = h->incompatible_features & QCOW2_INCOMPAT_CORRUPT;
    out->extended_l2 = q->extended_l2;
    out->has_data_file = q->ext.has_data_file;
    out->needs_data_file = q->has_data_file;
    out->data_file_raw = h->autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    reply->has_backing_format = q->ext.has_backing_format;
    if (!fill_words(q, out) || !message_set_bytes(&reply->backing_format, q->ext.backing_format))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = q->luks ? luks_fill_info(q->luks, false, reply, detail) : GUEST_OK;
    if (!err)
        err = fill_bitmaps(q, out, detail);
    return err ? err : fill_snapshots(q, reply, detail);
}
