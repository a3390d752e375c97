/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Argon2, the password hash that takes as much memory as it is told to.
 */
#ifndef INSTAR_CRYPTO_ARGON2_H
#define INSTAR_CRYPTO_ARGON2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types, as RFC 9106 numbers them. */
enum argon2_type {
    ARGON2_D = 0,
    ARGON2_I = 1,
    ARGON2_ID = 2,
};

#define ARGON2_LANES_MAX 16u

struct argon2_input {
    enum argon2_type type;
    uint32_t passes;
    uint32_t memory_kib;
    uint32_t lanes;
    const void *password;
    size_t password_len;
    const void *salt;
    size_t salt_len;
    const void *secret; /* and associated data: for the published vectors */
    size_t secret_len;
    const void *data;
    size_t data_len;
};

/*
 * Bytes of memory that a derivation takes.
 *
 * returns: 0 when the numbers are not allowed: passes and lanes at least 1, lanes at most
 *          ARGON2_LANES_MAX, memory at least 8 KiB a lane, a known type
 */
uint64_t argon2_memory_bytes(const struct argon2_input *input);

/*
 * Derives a key, Argon2 version 1.3. One lane after the other: no threads.
 *
 * in:      argon2_memory_bytes is not 0; memory: that many bytes, on a multiple of 16, wiped again
 * out:     out_len bytes, 4 to 1024
 * bound:   linear in passes * memory_kib
 * source:  RFC 9106, section 3
 */
void argon2_derive(const struct argon2_input *input, void *memory, uint8_t *out, size_t out_len);

#endif
