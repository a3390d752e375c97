/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes by number, and the key derivations over them. Pure computing: compiled into the cell,
 * which derives keys from an image's header, and into the host, which measures how long that takes.
 */
#ifndef INSTAR_CRYPTO_HASH_H
#define INSTAR_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crypto_hash {
    CRYPTO_HASH_NONE = 0,
    CRYPTO_HASH_MD5 = 1,
    CRYPTO_HASH_SHA1 = 2,
    CRYPTO_HASH_SHA224 = 3,
    CRYPTO_HASH_SHA256 = 4,
    CRYPTO_HASH_SHA384 = 5,
    CRYPTO_HASH_SHA512 = 6,
    CRYPTO_HASH_RIPEMD160 = 7,
    CRYPTO_HASH_SM3 = 8,
    CRYPTO_HASH_NR,
};

#define CRYPTO_DIGEST_MAX 64u

/* The name in LUKS headers and in options ("sha256"); NULL for no such hash. */
const char *crypto_hash_name(enum crypto_hash hash);

/* The hash of that name, len bytes without a NUL; CRYPTO_HASH_NONE when there is none. */
enum crypto_hash crypto_hash_find(const char *name, size_t len);

/* Bytes of a digest; 0 for no such hash. */
size_t crypto_hash_bytes(enum crypto_hash hash);

/*
 * Hashes two runs of bytes as one.
 *
 * out:     crypto_hash_bytes(hash) bytes
 */
void crypto_hash_two(enum crypto_hash hash, const void *a, size_t a_len, const void *b,
                     size_t b_len, uint8_t *out);

/*
 * PBKDF2 with HMAC of the hash.
 *
 * in:      iterations > 0
 * out:     out_len bytes
 * bound:   linear in iterations * out_len
 * source:  RFC 8018, section 5.2
 */
void crypto_pbkdf2(enum crypto_hash hash, const void *password, size_t password_len,
                   const uint8_t *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                   size_t out_len);

/* Overwrites bytes that must not linger. */
void crypto_wipe(void *bytes, size_t len);

/* Compares digests in a time that does not depend on where they differ. */
bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t len);

#endif
