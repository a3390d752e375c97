/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QED driver: opening an image, and the table of its verbs.
 *
 * The order of the rules is stock's, since an image that breaks several is refused with the
 * sentence of the first. source: QED specification, "Header"; order and limits seen by giving stock
 * qemu-img 7.2 to 11.1 images with pairs of faults.
 */
#include "guest/formats/qed.h"

#include "guest/formats/message.h"
#include "guest/lib/arena.h"

static const char backing_format[] = "raw";

static int qed_probe(struct span head)
{
    struct cursor c = cur_of(head);

    return cur_le32(&c) == QED_MAGIC && cur_ok(&c) ? 100 : 0;
}

static void decode_header(struct span bytes, struct qed_header *h)
{
    struct cursor c = cur_of(bytes);

    h->magic = cur_le32(&c);
    h->cluster_size = cur_le32(&c);
    h->table_size = cur_le32(&c);
    h->header_size = cur_le32(&c);
    h->features = cur_le64(&c);
    h->compat_features = cur_le64(&c);
    h->autoclear_features = cur_le64(&c);
    h->l1_table_offset = cur_le64(&c);
    h->image_size = cur_le64(&c);
    h->backing_filename_offset = cur_le32(&c);
    h->backing_filename_size = cur_le32(&c);
}

bool qed_cluster_size_ok(uint64_t cluster_size)
{
    return cluster_size >= QED_CLUSTER_MIN && cluster_size <= QED_CLUSTER_MAX &&
           is_power_of_two_u64(cluster_size);
}

bool qed_table_size_ok(uint64_t table_size)
{
    return table_size >= 1 && table_size <= QED_TABLE_MAX && is_power_of_two_u64(table_size);
}

uint64_t qed_max_image_size(uint64_t cluster_size, uint64_t table_size)
{
    uint64_t entries = cluster_size * table_size / QED_ENTRY_BYTES;

    return entries * cluster_size * entries;
}

bool qed_cluster_ok(const struct qed *q, uint64_t offset)
{
    uint64_t header_bytes = (uint64_t)q->header.header_size * q->header.cluster_size;

    return (offset & (q->header.cluster_size - 1)) == 0 && offset >= header_bytes &&
           offset < q->file_bytes;
}

bool qed_table_ok(const struct qed *q, uint64_t offset)
{
    uint64_t last = offset + q->table_bytes - q->header.cluster_size;

    return last > offset && qed_cluster_ok(q, offset) && qed_cluster_ok(q, last);
}

static enum guest_err validate_header(struct qed *q, struct guest_err_detail *detail)
{
    const struct qed_header *h = &q->header;
    uint64_t length;

    if (h->magic != QED_MAGIC)
        return qed_error(detail, QED_ERR_NOT_QED, 0);
    if (h->features & ~QED_F_KNOWN)
        return qed_error(detail, QED_ERR_FEATURES, h->features & ~QED_F_KNOWN);
    if (!qed_cluster_size_ok(h->cluster_size))
        return qed_error(detail, QED_ERR_CLUSTER_SIZE, 0);
    if (!align_up_u64(q->source->size_bytes, QED_SECTOR_BYTES, &length))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    q->file_bytes = length & ~(uint64_t)(h->cluster_size - 1);
    if (!qed_table_size_ok(h->table_size))
        return qed_error(detail, QED_ERR_TABLE_SIZE, 0);
    if (h->image_size % QED_SECTOR_BYTES != 0 || h->image_size > INT64_MAX ||
        h->image_size > qed_max_image_size(h->cluster_size, h->table_size))
        return qed_error(detail, QED_ERR_IMAGE_SIZE, 0);
    q->cluster_bits = (uint32_t)__builtin_ctz(h->cluster_size);
    q->table_bytes = (uint64_t)h->table_size * h->cluster_size;
    q->table_entries = q->table_bytes / QED_ENTRY_BYTES;
    q->l1_shift = q->cluster_bits + (uint32_t)__builtin_ctzll(q->table_entries);
    if (!qed_table_ok(q, h->l1_table_offset))
        return qed_error(detail, QED_ERR_TABLE_OFFSET, 0);
    if ((uint64_t)h->header_size * h->cluster_size > UINT32_MAX)
        return qed_error(detail, QED_ERR_HEADER_LARGE, 0);
    return GUEST_OK;
}

/* The name of the backing file, which lies in the header's clusters. */
static enum guest_err add_backing(struct node *node, struct qed *q, struct guest_err_detail *detail)
{
    const struct qed_header *h = &q->header;
    uint64_t header_bytes = (uint64_t)h->header_size * h->cluster_size;
    bool raw = h->features & QED_F_BACKING_NO_PROBE;
    uint8_t name[QED_BACKING_NAME_MAX];
    enum guest_err err;
    size_t len;

    if (!(h->features & QED_F_BACKING_FILE))
        return GUEST_OK;
    if (!range_inside_u64(h->backing_filename_offset, h->backing_filename_size, header_bytes))
        return qed_error(detail, QED_ERR_BACKING_OFFSET, 0);
    if (h->backing_filename_size > QED_BACKING_NAME_MAX)
        return qed_error(detail, QED_ERR_BACKING_NAME, 0);
    err = source_read_padded(node->source, h->backing_filename_offset, h->backing_filename_size,
                             name, detail);
    if (err)
        return err;
    len = strnlen((const char *)name, h->backing_filename_size);
    if (len == 0)
        return GUEST_OK;
    return node_add_ref(node, ABI__ROLE__ROLE_BACKING, span_of(name, len),
                        span_of(backing_format, raw ? strlen(backing_format) : 0), 0, detail);
}

static enum guest_err qed_open(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    struct qed *q = arena_array(1, sizeof(*q));
    uint8_t bytes[QED_HEADER_BYTES];
    enum guest_err err;

    if (!q)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = q;
    q->source = node->source;
    err = source_read_padded(node->source, 0, sizeof(bytes), bytes, detail);
    if (err)
        return err;
    decode_header(span_of(bytes, sizeof(bytes)), &q->header);
    err = validate_header(q, detail);
    if (!err)
        err = add_backing(node, q, detail);
    if (err)
        return err;
    node->virtual_size = q->header.image_size;
    node->cluster_size = q->header.cluster_size;
    /* Stock says nothing about it to who only reads. */
    node->dirty = request->read_write && (q->header.features & QED_F_NEED_CHECK);
    return GUEST_OK;
}

static enum guest_err qed_info(struct node *node, Abi__InfoReply *reply,
                               struct guest_err_detail *detail)
{
    if (!(qed_of(node)->header.features & QED_F_BACKING_NO_PROBE))
        return GUEST_OK;
    reply->has_backing_format = true;
    return message_set_bytes(&reply->backing_format,
                             span_of(backing_format, strlen(backing_format)))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

static void qed_close(struct node *node)
{
    struct qed *q = qed_of(node);

    if (!q)
        return;
    table_window_clear(&q->l1);
    table_window_clear(&q->l2);
    free(q);
    node->state = NULL;
}

const struct format_driver format_qed = {
    .name = "qed",
    .probe = qed_probe,
    .open = qed_open,
    .map = qed_map,
    .info = qed_info,
    .check = qed_check,
    .create = qed_create,
    .writer_open = qed_writer_open,
    .resize = qed_resize,
    .change_backing = qed_change_backing,
    .close = qed_close,
};
