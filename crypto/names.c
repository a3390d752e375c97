/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ciphers, modes and IV generators by name, and which of them go together.
 */
#include <string.h>

#include "crypto/sector_cipher.h"

/* Rows of a family stand together. */
static const struct {
    const char *name;
    const char *family;
    uint8_t key_bytes;
    uint8_t block_bytes;
} ciphers[CRYPTO_CIPHER_NR] = {
    [CRYPTO_CIPHER_AES_128] = {"aes-128", "aes", 16, 16},
    [CRYPTO_CIPHER_AES_192] = {"aes-192", "aes", 24, 16},
    [CRYPTO_CIPHER_AES_256] = {"aes-256", "aes", 32, 16},
    [CRYPTO_CIPHER_CAST5_128] = {"cast5-128", "cast5", 16, 8},
    [CRYPTO_CIPHER_SERPENT_128] = {"serpent-128", "serpent", 16, 16},
    [CRYPTO_CIPHER_SERPENT_192] = {"serpent-192", "serpent", 24, 16},
    [CRYPTO_CIPHER_SERPENT_256] = {"serpent-256", "serpent", 32, 16},
    [CRYPTO_CIPHER_TWOFISH_128] = {"twofish-128", "twofish", 16, 16},
    [CRYPTO_CIPHER_TWOFISH_192] = {"twofish-192", "twofish", 24, 16},
    [CRYPTO_CIPHER_TWOFISH_256] = {"twofish-256", "twofish", 32, 16},
    [CRYPTO_CIPHER_SM4] = {"sm4", "sm4", 16, 16},
};

static const char *const modes[CRYPTO_MODE_NR] = {
    [CRYPTO_MODE_ECB] = "ecb",
    [CRYPTO_MODE_CBC] = "cbc",
    [CRYPTO_MODE_XTS] = "xts",
    [CRYPTO_MODE_CTR] = "ctr",
};

static const char *const ivgens[CRYPTO_IVGEN_NR] = {
    [CRYPTO_IVGEN_PLAIN] = "plain",
    [CRYPTO_IVGEN_PLAIN64] = "plain64",
    [CRYPTO_IVGEN_ESSIV] = "essiv",
};

static bool is_cipher(enum crypto_cipher cipher)
{
    return cipher > CRYPTO_CIPHER_NONE && cipher < CRYPTO_CIPHER_NR;
}

const char *crypto_cipher_name(enum crypto_cipher cipher)
{
    return is_cipher(cipher) ? ciphers[cipher].name : NULL;
}

const char *crypto_mode_name(enum crypto_mode mode)
{
    return (unsigned)mode < CRYPTO_MODE_NR ? modes[mode] : NULL;
}

const char *crypto_ivgen_name(enum crypto_ivgen ivgen)
{
    return (unsigned)ivgen < CRYPTO_IVGEN_NR ? ivgens[ivgen] : NULL;
}

static bool is_name(const char *known, const char *name, size_t len)
{
    return strlen(known) == len && memcmp(known, name, len) == 0;
}

enum crypto_cipher crypto_cipher_find(const char *name, size_t len)
{
    for (unsigned i = 1; i < CRYPTO_CIPHER_NR; i++)
        if (is_name(ciphers[i].name, name, len))
            return (enum crypto_cipher)i;
    return CRYPTO_CIPHER_NONE;
}

enum crypto_mode crypto_mode_find(const char *name, size_t len)
{
    for (unsigned i = 1; i < CRYPTO_MODE_NR; i++)
        if (is_name(modes[i], name, len))
            return (enum crypto_mode)i;
    return CRYPTO_MODE_NONE;
}

enum crypto_ivgen crypto_ivgen_find(const char *name, size_t len)
{
    for (unsigned i = 1; i < CRYPTO_IVGEN_NR; i++)
        if (is_name(ivgens[i], name, len))
            return (enum crypto_ivgen)i;
    return CRYPTO_IVGEN_NONE;
}

const char *crypto_cipher_family(enum crypto_cipher cipher)
{
    return is_cipher(cipher) ? ciphers[cipher].family : NULL;
}

size_t crypto_cipher_key_bytes(enum crypto_cipher cipher)
{
    return is_cipher(cipher) ? ciphers[cipher].key_bytes : 0;
}

size_t crypto_cipher_block_bytes(enum crypto_cipher cipher)
{
    return is_cipher(cipher) ? ciphers[cipher].block_bytes : 0;
}

enum crypto_cipher crypto_cipher_sibling(enum crypto_cipher cipher, size_t key_bytes)
{
    for (unsigned i = 1; i < CRYPTO_CIPHER_NR; i++)
        if (is_cipher(cipher) && strcmp(ciphers[i].family, ciphers[cipher].family) == 0 &&
            ciphers[i].key_bytes == key_bytes)
            return (enum crypto_cipher)i;
    return CRYPTO_CIPHER_NONE;
}

size_t crypto_key_bytes(enum crypto_cipher cipher, enum crypto_mode mode)
{
    return crypto_cipher_key_bytes(cipher) * (mode == CRYPTO_MODE_XTS ? 2 : 1);
}

/* ESSIV's own cipher has the digest as its key. */
static enum crypto_verdict judge_essiv(const struct crypto_spec *spec)
{
    size_t digest = crypto_hash_bytes(spec->ivgen_hash);

    if (digest == 0)
        return CRYPTO_BAD_VALUE;
    if (spec->cipher == CRYPTO_CIPHER_SM4)
        return CRYPTO_ESSIV_UNSUITED;
    if (crypto_cipher_sibling(spec->cipher, digest))
        return CRYPTO_FINE;
    return spec->cipher == CRYPTO_CIPHER_CAST5_128 ? CRYPTO_ESSIV_UNSUITED : CRYPTO_ESSIV_KEY;
}

enum crypto_verdict crypto_judge(const struct crypto_spec *spec)
{
    uint32_t unit = spec->sector_bytes;

    if (!is_cipher(spec->cipher) || !crypto_mode_name(spec->mode) ||
        !crypto_ivgen_name(spec->ivgen) || unit < CRYPTO_IV_SECTOR ||
        unit > CRYPTO_SECTOR_BYTES_MAX || (unit & (unit - 1)) != 0 ||
        spec->key_len != crypto_key_bytes(spec->cipher, spec->mode))
        return CRYPTO_BAD_VALUE;
    if (spec->mode == CRYPTO_MODE_XTS && ciphers[spec->cipher].block_bytes != 16)
        return CRYPTO_BAD_MODE;
    if (spec->ivgen == CRYPTO_IVGEN_ESSIV)
        return judge_essiv(spec);
    return spec->cipher == CRYPTO_CIPHER_SM4 && spec->mode != CRYPTO_MODE_ECB ? CRYPTO_BAD_MODE
                                                                              : CRYPTO_FINE;
}
