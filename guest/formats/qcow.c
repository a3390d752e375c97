/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of qcow version 1: opening an image, and the table of its verbs.
 *
 * The order of the rules is stock's, as images with pairs of faults show it (7.2 to 11.1).
 * Encrypted images need a key unless no data will be looked at.
 */
#include "guest/formats/qcow.h"

#include "guest/formats/qcow_aes.h"
#include "guest/lib/arena.h"

static int qcow_probe(struct span head)
{
    struct cursor c = cur_of(head);
    uint32_t magic = cur_be32(&c), version = cur_be32(&c);

    return cur_ok(&c) && magic == QCOW_MAGIC && version == 1 ? 100 : 0;
}

static void decode_header(struct span bytes, struct qcow_header *h)
{
    struct cursor c = cur_of(bytes);

    h->magic = cur_be32(&c);
    h->version = cur_be32(&c);
    h->backing_file_offset = cur_be64(&c);
    h->backing_file_size = cur_be32(&c);
    cur_skip(&c, 4);
    h->size = cur_be64(&c);
    h->cluster_bits = cur_u8(&c);
    h->l2_bits = cur_u8(&c);
    cur_skip(&c, 2);
    h->crypt_method = cur_be32(&c);
    h->l1_table_offset = cur_be64(&c);
}

bool qcow_l1_entries(uint64_t size, uint32_t l1_shift, uint64_t *out)
{
    uint64_t covered;

    if (!align_up_u64(size, 1ull << l1_shift, &covered))
        return false;
    *out = covered >> l1_shift;
    return *out <= QCOW_L1_ENTRIES_MAX;
}

static enum guest_err validate_header(const struct qcow *q, struct guest_err_detail *detail)
{
    const struct qcow_header *h = &q->header;

    if (h->magic != QCOW_MAGIC)
        return qcow_error(detail, QCOW_ERR_NOT_QCOW, 0);
    if (h->version != 1)
        return qcow_error(
            detail, h->version == 2 || h->version == 3 ? QCOW_ERR_VERSION_QCOW2 : QCOW_ERR_VERSION,
            h->version);
    if (h->size <= 1)
        return qcow_error(detail, QCOW_ERR_SIZE_SMALL, 0);
    if (h->cluster_bits < QCOW_CLUSTER_BITS_MIN || h->cluster_bits > QCOW_CLUSTER_BITS_MAX)
        return qcow_error(detail, QCOW_ERR_CLUSTER_BITS, 0);
    if (h->l2_bits < QCOW_L2_BITS_MIN || h->l2_bits > QCOW_L2_BITS_MAX)
        return qcow_error(detail, QCOW_ERR_L2_BITS, 0);
    if (h->crypt_method > QCOW_CRYPT_AES)
        return qcow_error(detail, QCOW_ERR_CRYPT_METHOD, 0);
    return GUEST_OK;
}

/* Compares the encryption with what the user says it is, and takes the key. */
static enum guest_err unlock(struct node *node, const Abi__OpenRequest *request,
                             struct guest_err_detail *detail)
{
    struct qcow *q = qcow_of(node);
    enum guest_err err = qcow_check_encrypt_format(q->header.crypt_method, request, detail);

    if (err || q->header.crypt_method != QCOW_CRYPT_AES || request->no_io)
        return err;
    err = qcow_aes_spec(request, &q->aes, detail);
    if (!err)
        node->cipher = &q->aes;
    return err;
}

static enum guest_err find_tables(struct qcow *q, struct guest_err_detail *detail)
{
    const struct qcow_header *h = &q->header;

    q->cluster_size = 1ull << h->cluster_bits;
    q->l2_entries = 1ull << h->l2_bits;
    q->l1_shift = (uint32_t)h->cluster_bits + h->l2_bits;
    if (!qcow_l1_entries(h->size, q->l1_shift, &q->l1_entries))
        return qcow_error(detail, QCOW_ERR_SIZE_LARGE, 0);
    if (!range_inside_u64(h->l1_table_offset, q->l1_entries * QCOW_ENTRY_BYTES, INT64_MAX))
        return qcow_error(detail, QCOW_ERR_OUTSIDE, 0);
    return GUEST_OK;
}

static enum guest_err add_backing(struct node *node, struct qcow *q,
                                  struct guest_err_detail *detail)
{
    const struct qcow_header *h = &q->header;
    uint8_t name[QCOW_BACKING_NAME_MAX];
    enum guest_err err;
    size_t len;

    if (h->backing_file_offset == 0)
        return GUEST_OK;
    if (h->backing_file_size > QCOW_BACKING_NAME_MAX)
        return qcow_error(detail, QCOW_ERR_BACKING_NAME, 0);
    if (!range_inside_u64(h->backing_file_offset, h->backing_file_size, INT64_MAX))
        return qcow_error(detail, QCOW_ERR_OUTSIDE, 0);
    err = source_read_padded(q->source, h->backing_file_offset, h->backing_file_size, name, detail);
    len = strnlen((const char *)name, h->backing_file_size);
    if (err || len == 0)
        return err;
    return node_add_ref(node, ABI__ROLE__ROLE_BACKING, span_of(name, len), span_of(NULL, 0), 0,
                        detail);
}

static enum guest_err qcow_open(struct node *node, const Abi__OpenRequest *request,
                                struct guest_err_detail *detail)
{
    struct qcow *q = arena_array(1, sizeof(*q));
    uint8_t bytes[QCOW_HEADER_BYTES];
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
        err = unlock(node, request, detail);
    if (!err)
        err = find_tables(q, detail);
    if (!err)
        err = add_backing(node, q, detail);
    if (err)
        return err;
    node->virtual_size = q->header.size & ~(uint64_t)(QCOW_SECTOR_BYTES - 1);
    node->cluster_size = q->cluster_size;
    node->encrypted = q->header.crypt_method != 0;
    return GUEST_OK;
}

static void qcow_close(struct node *node)
{
    struct qcow *q = qcow_of(node);

    if (!q)
        return;
    table_window_clear(&q->l1);
    table_window_clear(&q->l2);
    crypto_wipe(&q->aes, sizeof(q->aes));
    free(q);
    node->state = NULL;
}

const struct format_driver format_qcow = {
    .name = "qcow",
    .probe = qcow_probe,
    .open = qcow_open,
    .map = qcow_map,
    .create = qcow_create,
    .writer_open = qcow_writer_open,
    .empty = qcow_empty,
    .close = qcow_close,
};
