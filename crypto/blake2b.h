/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE2b without a key, which Argon2 is made of.
 */
#ifndef INSTAR_CRYPTO_BLAKE2B_H
#define INSTAR_CRYPTO_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE2B_DIGEST_MAX  64u
#define BLAKE2B_BLOCK_BYTES 128u

struct blake2b {
    uint64_t h[8];
    uint64_t counted; /* bytes that went into h; an input of 2^64 bytes does not exist */
    uint8_t block[BLAKE2B_BLOCK_BYTES];
    size_t used; /* of block */
    size_t digest_len;
};

/*
 * Hashes what is added between the first and the last of these.
 *
 * in:      digest_len: 1 to BLAKE2B_DIGEST_MAX
 * out:     out: digest_len bytes
 * source:  RFC 7693, section 3
 */
void blake2b_start(struct blake2b *state, size_t digest_len);
void blake2b_add(struct blake2b *state, const void *bytes, size_t len);
void blake2b_finish(struct blake2b *state, uint8_t *out);

#endif
