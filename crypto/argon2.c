/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Argon2i, Argon2d and Argon2id, version 1.3.
 *
 * The memory is a matrix of blocks of 1 KiB: a row a lane, each cut into four segments. Blocks of a
 * segment depend on the other lanes' earlier segments only, so that lanes may be done one after the
 * other. source: RFC 9106, section 3; names are the RFC's where it has one.
 */
#include "crypto/argon2.h"

#include <emmintrin.h>
#include <string.h>

#include "crypto/blake2b.h"
#include "crypto/hash.h"

#define BLOCK_BYTES 1024u
#define BLOCK_WORDS 128u
#define BLOCK_PAIRS 64u
#define NR_SLICES   4u
#define VERSION     0x13u
#define PREHASH     64u

union block {
    uint64_t w[BLOCK_WORDS];
    __m128i p[BLOCK_PAIRS];
};

struct argon2 {
    const struct argon2_input *in;
    union block *memory;
    uint32_t lane_len, segment_len; /* blocks */
};

/* Where the work is. */
struct position {
    uint32_t pass, slice, lane, index; /* index: inside the segment */
};

/* ---- hashes of any length ---- */

static void add_le32(struct blake2b *state, uint32_t value)
{
    blake2b_add(state, &value, sizeof(value));
}

static void add_counted(struct blake2b *state, const void *bytes, size_t len)
{
    add_le32(state, (uint32_t)len);
    blake2b_add(state, bytes, len);
}

/* H' of section 3.3, with two numbers behind the input when there are any. */
static void long_hash(const void *in, size_t in_len, const uint32_t numbers[2], uint8_t *out,
                      size_t out_len)
{
    size_t first = out_len <= BLAKE2B_DIGEST_MAX ? out_len : BLAKE2B_DIGEST_MAX;
    uint8_t v[BLAKE2B_DIGEST_MAX];
    struct blake2b state;

    blake2b_start(&state, first);
    add_le32(&state, (uint32_t)out_len);
    blake2b_add(&state, in, in_len);
    if (numbers) {
        add_le32(&state, numbers[0]);
        add_le32(&state, numbers[1]);
    }
    blake2b_finish(&state, v);
    while (out_len > BLAKE2B_DIGEST_MAX) {
        memcpy(out, v, BLAKE2B_DIGEST_MAX / 2);
        out += BLAKE2B_DIGEST_MAX / 2;
        out_len -= BLAKE2B_DIGEST_MAX / 2;
        first = out_len <= BLAKE2B_DIGEST_MAX ? out_len : BLAKE2B_DIGEST_MAX;
        blake2b_start(&state, first);
        blake2b_add(&state, v, sizeof(v));
        blake2b_finish(&state, v);
    }
    memcpy(out, v, out_len);
    crypto_wipe(v, sizeof(v));
}

/* H0, from everything that was put in. */
static void prehash(const struct argon2_input *in, size_t out_len, uint8_t out[PREHASH])
{
    struct blake2b state;

    blake2b_start(&state, PREHASH);
    add_le32(&state, in->lanes);
    add_le32(&state, (uint32_t)out_len);
    add_le32(&state, in->memory_kib);
    add_le32(&state, in->passes);
    add_le32(&state, VERSION);
    add_le32(&state, in->type);
    add_counted(&state, in->password, in->password_len);
    add_counted(&state, in->salt, in->salt_len);
    add_counted(&state, in->secret, in->secret_len);
    add_counted(&state, in->data, in->data_len);
    blake2b_finish(&state, out);
}

/* ---- the compression function G, section 3.5 ---- */

/* Two words at a time: half of a row of the 4 by 4 words that BLAKE2b mixes. */
typedef __m128i pair;

static inline pair rotate_right(pair x, int by)
{
    return _mm_or_si128(_mm_srli_epi64(x, by), _mm_slli_epi64(x, 64 - by));
}

static inline pair multiply_add(pair x, pair y)
{
    pair product = _mm_mul_epu32(x, y);

    return _mm_add_epi64(_mm_add_epi64(x, y), _mm_add_epi64(product, product));
}

