/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: the set of them, and making one from its properties.
 *
 * A secret that is encrypted itself is decrypted with the one that it names.
 */
#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <string.h>

#include "compat/secret_private.h"
#include "compat/wording.h"

/* The key and the blocks of AES-256-CBC, in which a secret may be encrypted. */
#define KEY_BYTES   32
#define IV_BYTES    16
#define BLOCK_BYTES 16

struct secret_set {
    GPtrArray *secrets;   /* of struct secret * */
    GPtrArray *throttles; /* of struct throttle_group * */
};

/* ---- the set ---- */

static void wipe(GBytes *bytes)
{
    gsize len;
    void *data = (void *)g_bytes_get_data(bytes, &len);

    if (data != NULL) {
        explicit_bzero(data, len);
    }
}

static void secret_free(void *data)
{
    struct secret *secret = data;

    if (secret->data != NULL) {
        wipe(secret->data);
        g_bytes_unref(secret->data);
    }
    g_clear_pointer(&secret->iv, g_bytes_unref);
    g_free(secret->id);
    g_free(secret->keyid);
    g_free(secret);
}

static void free_throttle(gpointer group)
{
    throttle_group_free(group);
}

struct secret_set *secret_set_new(void)
{
    struct secret_set *set = g_new0(struct secret_set, 1);

    set->secrets = g_ptr_array_new_with_free_func(secret_free);
    set->throttles = g_ptr_array_new_with_free_func(free_throttle);
    return set;
}

void secret_set_free(struct secret_set *set)
{
    if (set != NULL) {
        g_ptr_array_unref(set->secrets);
        g_ptr_array_unref(set->throttles);
        g_free(set);
    }
}

gboolean secret_set_empty(const struct secret_set *set)
{
    return set->secrets->len == 0;
}

const struct secret *secret_set_find(const struct secret_set *set, const char *id, GError **error)
{
    for (guint i = 0; i < set->secrets->len; i++) {
        const struct secret *secret = g_ptr_array_index(set->secrets, i);

        if (strcmp(secret->id, id) == 0) {
            return secret;
        }
    }
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "No secret with id '%s'", id);
    return NULL;
}

/* ---- one secret ---- */

static gboolean check_id(const char *id, GError **error)
{
    gboolean good = g_ascii_isalpha(*id);

    for (const char *at = id; *at != '\0' && good; at++) {
        good = g_ascii_isalnum(*at) || strchr("-._", *at) != NULL;
    }
    return good || wording_fail(error, "Parameter 'id' expects an identifier\n"
                                       "Identifiers consist of letters, digits, '-', '.', '_', "
                                       "starting with a letter.");
}

static GBytes *load_data(const struct secret_request *request, GError **error)
{
    g_autoptr(GError) reason = NULL;
    char *text = NULL;
    gsize len;

    if (request->data != NULL && request->file != NULL) {
        wording_fail(error, "'file' and 'data' are mutually exclusive");
        return NULL;
    }
    if (request->data != NULL) {
        return g_bytes_new(request->data, strlen(request->data));
    }
    if (request->file == NULL) {
        wording_fail(error, "Either 'file' or 'data' must be provided");
        return NULL;
    }
    if (!g_file_get_contents(request->file, &text, &len, &reason)) {
        wording_fail(error, "Unable to read %s: %s", request->file, reason->message);
        return NULL;
    }
    return g_bytes_new_take(text, len);
}

/* Decodes base64 in place of the encoded bytes, which are wiped. */
static GBytes *decode_base64(GBytes *encoded, GError **error)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n";
    gsize len, decoded_len = 0;
    const char *bytes = g_bytes_get_data(encoded, &len);
    g_autofree char *text = g_strndup(bytes != NULL ? bytes : "", len);
    GBytes *decoded = NULL;

    if (strlen(text) != len) {
        wording_fail(error, "Base64 data is not NUL terminated");
    } else if (strspn(text, alphabet) != len) {
        wording_fail(error, "Base64 data contains invalid characters");
    } else {
        guchar *raw = g_base64_decode(text, &decoded_len);

        decoded = g_bytes_new_take(raw, decoded_len);
    }
    explicit_bzero(text, len);
    wipe(encoded);
    g_bytes_unref(encoded);
    return decoded;
}

