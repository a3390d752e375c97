/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption of qcow2: LUKS, whose header is in clusters of the image, and the old AES
 * (qcow_aes.h). source: qcow2 specification, "Full disk encryption header pointer".
 */
#include "guest/formats/luks.h"
#include "guest/formats/qcow2.h"
#include "guest/formats/qcow_aes.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err qcow2_check_encrypt_format(const struct qcow2 *q, const Abi__OpenRequest *request,
                                          struct guest_err_detail *detail)
{
    uint32_t method = q->header.crypt_method;

    if (method > QCOW2_CRYPT_LUKS)
        return qcow2_error_numbers(detail, QCOW2_ERR_CRYPT_METHOD,
                                   (uint64_t)(int64_t)(int32_t)method, 0, 0);
    return qcow_check_encrypt_format(method, request, detail);
}

static struct span password_of(const Abi__OpenRequest *request)
{
    return span_of(request->encrypt_secret->data.data, request->encrypt_secret->data.len);
}

/* The header is there, inside the file. */
static enum guest_err check_place(const struct qcow2 *q, struct guest_err_detail *detail)
{
    if (!q->ext.has_crypto)
        return qcow2_error(detail, QCOW2_ERR_CRYPTO_MISSING);
    if (!range_inside_u64(q->ext.crypto_offset, q->ext.crypto_length, q->source->size_bytes) ||
        q->ext.crypto_length < LUKS_MAGIC_BYTES)
        return qcow2_error(detail, QCOW2_ERR_CRYPTO_OUTSIDE);
    return GUEST_OK;
}

enum guest_err qcow2_open_luks(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    enum guest_err err = GUEST_OK;

    if (q->header.crypt_method != QCOW2_CRYPT_LUKS)
        return GUEST_OK;
    if (!request->no_io)
        err = q->ext.has_crypto ? luks_need_secret(request->encrypt_secret, "encrypt.", detail)
                                : GUEST_OK;
    if (!err)
        err = check_place(q, detail);
    if (err)
        return err;
    q->luks = arena_array(1, sizeof(*q->luks));
    if (!q->luks)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = luks_read_header(q->source, q->ext.crypto_offset, false, q->luks, detail);
    if (err || request->no_io)
        return err;
    node->cipher = &q->luks->spec;
    node->cipher_by_place = true;
    return luks_unlock(q->source, q->ext.crypto_offset, q->luks, password_of(request), NULL,
                       detail);
}

enum guest_err qcow2_open_aes(struct node *node, const Abi__OpenRequest *request,
                              struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    enum guest_err err;

    if (q->header.crypt_method != QCOW2_CRYPT_AES || request->no_io)
        return GUEST_OK;
    err = qcow_aes_spec(request, &q->aes, detail);
    if (!err)
        node->cipher = &q->aes;
    return err;
}

void qcow2_close_crypt(struct qcow2 *q)
{
    crypto_wipe(&q->aes, sizeof(q->aes));
    if (q->luks)
        crypto_wipe(q->luks, sizeof(*q->luks));
    free(q->luks);
}