/* The second word of a and the first of b. */
static inline pair straddle(pair a, pair b)
{
    return _mm_castpd_si128(_mm_shuffle_pd(_mm_castsi128_pd(a), _mm_castsi128_pd(b), 1));
}

#define MIX(a, b, c, d)                                                                            \
    do {                                                                                           \
        a = multiply_add(a, b);                                                                    \
        d = _mm_shuffle_epi32(_mm_xor_si128(d, a), 0xb1);                                          \
        c = multiply_add(c, d);                                                                    \
        b = rotate_right(_mm_xor_si128(b, c), 24);                                                 \
        a = multiply_add(a, b);                                                                    \
        d = rotate_right(_mm_xor_si128(d, a), 16);                                                 \
        c = multiply_add(c, d);                                                                    \
        b = rotate_right(_mm_xor_si128(b, c), 63);                                                 \
    } while (0)

/*
 * The permutation P over eight pairs that lie `step` pairs apart (1: a row of the block, 8: a
 * column). The second half mixes diagonals: the rows are turned for it, and turned back.
 */
static inline void permute(pair *p, unsigned step)
{
    pair a0 = p[0], a1 = p[step], b0 = p[2 * step], b1 = p[3 * step];
    pair c0 = p[4 * step], c1 = p[5 * step], d0 = p[6 * step], d1 = p[7 * step];
    pair turned;

    MIX(a0, b0, c0, d0);
    MIX(a1, b1, c1, d1);
    turned = straddle(b0, b1);
    b1 = straddle(b1, b0);
    b0 = turned;
    turned = straddle(d1, d0);
    d1 = straddle(d0, d1);
    d0 = turned;
    MIX(a0, b0, c1, d0);
    MIX(a1, b1, c0, d1);
    p[0] = a0;
    p[step] = a1;
    p[2 * step] = straddle(b1, b0);
    p[3 * step] = straddle(b0, b1);
    p[4 * step] = c0;
    p[5 * step] = c1;
    p[6 * step] = straddle(d0, d1);
    p[7 * step] = straddle(d1, d0);
}

/* G(x, y), mixed into what is in *out already when `onto`. */
static void compress(const union block *x, const union block *y, bool onto, union block *out)
{
    pair r[BLOCK_PAIRS], z[BLOCK_PAIRS];

    for (unsigned i = 0; i < BLOCK_PAIRS; i++)
        r[i] = z[i] = _mm_xor_si128(x->p[i], y->p[i]);
    for (unsigned i = 0; i < 8; i++)
        permute(z + (size_t)8 * i, 1);
    for (unsigned i = 0; i < 8; i++)
        permute(z + i, 8);
    if (onto)
        for (unsigned i = 0; i < BLOCK_PAIRS; i++)
            r[i] = _mm_xor_si128(r[i], out->p[i]);
    for (unsigned i = 0; i < BLOCK_PAIRS; i++)
        out->p[i] = _mm_xor_si128(r[i], z[i]);
}

/* ---- which block goes in, section 3.4 ---- */

static bool is_independent(const struct argon2 *a, const struct position *at)
{
    return a->in->type == ARGON2_I ||
           (a->in->type == ARGON2_ID && at->pass == 0 && at->slice < NR_SLICES / 2);
}

/* The next 128 pseudo-random words of a segment that does not look at the memory. */
static void next_addresses(union block *counter, union block *out)
{
    static const union block zero;

    counter->w[6]++;
    compress(&zero, counter, false, out);
    compress(&zero, out, false, out);
}

static void first_counter(const struct argon2 *a, const struct position *at, union block *out)
{
    memset(out, 0, sizeof(*out));
    out->w[0] = at->pass;
    out->w[1] = at->lane;
    out->w[2] = at->slice;
    out->w[3] = (uint64_t)a->lane_len * a->in->lanes;
    out->w[4] = a->in->passes;
    out->w[5] = a->in->type;
}