static gboolean check_key(struct secret *secret, const struct secret_set *set,
                          const struct secret_request *request, GError **error)
{
    const struct secret *key = secret_set_find(set, request->keyid, error);
    GBytes *iv;

    if (key == NULL) {
        return FALSE;
    }
    if (g_bytes_get_size(key->data) != KEY_BYTES) {
        return wording_fail(error, "Key should be %d bytes in length", KEY_BYTES);
    }
    if (request->iv == NULL) {
        return wording_fail(error, "IV is required to decrypt secret");
    }
    iv = decode_base64(g_bytes_new(request->iv, strlen(request->iv)), error);
    if (iv == NULL) {
        return FALSE;
    }
    if (g_bytes_get_size(iv) != IV_BYTES) {
        wording_fail(error, "IV should be %d bytes in length not %" G_GSIZE_FORMAT, IV_BYTES,
                     g_bytes_get_size(iv));
        g_bytes_unref(iv);
        return FALSE;
    }
    secret->iv = iv;
    secret->keyid = g_strdup(request->keyid);
    return TRUE;
}

/* Undoes AES-256-CBC and the padding: as many bytes as their value says, 1 to 16. */
static gboolean decrypt(struct secret *secret, const struct secret *key, GError **error)
{
    struct CBC_CTX(struct aes256_ctx, AES_BLOCK_SIZE) cipher;
    gsize len = g_bytes_get_size(secret->data);
    guint8 *plain = g_malloc(len + 1);
    guint padding;

    aes256_set_decrypt_key(&cipher.ctx, g_bytes_get_data(key->data, NULL));
    CBC_SET_IV(&cipher, g_bytes_get_data(secret->iv, NULL));
    CBC_DECRYPT(&cipher, aes256_decrypt, len, plain, g_bytes_get_data(secret->data, NULL));
    explicit_bzero(&cipher, sizeof(cipher));
    padding = len > 0 ? plain[len - 1] : 0;
    if (padding > BLOCK_BYTES || padding > len) {
        explicit_bzero(plain, len);
        g_free(plain);
        return wording_fail(error, "Incorrect number of padding bytes (%u) found on decrypted data",
                            padding);
    }
    g_bytes_unref(secret->data);
    secret->data = g_bytes_new_take(plain, len - padding);
    return TRUE;
}

static gboolean load_secret(struct secret *secret, const struct secret_set *set,
                            const struct secret_request *request, GError **error)
{
    secret->base64 = request->format != NULL && strcmp(request->format, "base64") == 0;
    secret->data = load_data(request, error);
    if (secret->data == NULL) {
        return FALSE;
    }
    if (request->keyid != NULL && !check_key(secret, set, request, error)) {
        return FALSE;
    }
    if (secret->base64) {
        secret->data = decode_base64(secret->data, error);
    }
    if (secret->data == NULL) {
        return FALSE;
    }
    if (secret->keyid != NULL && g_bytes_get_size(secret->data) % BLOCK_BYTES != 0) {
        return wording_fail(error, "Length %" G_GSIZE_FORMAT " must be a multiple of block size %d",
                            g_bytes_get_size(secret->data), BLOCK_BYTES);
    }
    return secret->keyid == NULL ||
           decrypt(secret, secret_set_find(set, secret->keyid, NULL), error);
}

/* Ids of all objects are names of one kind. */
static gboolean check_new_id(const struct secret_set *set, const char *id, GError **error)
{
    if (!check_id(id, error)) {
        return FALSE;
    }
    if (secret_set_find(set, id, NULL) != NULL || secret_set_find_throttle(set, id) != NULL) {
        return wording_fail(
            error, "attempt to add duplicate property '%s' to object (type 'container')", id);
    }
    return TRUE;
}

gboolean secret_set_add_throttle(struct secret_set *set, const struct keyval *kv, const char *id,
                                 gboolean json, GError **error)
{
    struct throttle_group *group = throttle_group_new(kv, id, json, error);
    if (group == NULL || !check_new_id(set, id, error)) {
        throttle_group_free(group);
        return FALSE;
    }
    g_ptr_array_add(set->throttles, group);
    return TRUE;
}

const struct throttle_group *secret_set_find_throttle(const struct secret_set *set, const char *id)
{
    for (guint i = 0; i < set->throttles->len; i++) {
        const struct throttle_group *group = g_ptr_array_index(set->throttles, i);

        if (strcmp(group->id, id) == 0) {
            return group;
        }
    }
    return NULL;
}

gboolean secret_set_add_request(struct secret_set *set, const struct secret_request *request,
                                GError **error)
{
    struct secret *secret;

    if (!check_new_id(set, request->id, error)) {
        return FALSE;
    }
    secret = g_new0(struct secret, 1);
    secret->id = g_strdup(request->id);
    if (!load_secret(secret, set, request, error)) {
        secret_free(secret);
        return FALSE;
    }
    g_ptr_array_add(set->secrets, secret);
    return TRUE;
}
