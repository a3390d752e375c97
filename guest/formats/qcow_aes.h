/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encryption that qcow had from its first version on, and qcow2 until LUKS came: AES in CBC,
 * whose key is the passphrase itself.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW_AES_H
#define INSTAR_GUEST_FORMATS_QCOW_AES_H

#include "guest/formats/format.h"

/*
 * Compares the encryption of an image with what the user says it is.
 *
 * in:      method: 0 none, 1 AES, 2 LUKS (qcow2 alone)
 * returns: LUKS_ERR_NOT_ENCRYPTED, LUKS_ERR_OTHER_AES, LUKS_ERR_OTHER_LUKS
 */
enum guest_err qcow_check_encrypt_format(uint32_t method, const Abi__OpenRequest *request,
                                         struct guest_err_detail *detail);

/*
 * Makes the cipher of the passphrase that came with the request.
 *
 * out:     *out: the caller's to wipe
 * returns: LUKS_ERR_NO_KEY, LUKS_ERR_NO_SECRET, LUKS_ERR_SECRET_TEXT
 */
enum guest_err qcow_aes_spec(const Abi__OpenRequest *request, struct crypto_spec *out,
                             struct guest_err_detail *detail);

#endif