static const union block *reference(const struct argon2 *a, const struct position *at,
                                    uint64_t random)
{
    bool first = at->pass == 0;
    uint32_t lane = first && at->slice == 0 ? at->lane : (uint32_t)(random >> 32) % a->in->lanes;
    uint32_t done = (first ? at->slice : NR_SLICES - 1) * a->segment_len;
    uint32_t area = lane == at->lane ? done + at->index - 1 : done - (at->index == 0);
    uint64_t x = (random & UINT32_MAX) * (random & UINT32_MAX) >> 32;
    uint32_t back = (uint32_t)(area * x >> 32);
    uint32_t start = first ? 0 : (at->slice + 1) % NR_SLICES * a->segment_len;

    return &a->memory[(size_t)lane * a->lane_len +
                      ((uint64_t)start + area - 1 - back) % a->lane_len];
}

static void fill_segment(const struct argon2 *a, struct position at)
{
    union block *lane = a->memory + (size_t)at.lane * a->lane_len;
    bool independent = is_independent(a, &at);
    union block counter, addresses;

    if (independent)
        first_counter(a, &at, &counter);
    for (at.index = 0; at.index < a->segment_len; at.index++) {
        uint32_t column = at.slice * a->segment_len + at.index;
        const union block *before = &lane[column ? column - 1 : a->lane_len - 1];

        if (independent && at.index % BLOCK_WORDS == 0)
            next_addresses(&counter, &addresses);
        if (at.pass == 0 && column < 2)
            continue; /* these came from the input */
        compress(
            before,
            reference(a, &at, independent ? addresses.w[at.index % BLOCK_WORDS] : before->w[0]),
            at.pass > 0, &lane[column]);
    }
}

/* ---- all of it ---- */

static void fill_first(const struct argon2 *a, const uint8_t h0[PREHASH])
{
    for (uint32_t lane = 0; lane < a->in->lanes; lane++)
        for (uint32_t column = 0; column < 2; column++) {
            const uint32_t numbers[2] = {column, lane};

            long_hash(h0, PREHASH, numbers,
                      (uint8_t *)&a->memory[(size_t)lane * a->lane_len + column], BLOCK_BYTES);
        }
}

static void finish(const struct argon2 *a, uint8_t *out, size_t out_len)
{
    union block last = a->memory[a->lane_len - 1];

    for (uint32_t lane = 1; lane < a->in->lanes; lane++)
        for (unsigned i = 0; i < BLOCK_WORDS; i++)
            last.w[i] ^= a->memory[(size_t)lane * a->lane_len + a->lane_len - 1].w[i];
    long_hash(&last, sizeof(last), NULL, out, out_len);
    crypto_wipe(&last, sizeof(last));
}

uint64_t argon2_memory_bytes(const struct argon2_input *input)
{
    uint32_t lanes = input->lanes;

    if (lanes == 0 || lanes > ARGON2_LANES_MAX || input->passes == 0 ||
        input->memory_kib / 8 < lanes || input->type > ARGON2_ID)
        return 0;
    return (uint64_t)(input->memory_kib / (NR_SLICES * lanes)) * NR_SLICES * lanes * BLOCK_BYTES;
}

void argon2_derive(const struct argon2_input *input, void *memory, uint8_t *out, size_t out_len)
{
    uint64_t bytes = argon2_memory_bytes(input);
    struct argon2 a = {.in = input, .memory = memory};
    uint8_t h0[PREHASH];

    a.lane_len = (uint32_t)(bytes / BLOCK_BYTES / input->lanes);
    a.segment_len = a.lane_len / NR_SLICES;
    prehash(input, out_len, h0);
    fill_first(&a, h0);
    crypto_wipe(h0, sizeof(h0));
    for (uint32_t pass = 0; pass < input->passes; pass++)
        for (uint32_t slice = 0; slice < NR_SLICES; slice++)
            for (uint32_t lane = 0; lane < input->lanes; lane++)
                fill_segment(&a, (struct position){pass, slice, lane, 0});
    finish(&a, out, out_len);
    crypto_wipe(memory, bytes);
}
