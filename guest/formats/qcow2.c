/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 driver: opening an image and the table of its verbs.
 *
 * Reading only; writing is in qcow2_writer*.c, qcow2_create*.c and qcow2_resize*.c. Encrypted
 * images need a key unless no data will be looked at (qcow2_crypt.c).
 */
#include "guest/formats/qcow2.h"
#include "guest/formats/qcow2_amend.h"
#include "guest/formats/qcow2_backing.h"
#include "guest/formats/qcow2_bitmap_plan.h"
#include "guest/formats/qcow2_create.h"
#include "guest/formats/qcow2_empty.h"
#include "guest/formats/qcow2_resize.h"
#include "guest/formats/qcow2_snapshot_plan.h"
#include "guest/formats/qcow2_writer.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static int qcow2_probe(struct span head)
{
    struct cursor c = cur_of(head);
    uint32_t magic = cur_be32(&c);
    uint32_t version = cur_be32(&c);

    return cur_ok(&c) && magic == QCOW2_MAGIC && version >= 2 ? 100 : 0;
}

/* The name of the backing file, which the header places in the first cluster. */
static enum guest_err add_backing(struct node *node, struct qcow2 *q,
                                  struct guest_err_detail *detail)
{
    uint64_t offset = q->header.backing_file_offset;
    uint32_t len = q->header.backing_file_size;
    uint8_t name[QCOW2_BACKING_NAME_MAX];
    enum guest_err err;

    if (offset == 0)
        return GUEST_OK;
    if (len > QCOW2_BACKING_NAME_MAX || len > q->cluster_size - offset)
        return qcow2_error(detail, QCOW2_ERR_BACKING_NAME_LONG);
    err = source_read_padded(node->source, offset, len, name, detail);
    if (err)
        return err;
    len = (uint32_t)strnlen((const char *)name, len);
    if (len == 0)
        return GUEST_OK;
    return node_add_ref(node, ABI__ROLE__ROLE_BACKING, span_of(name, len), q->ext.backing_format, 0,
                        detail);
}

/*
 * The external data file's name, and that the features about it agree. Only who will look at the
 * data needs the file. An empty name: the image does not say, but its user may.
 */
static enum guest_err add_data_file(struct node *node, struct qcow2 *q,
                                    const Abi__OpenRequest *request,
                                    struct guest_err_detail *detail)
{
    static const char raw[] = "raw";
    bool is_raw = q->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW;

    if (q->has_data_file && (q->ext.data_file.len || !request->no_io))
        return node_add_ref(node, ABI__ROLE__ROLE_DATA_FILE, q->ext.data_file,
                            span_of(raw, sizeof(raw) - 1), 0, detail);
    if (request->no_io)
        return GUEST_OK;
    return is_raw ? qcow2_error(detail, QCOW2_ERR_RAW_WITHOUT_DATA_FILE) : GUEST_OK;
}

static void qcow2_close(struct node *node)
{
    struct qcow2 *q = qcow2_of(node);

    if (!q)
        return;
    qcow2_free_snapshots(q);
    free(q->l1);
    qcow2_l2_window_clear(&q->window);
    qcow2_free_bitmaps(q);
    free((void *)q->ext.backing_format.data);
    free((void *)q->ext.data_file.data);
    qcow2_close_crypt(q);
    free(q);
    node->state = NULL;
}

static enum guest_err qcow2_open(struct node *node, const Abi__OpenRequest *request,
                                 struct guest_err_detail *detail)
{
    struct qcow2 *q = arena_array(1, sizeof(*q));
    enum guest_err err;

    if (!q)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = q;
    err = qcow2_read_header(node->source, request, q, detail);
    if (!err) {
        q->l1_size = q->header.l1_size;
        err = qcow2_read_l1(q, q->header.l1_table_offset, q->l1_size, &q->l1, detail);
        qcow2_l2_window_reset(&q->window, q->l1, q->l1_size);
    }
    if (!err)
        err = qcow2_check_encrypt_format(q, request, detail);
    if (!err)
        err = qcow2_read_extensions(q, detail);
    if (!err)
        err = qcow2_open_luks(node, request, detail);
    if (!err)
        err = add_data_file(node, q, request, detail);
    if (!err)
        err = qcow2_open_aes(node, request, detail);
    if (!err)
        err = add_backing(node, q, detail);
    if (!err)
        err = request->for_check ? GUEST_OK : qcow2_read_snapshots(q, detail);
    if (!err)
        err = qcow2_read_bitmaps(q, detail);
    if (!err && q->header.size > INT64_MAX)
        err = qcow2_error(detail, QCOW2_ERR_SECTOR_COUNT);
    if (err)
        return err;
    if (q->ext.bitmaps_stale)
        node->warnings[node->nr_warnings++] =
            q->header.version == 2 ? QCOW2_WARN_BITMAPS_V2 : QCOW2_WARN_BITMAPS_STALE;
    node->virtual_size = qcow2_virtual_size(q);
    node->cluster_size = q->cluster_size;
    node->encrypted = q->header.crypt_method != QCOW2_CRYPT_NONE;
    node->dirty = q->header.incompatible_features & QCOW2_INCOMPAT_DIRTY;
    node->untidy = q->ext.bitmaps_stale || q->header.autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN;
    node->has_snapshots = q->header.nb_snapshots != 0;
    return GUEST_OK;
}

const struct format_driver format_qcow2 = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .open = qcow2_open,
    .map = qcow2_map,
    .info = qcow2_info,
    .check = qcow2_check,
    .load_snapshot = qcow2_load_snapshot,
    .create = qcow2_create_plan,
    .writer_open = qcow2_writer_open,
    .resize = qcow2_resize_plan,
    .snapshot = qcow2_snapshot_plan,
    .change_backing = qcow2_backing_plan,
    .empty = qcow2_empty_plan,
    .amend = qcow2_amend_plan,
    .bitmap = qcow2_bitmap_plan,
    .bitmap_read = qcow2_bitmap_read,
    .close = qcow2_close,
};
