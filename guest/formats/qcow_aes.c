/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: qcow2 specification, "Data encryption"; that AES takes 16 bytes of passphrase, and that
 * both versions complain alike, was seen with stock qemu-img 7.2 to 11.1.
 */
#include "guest/formats/qcow_aes.h"

#include "guest/formats/luks.h"
#include "guest/lib/checked.h"

#define AES_KEY_BYTES 16u
#define SECTOR_BYTES  512u

enum guest_err qcow_check_encrypt_format(uint32_t method, const Abi__OpenRequest *request,
                                         struct guest_err_detail *detail)
{
    static const char *const names[] = {"", "aes", "luks"};
    static const enum luks_err mismatches[] = {LUKS_ERR_NOT_ENCRYPTED, LUKS_ERR_OTHER_AES,
                                               LUKS_ERR_OTHER_LUKS};
    const char *said = request->encrypt_format;

    if (said[0] == '\0' || strcmp(said, names[method]) == 0)
        return GUEST_OK;
    return luks_error_text(detail, mismatches[method], span_of(said, strlen(said)), 0);
}

enum guest_err qcow_aes_spec(const Abi__OpenRequest *request, struct crypto_spec *out,
                             struct guest_err_detail *detail)
{
    const Abi__Secret *secret = request->encrypt_secret;
    enum guest_err err = luks_need_secret(secret, "encrypt.", detail);

    if (err)
        return err;
    *out = (struct crypto_spec){
        .cipher = CRYPTO_CIPHER_AES_128,
        .mode = CRYPTO_MODE_CBC,
        .ivgen = CRYPTO_IVGEN_PLAIN64,
        .sector_bytes = SECTOR_BYTES,
        .key_len = AES_KEY_BYTES,
    };
    memcpy(out->key, secret->data.data, min_u64(secret->data.len, AES_KEY_BYTES));
    return GUEST_OK;
}
