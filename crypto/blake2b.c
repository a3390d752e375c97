/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE2b. source: RFC 7693, sections 2.6 (constants), 2.7 (message schedule) and 3.
 */
#include "crypto/blake2b.h"

#include <string.h>

#include "crypto/hash.h"

#define NR_ROUNDS 12u

static const uint64_t iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t rotate_right(uint64_t x, unsigned by)
{
    return x >> by | x << (64 - by);
}

static void mix(uint64_t *v, unsigned a, unsigned b, unsigned c, unsigned d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate_right(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 63);
}

/* Takes the block into h. */
static void compress(struct blake2b *s, uint64_t last)
{
    uint64_t v[16], m[16];

    memcpy(m, s->block, sizeof(m));
    memcpy(v, s->h, sizeof(s->h));
    memcpy(v + 8, iv, sizeof(iv));
    v[12] ^= s->counted;
    v[14] ^= last;
    for (unsigned round = 0; round < NR_ROUNDS; round++) {
        const uint8_t *at = sigma[round % 10];

        mix(v, 0, 4, 8, 12, m[at[0]], m[at[1]]);
        mix(v, 1, 5, 9, 13, m[at[2]], m[at[3]]);
        mix(v, 2, 6, 10, 14, m[at[4]], m[at[5]]);
        mix(v, 3, 7, 11, 15, m[at[6]], m[at[7]]);
        mix(v, 0, 5, 10, 15, m[at[8]], m[at[9]]);
        mix(v, 1, 6, 11, 12, m[at[10]], m[at[11]]);
        mix(v, 2, 7, 8, 13, m[at[12]], m[at[13]]);
        mix(v, 3, 4, 9, 14, m[at[14]], m[at[15]]);
    }
    for (unsigned i = 0; i < 8; i++)
        s->h[i] ^= v[i] ^ v[i + 8];
}

void blake2b_start(struct blake2b *state, size_t digest_len)
{
    memset(state, 0, sizeof(*state));
    memcpy(state->h, iv, sizeof(iv));
    state->h[0] ^= 0x01010000 ^ digest_len;
    state->digest_len = digest_len;
}

void blake2b_add(struct blake2b *state, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    while (len > 0) {
        size_t part;

        if (state->used == BLAKE2B_BLOCK_BYTES) { /* the last block waits: it is done otherwise */
            state->counted += state->used;
            compress(state, 0);
            state->used = 0;
        }
        part = BLAKE2B_BLOCK_BYTES - state->used;
        part = part < len ? part : len;
        memcpy(state->block + state->used, from, part);
        state->used += part;
        from += part;
        len -= part;
    }
}

void blake2b_finish(struct blake2b *state, uint8_t *out)
{
    memset(state->block + state->used, 0, BLAKE2B_BLOCK_BYTES - state->used);
    state->counted += state->used;
    compress(state, UINT64_MAX);
    memcpy(out, state->h, state->digest_len);
    crypto_wipe(state, sizeof(*state));
}
