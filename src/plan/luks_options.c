/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a LUKS header. source: the order of complaints and the share of the time that each
 * derivation gets (the slot all of it, the digest an eighth) were seen with stock qemu-img 10.0.
 */
#include "src/plan/luks_options.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "crypto/sector_cipher.h"
#include "src/graph/keys.h"

#define SALT_BYTES      32u
#define UUID_BYTES      16u
#define DIGEST_BYTES    20u
#define STRIPES         4000u
#define ITERATIONS_MIN  1000u
#define DEFAULT_TIME_MS 2000u
#define SAMPLE_NSECS    20000000

/* ---- words ---- */

static const struct keyval_slot *slot_of(const struct create_opts *opts, const char *prefix,
                                         const char *key)
{
    g_autofree char *name = g_strconcat(prefix, key, NULL);

    return create_opts_slot(opts, name);
}

static const char *text_of(const struct create_opts *opts, const char *prefix, const char *key)
{
    const struct keyval_slot *slot = slot_of(opts, prefix, key);

    return slot != NULL ? slot->text : NULL;
}

static gboolean refuse(const char *key, const char *word, GError **error)
{
    return wording_fail(error, "Parameter '%s' does not accept value '%s'", key, word);
}

static gboolean fill_cipher(const char *word, Abi__LuksCreate *out, GError **error)
{
    out->cipher = crypto_cipher_find(word, strlen(word));
    if (out->cipher == CRYPTO_CIPHER_SM4 && profile_get()->id == PROFILE_7_2) {
        return refuse("cipher-alg", word, error);
    }
    if (out->cipher != CRYPTO_CIPHER_NONE) {
        return TRUE;
    }
    if (strcmp(word, "des") == 0 || strcmp(word, "3des") == 0) {
        return wording_fail(error, "Algorithm '%s' not supported", word);
    }
    return refuse("cipher-alg", word, error);
}

static gboolean fill_words(const struct create_opts *opts, const char *prefix, Abi__LuksCreate *out,
                           GError **error)
{
    const char *cipher = text_of(opts, prefix, "cipher-alg");
    const char *mode = text_of(opts, prefix, "cipher-mode");
    const char *ivgen = text_of(opts, prefix, "ivgen-alg");
    const char *ivgen_hash = text_of(opts, prefix, "ivgen-hash-alg");
    const char *hash = text_of(opts, prefix, "hash-alg");

    out->cipher = CRYPTO_CIPHER_AES_256;
    out->mode = CRYPTO_MODE_XTS;
    out->ivgen = CRYPTO_IVGEN_PLAIN64;
    out->hash = CRYPTO_HASH_SHA256;
    if (cipher != NULL && !fill_cipher(cipher, out, error)) {
        return FALSE;
    }
    if (mode != NULL && (out->mode = crypto_mode_find(mode, strlen(mode))) == 0) {
        return refuse("cipher-mode", mode, error);
    }
    if (ivgen != NULL && (out->ivgen = crypto_ivgen_find(ivgen, strlen(ivgen))) == 0) {
        return refuse("ivgen-alg", ivgen, error);
    }
    if (ivgen_hash != NULL &&
        (out->ivgen_hash = crypto_hash_find(ivgen_hash, strlen(ivgen_hash))) == 0) {
        return refuse("ivgen-hash-alg", ivgen_hash, error);
    }
    if (hash != NULL && (out->hash = crypto_hash_find(hash, strlen(hash))) == 0) {
        return refuse("hash-alg", hash, error);
    }
    return TRUE;
}

static gboolean fill_password(const struct create_opts *opts, const char *prefix,
                              Abi__LuksCreate *out, GError **error)
{
    const char *id = text_of(opts, prefix, "key-secret");
    const struct secret *secret;
    gsize len;

    if (id == NULL) {
        return wording_fail(error, "Parameter '%skey-secret' is required for cipher", prefix);
    }
    secret = keys_passphrase(id, error);
    if (secret == NULL) {
        return FALSE;
    }
    out->password.data = (uint8_t *)g_bytes_get_data(secret->data, &len);
    out->password.len = len;
    return TRUE;
}

/* ---- iterations ---- */

static uint64_t cpu_nsecs(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

gboolean luks_options_iterations(enum crypto_hash hash, size_t key_bytes, uint64_t milliseconds,
                                 uint32_t *out, GError **error)
{
    static const uint8_t salt[SALT_BYTES];
    uint8_t key[CRYPTO_KEY_MAX];
    uint64_t took = 0;
    double wanted;

    for (uint32_t tried = 1024; took < SAMPLE_NSECS && tried <= 1u << 24; tried *= 2) {
        uint64_t start = cpu_nsecs();

        crypto_pbkdf2(hash, "password", 8, salt, sizeof(salt), tried, key, key_bytes);
        took = MAX(cpu_nsecs() - start, 1);
        wanted = (double)tried / (double)took * 1e6 * (double)milliseconds;
    }
    if (wanted > G_MAXUINT32) {
        return wording_fail(error, "PBKDF iterations %.0f cannot be larger than %u", wanted,
                            G_MAXUINT32);
    }
    *out = MAX((uint32_t)wanted, ITERATIONS_MIN);
    return TRUE;
}

static gboolean fill_iterations(const struct create_opts *opts, const char *prefix,
                                Abi__LuksCreate *out, GError **error)
{
    const struct keyval_slot *slot = slot_of(opts, prefix, "iter-time");
    uint64_t milliseconds = slot != NULL && slot->text != NULL ? slot->number : DEFAULT_TIME_MS;
    size_t key_bytes =
        crypto_key_bytes((enum crypto_cipher)out->cipher, (enum crypto_mode)out->mode);

    return luks_options_iterations((enum crypto_hash)out->hash, key_bytes, milliseconds,
                                   &out->slot_iters, error) &&
           luks_options_iterations((enum crypto_hash)out->hash, DIGEST_BYTES, milliseconds / 8,
                                   &out->digest_iters, error);
}

/* ---- random bytes ---- */

gboolean luks_options_random(size_t len, ProtobufCBinaryData *out, GError **error)
{
    out->data = g_malloc(len);
    out->len = len;
    for (size_t at = 0; at < len;) {
        ssize_t got = getrandom(out->data + at, len - at, 0);

        if (got < 0 && errno != EINTR) {
            return wording_fail(error, "Could not get random bytes: %s", g_strerror(errno));
        }
        at += got > 0 ? (size_t)got : 0;
    }
    return TRUE;
}

static gboolean fill_random(Abi__LuksCreate *out, GError **error)
{
    size_t key_bytes =
        crypto_key_bytes((enum crypto_cipher)out->cipher, (enum crypto_mode)out->mode);

    return luks_options_random(key_bytes + 2 * SALT_BYTES + UUID_BYTES + STRIPES * key_bytes,
                               &out->random, error);
}

gboolean luks_options_fill(const struct create_opts *opts, const char *prefix, gboolean size_only,
                           Abi__LuksCreate *out, GError **error)
{
    abi__luks_create__init(out);
    if (!fill_words(opts, prefix, out, error) || !fill_password(opts, prefix, out, error)) {
        return FALSE;
    }
    return size_only || (fill_iterations(opts, prefix, out, error) && fill_random(out, error));
}

void luks_options_clear(Abi__LuksCreate *options)
{
    if (options->random.data != NULL) {
        explicit_bzero(options->random.data, options->random.len);
    }
    g_free(options->random.data);
    options->random = (ProtobufCBinaryData){0};
}
