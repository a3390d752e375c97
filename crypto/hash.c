/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes and PBKDF2, by nettle.
 */
#include "crypto/hash.h"

#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/ripemd160.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/sm3.h>
#include <string.h>

/* Room for the state of any hash. */
union hash_state {
    struct md5_ctx md5;
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;
    struct ripemd160_ctx ripemd160;
    struct sm3_ctx sm3;
};

/* A key that was mixed in, as HMAC wants it. */
struct hmac {
    const struct nettle_hash *hash;
    union hash_state outer, inner, state;
};

static const struct nettle_hash *hash_of(enum crypto_hash hash)
{
    switch (hash) {
    case CRYPTO_HASH_MD5:
        return &nettle_md5;
    case CRYPTO_HASH_SHA1:
        return &nettle_sha1;
    case CRYPTO_HASH_SHA224:
        return &nettle_sha224;
    case CRYPTO_HASH_SHA256:
        return &nettle_sha256;
    case CRYPTO_HASH_SHA384:
        return &nettle_sha384;
    case CRYPTO_HASH_SHA512:
        return &nettle_sha512;
    case CRYPTO_HASH_RIPEMD160:
        return &nettle_ripemd160;
    case CRYPTO_HASH_SM3:
        return &nettle_sm3;
    default:
        return NULL;
    }
}

const char *crypto_hash_name(enum crypto_hash hash)
{
    const struct nettle_hash *found = hash_of(hash);
    return found ? found->name : NULL;
}

enum crypto_hash crypto_hash_find(const char *name, size_t len)
{
    for (unsigned i = 1; i < CRYPTO_HASH_NR; i++) {
        const char *known = hash_of((enum crypto_hash)i)->name;

        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return (enum crypto_hash)i;
    }
    return CRYPTO_HASH_NONE;
}

size_t crypto_hash_bytes(enum crypto_hash hash)
{
    const struct nettle_hash *found = hash_of(hash);
    return found ? found->digest_size : 0;
}

void crypto_hash_two(enum crypto_hash hash, const void *a, size_t a_len, const void *b,
                     size_t b_len, uint8_t *out)
{
    const struct nettle_hash *with = hash_of(hash);
    union hash_state state;

    with->init(&state);
    with->update(&state, a_len, a);
    with->update(&state, b_len, b);
    with->digest(&state, with->digest_size, out);
    crypto_wipe(&state, sizeof(state));
}

static void hmac_add(void *mac, size_t len, const uint8_t *bytes)
{
    struct hmac *h = mac;
    hmac_update(&h->state, h->hash, len, bytes);
}

static void hmac_finish(void *mac, size_t len, uint8_t *digest)
{
    struct hmac *h = mac;
    hmac_digest(&h->outer, &h->inner, &h->state, h->hash, len, digest);
}

void crypto_pbkdf2(enum crypto_hash hash, const void *password, size_t password_len,
                   const uint8_t *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                   size_t out_len)
{
    struct hmac h = {.hash = hash_of(hash)};

    hmac_set_key(&h.outer, &h.inner, &h.state, h.hash, password_len, password);
    pbkdf2(&h, hmac_add, hmac_finish, h.hash->digest_size, iterations, salt_len, salt, out_len,
           out);
    crypto_wipe(&h, sizeof(h));
}

void crypto_wipe(void *bytes, size_t len)
{
    memset(bytes, 0, len);
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* the store is not dead */
}

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint8_t differs = 0;

    for (size_t i = 0; i < len; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}
