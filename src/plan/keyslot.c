/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/keyslot.h"

#include <string.h>

#include "compat/wording.h"
#include "src/graph/ask.h"
#include "src/graph/keys.h"
#include "src/plan/luks_options.h"

#define SALT_BYTES      32u
#define STRIPES         4000u
#define SECTOR          512u
#define DEFAULT_TIME_MS 2000u

/* The hash that the header derives keys with. */
static gboolean find_hash(struct image *image, enum crypto_hash *out, GError **error)
{
    Abi__InfoReply *reply = image_ask_info(image, error);

    if (reply == NULL) {
        return FALSE;
    }
    *out = CRYPTO_HASH_NONE;
    if (reply->luks != NULL) {
        *out = crypto_hash_find(reply->luks->hash_alg, strlen(reply->luks->hash_alg));
    }
    abi__info_reply__free_unpacked(reply, NULL);
    if (*out == CRYPTO_HASH_NONE) {
        return wording_fail(error, "The image has no key slots");
    }
    return TRUE;
}

static gboolean find_password(const char *id, ProtobufCBinaryData *out, GError **error)
{
    const struct secret *secret = keys_passphrase(id, error);
    gsize len;

    if (secret == NULL) {
        return FALSE;
    }
    out->data = (uint8_t *)g_bytes_get_data(secret->data, &len);
    out->len = len;
    return TRUE;
}

gboolean keyslot_fill(struct image *image, const struct amend_keyslots *keyslots, gboolean force,
                      Abi__KeyslotRequest *out, GError **error)
{
    const struct crypto_spec *cipher = image_cipher(image);
    enum crypto_hash hash;

    abi__keyslot_request__init(out);
    if (cipher == NULL || !find_hash(image, &hash, error)) {
        return cipher != NULL || wording_fail(error, "The image has no key slots");
    }
    out->node = image_node(image);
    out->activate = keyslots->activate;
    out->force = force;
    out->has_slot = keyslots->has_slot;
    out->slot = (uint32_t)keyslots->slot;
    out->has_old = keyslots->old_secret != NULL;
    if (keyslots->new_secret != NULL &&
        !find_password(keyslots->new_secret, &out->new_password, error)) {
        return FALSE;
    }
    if (keyslots->old_secret != NULL &&
        !find_password(keyslots->old_secret, &out->old_password, error)) {
        return FALSE;
    }
    if (keyslots->activate &&
        !luks_options_iterations(hash, cipher->key_len,
                                 keyslots->has_iter_time ? keyslots->iter_time_ms : DEFAULT_TIME_MS,
                                 &out->iters, error)) {
        return FALSE;
    }
    return luks_options_random(SALT_BYTES + (STRIPES * (size_t)cipher->key_len + SECTOR - 1) /
                                                SECTOR * SECTOR,
                               &out->random, error);
}

void keyslot_clear(Abi__KeyslotRequest *request)
{
    g_free(request->random.data);
    request->random = (ProtobufCBinaryData){0};
}
