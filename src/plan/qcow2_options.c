/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/qcow2_options.h"

#include <string.h>

#include "compat/wording.h"
#include "src/graph/keys.h"
#include "src/plan/luks_options.h"

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = text != NULL ? strlen(text) : 0, .data = (uint8_t *)text};
}

void qcow2_options_fill(const struct create_qcow2 *from, Abi__Qcow2CreateOptions *to)
{
    abi__qcow2_create_options__init(to);
    to->version = from->version;
    to->cluster_size = from->cluster_size_bytes;
    to->refcount_bits = (uint32_t)MIN(from->refcount_bits, G_MAXUINT32);
    to->lazy_refcounts = from->lazy_refcounts;
    to->extended_l2 = from->extended_l2;
    to->compression_type = from->compression == QCOW2_ZSTD;
    to->preallocation = (Abi__Preallocation)from->preallocation;
    to->has_backing = from->backing_file != NULL;
    to->backing_file = bytes_of(from->backing_file);
    to->backing_format = bytes_of(from->backing_fmt);
    to->has_data_file = from->data_file != NULL;
    to->data_file = bytes_of(from->data_file);
    to->data_file_raw = from->data_file_raw;
    to->keep_data_file = from->keep_data_file;
    to->aes = from->encrypt_format != NULL && strcmp(from->encrypt_format, "aes") == 0;
}

gboolean qcow_options_secret(const struct create_opts *opts, GError **error)
{
    const struct keyval_slot *secret = create_opts_slot(opts, "encrypt.key-secret");

    if (secret == NULL || secret->text == NULL)
        return wording_fail(error, "Parameter 'encrypt.key-secret' is required for cipher");
    return keys_passphrase(secret->text, error) != NULL;
}

/* The old encryption has a key and nothing to choose. */
static gboolean check_aes(const struct create_opts *opts, GError **error)
{
    static const char *const keys[] = {
        "encrypt.cipher-alg",     "encrypt.cipher-mode", "encrypt.ivgen-alg",
        "encrypt.ivgen-hash-alg", "encrypt.hash-alg",    "encrypt.iter-time",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        const struct keyval_slot *slot = create_opts_slot(opts, keys[i]);

        if (slot != NULL && slot->given)
            return wording_fail(error, "Parameter '%s' is unexpected", keys[i]);
    }
    return qcow_options_secret(opts, error);
}

gboolean qcow2_options_encryption(const struct create_opts *opts,
                                  const struct create_qcow2 *options, gboolean size_only,
                                  Abi__LuksCreate *out, gboolean *out_has_luks, GError **error)
{
    *out_has_luks = FALSE;
    if (options->encrypt_format == NULL)
        return TRUE;
    if (strcmp(options->encrypt_format, "aes") == 0)
        return check_aes(opts, error);
    *out_has_luks = TRUE;
    return luks_options_fill(opts, "encrypt.", size_only, out, error);
}
