/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption of qcow2: LUKS, whose header is in clusters of the image, and the old AES, whose key
 * is the passphrase itself. source: qcow2 specification, "Full disk encryption header pointer" and
 * "Data encryption"; that AES takes 16 bytes of passphrase was seen with stock qemu-img 7.2.
 */
#include "guest/formats/luks.h"
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define AES_KEY_BYTES 16u

enum guest_err qcow2_check_encrypt_format(const struct qcow2 *q, const Abi__OpenRequest *request,
                                          struct guest_err_detail *detail)
{
    static const char *const names[] = {"", "aes", "luks"};
    static const enum luks_err mismatches[] = {LUKS_ERR_NOT_ENCRYPTED, LUKS_ERR_OTHER_AES,
                                               LUKS_ERR_OTHER_LUKS};
    uint32_t method = q->header.crypt_method;

    if (method > QCOW2_CRYPT_LUKS)
        return qcow2_error_numbers(detail, QCOW2_ERR_CRYPT_METHOD,
                                   (uint64_t)(int64_t)(int32_t)method, 0, 0);
    if (request->encrypt_format[0] == '\0' || strcmp(request->encrypt_format, names[method]) == 0)
        return GUEST_OK;
    return luks_error_text(detail, mismatches[method],
                           span_of(request->encrypt_format, strlen(request->encrypt_format)), 0);
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
    struct span password;

    if (q->header.crypt_method != QCOW2_CRYPT_AES || request->no_io)
        return GUEST_OK;
    err = luks_need_secret(request->encrypt_secret, "encrypt.", detail);
    if (err)
        return err;
    password = password_of(request);
    q->aes = (struct crypto_spec){
        .cipher = CRYPTO_CIPHER_AES_128,
        .mode = CRYPTO_MODE_CBC,
        .ivgen = CRYPTO_IVGEN_PLAIN64,
        .sector_bytes = QCOW2_SECTOR_BYTES,
        .key_len = AES_KEY_BYTES,
    };
    memcpy(q->aes.key, password.data, min_u64(password.len, AES_KEY_BYTES));
    node->cipher = &q->aes;
    return GUEST_OK;
}

void qcow2_close_crypt(struct qcow2 *q)
{
    crypto_wipe(&q->aes, sizeof(q->aes));
    if (q->luks)
        crypto_wipe(q->luks, sizeof(*q->luks));
    free(q->luks);
}
