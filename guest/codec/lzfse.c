/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZFSE streams, of chunks of dmg images. Debian has no library for them.
 * source: the format as publicly described. Everything is little-endian.
 *
 *   block: "bvx-"  4 bytes n: n bytes as they are
 *          "bvxn"  4 bytes n, 4 bytes payload: LZVN (lzvn.c)
 *          "bvx2"  the header below, literals, matches: entropy coded (FSE)
 *          "bvx$"  the end
 *
 * Header of "bvx2": 4 bytes n, three words of 64 bits, frequencies of symbols
 *   word 0   0 literals (20 bits), 20 bytes of them (20), 40 matches (20), 60 bits unused at the
 *            literals' end (3): 7 - unused
 *   word 1   four states of 10 bits, 40 bytes of matches (20), 60 bits unused (3)
 *   word 2   bytes of the header (32), states of L, M and D (10 each)
 *
 * Both streams are read from behind. A match is: L literals, then M bytes from D back, D = 0: as
 * far as before.
 */
#include "guest/codec/lzfse.h"

#include <stdlib.h>

#define MAGIC_END    0x24787662u
#define MAGIC_RAW    0x2d787662u
#define MAGIC_LZVN   0x6e787662u
#define MAGIC_FSE    0x32787662u
#define HEAD_BYTES   32u
#define LITERALS_MAX 40000u
#define MATCHES_MAX  10000u

#define L_SYMBOLS 20u
#define M_SYMBOLS 20u
#define D_SYMBOLS 64u
#define U_SYMBOLS 256u /* literals */
#define SYMBOLS   (L_SYMBOLS + M_SYMBOLS + D_SYMBOLS + U_SYMBOLS)
#define L_STATES  64u
#define M_STATES  64u
#define D_STATES  256u
#define U_STATES  1024u

/* One state: the next is delta and so many bits more. */
struct entry {
    uint8_t bits;
    uint8_t symbol;
    int16_t delta;
};

/* What a symbol stands for: base and so many bits more. */
struct value {
    uint32_t base;
    uint8_t bits;
};

struct unlzfse {
    struct entry l[L_STATES], m[M_STATES], d[D_STATES], u[U_STATES];
    struct value l_values[L_SYMBOLS], m_values[M_SYMBOLS], d_values[D_SYMBOLS];
    uint16_t frequencies[SYMBOLS];
    uint8_t literals[LITERALS_MAX];
};

struct header {
    uint32_t nr_bytes, header_bytes;
    uint32_t nr_literals, literal_bytes, nr_matches, match_bytes;
    unsigned literal_unused, match_unused;
    uint32_t u_state[4], l_state, m_state, d_state;
};

/* ---- bits, from the last to the first ---- */

struct bits {
    struct span bytes;
    uint64_t left; /* bits [0, left) are not taken yet */
    bool failed;
};

static bool bits_start(struct bits *b, struct span bytes, unsigned unused)
{
    *b = (struct bits){.bytes = bytes, .left = (uint64_t)bytes.len * 8};
    if (unused > b->left)
        return false;
    b->left -= unused;
    return true;
}

static uint32_t bits_take(struct bits *b, unsigned nr)
{
    uint64_t word = 0;
    size_t first, len;

    if (nr > b->left) {
        b->failed = true;
        return 0;
    }
    b->left -= nr;
    first = (size_t)(b->left / 8);
    len = b->bytes.len - first < 5 ? b->bytes.len - first : 5;
    memcpy(&word, b->bytes.data + first, len);
    return (uint32_t)(word >> b->left % 8 & ((1ull << nr) - 1));
}

/* ---- tables ---- */

/*
 * Spreads the symbols over the states, each over as many as its frequency says.
 *
 * returns: false when they are more than there are states
 */
static bool make_entries(struct entry *out, unsigned nr_states, const uint16_t *frequencies,
                         unsigned nr_symbols)
{
    unsigned at = 0;

    memset(out, 0, nr_states * sizeof(*out));
    for (unsigned s = 0; s < nr_symbols; s++) {
        unsigned f = frequencies[s], k, short_ones;

        if (f == 0)
            continue;
        if (f > nr_states - at)
            return false;
        k = (unsigned)(__builtin_clz(f) - __builtin_clz(nr_states));
        short_ones = (2 * nr_states >> k) - f;
        for (unsigned j = 0; j < f; j++) {
            bool first = j < short_ones;

            out[at++] = (struct entry){
                .bits = (uint8_t)(first ? k : k - 1),
                .symbol = (uint8_t)s,
                .delta =
                    (int16_t)(first ? ((f + j) << k) - nr_states : (j - short_ones) << (k - 1)),
            };
        }
    }
    return true;
}

/* Values follow each other without a gap: each base is the one before and its range. */
static void make_values(struct value *out, unsigned nr, const uint8_t *bits)
{
    uint32_t base = 0;

    for (unsigned i = 0; i < nr; i++) {
        out[i] = (struct value){.base = base, .bits = bits[i]};
        base += 1u << bits[i];
    }
}

static void prepare_values(struct unlzfse *u)
{
    uint8_t l[L_SYMBOLS] = {[16] = 2, 3, 5, 8}, m[M_SYMBOLS] = {[16] = 3, 5, 8, 11}, d[D_SYMBOLS];

    for (unsigned i = 0; i < D_SYMBOLS; i++)
        d[i] = (uint8_t)(i / 4);
    make_values(u->l_values, L_SYMBOLS, l);
    make_values(u->m_values, M_SYMBOLS, m);
    make_values(u->d_values, D_SYMBOLS, d);
}

/* A frequency: 2 to 14 bits, from the least significant on. */
static unsigned frequency_of(uint32_t bits, unsigned *out_len)
{
    static const uint8_t lens[32] = {2, 3, 2, 5, 2, 3, 2, 8, 2, 3, 2, 5, 2, 3, 2, 14,
                                     2, 3, 2, 5, 2, 3, 2, 8, 2, 3, 2, 5, 2, 3, 2, 14};
    static const uint8_t values[32] = {0, 2, 1, 4, 0, 3, 1, 0, 0, 2, 1, 5, 0, 3, 1, 0,
                                       0, 2, 1, 6, 0, 3, 1, 0, 0, 2, 1, 7, 0, 3, 1, 0};

    *out_len = lens[bits & 31];
    if (*out_len == 8)
        return 8 + (bits >> 4 & 0xf);
    if (*out_len == 14)
        return 24 + (bits >> 4 & 0x3ff);
    return values[bits & 31];
}

static bool read_frequencies(struct unlzfse *u, struct span bytes)
{
    uint32_t bits = 0;
    unsigned nr_bits = 0, len;
    size_t at = 0;

    memset(u->frequencies, 0, sizeof(u->frequencies));
    if (bytes.len == 0)
        return true;
    for (unsigned i = 0; i < SYMBOLS; i++) {
        while (at < bytes.len && nr_bits + 8 <= 32) {
            bits |= (uint32_t)bytes.data[at++] << nr_bits;
            nr_bits += 8;
        }
        u->frequencies[i] = (uint16_t)frequency_of(bits, &len);
        if (len > nr_bits)
            return false;
        bits >>= len;
        nr_bits -= len;
    }
    return nr_bits < 8 && at == bytes.len;
}

static bool make_tables(struct unlzfse *u)
{
    const uint16_t *f = u->frequencies;

    return make_entries(u->l, L_STATES, f, L_SYMBOLS) &&
           make_entries(u->m, M_STATES, f + L_SYMBOLS, M_SYMBOLS) &&
           make_entries(u->d, D_STATES, f + L_SYMBOLS + M_SYMBOLS, D_SYMBOLS) &&
           make_entries(u->u, U_STATES, f + L_SYMBOLS + M_SYMBOLS + D_SYMBOLS, U_SYMBOLS);
}

/* ---- the header ---- */

static uint32_t field(uint64_t word, unsigned at, unsigned nr)
{
    return (uint32_t)(word >> at & ((1ull << nr) - 1));
}

static bool read_header(struct span block, struct header *h)
{
    struct cursor c = cur_of(block);
    uint64_t word[3];

    cur_skip(&c, 4);
    h->nr_bytes = cur_le32(&c);
    for (unsigned i = 0; i < 3; i++)
        word[i] = cur_le64(&c);
    h->nr_literals = field(word[0], 0, 20);
    h->literal_bytes = field(word[0], 20, 20);
    h->nr_matches = field(word[0], 40, 20);
    h->literal_unused = 7 - field(word[0], 60, 3);
    for (unsigned i = 0; i < 4; i++)
        h->u_state[i] = field(word[1], 10 * i, 10);
    h->match_bytes = field(word[1], 40, 20);
    h->match_unused = 7 - field(word[1], 60, 3);
    h->header_bytes = field(word[2], 0, 32);
    h->l_state = field(word[2], 32, 10);
    h->m_state = field(word[2], 42, 10);
    h->d_state = field(word[2], 52, 10);
    return cur_ok(&c) && h->header_bytes >= HEAD_BYTES && h->nr_literals <= LITERALS_MAX &&
           h->nr_literals % 4 == 0 && h->nr_matches <= MATCHES_MAX && h->l_state < L_STATES &&
           h->m_state < M_STATES && h->d_state < D_STATES;
}

/* ---- a block ---- */

static uint8_t take_symbol(struct bits *b, const struct entry *table, uint32_t *state)
{
    const struct entry *e = &table[*state];

    *state = (uint32_t)(e->delta + (int32_t)bits_take(b, e->bits));
    return e->symbol;
}

/* The bits of the value lie below those of the state. */
static uint32_t take_value(struct bits *b, const struct entry *table, uint32_t *state,
                           const struct value *values)
{
    const struct value *v = &values[take_symbol(b, table, state)];

    return v->base + bits_take(b, v->bits);
}

static bool read_literals(struct unlzfse *u, struct span bytes, struct header *h)
{
    struct bits b;

    if (!bits_start(&b, bytes, h->literal_unused))
        return false;
    for (uint32_t i = 0; i < h->nr_literals && !b.failed; i++)
        u->literals[i] = take_symbol(&b, u->u, &h->u_state[i % 4]);
    return !b.failed;
}

static bool copy_matches(struct unlzfse *u, struct span bytes, struct header *h,
                         struct lzfse_out *out)
{
    struct span literals = span_of(u->literals, h->nr_literals);
    size_t distance = 0;
    struct bits b;

    if (!bits_start(&b, bytes, h->match_unused))
        return false;
    for (uint32_t i = 0; i < h->nr_matches; i++) {
        uint32_t l = take_value(&b, u->l, &h->l_state, u->l_values);
        uint32_t m = take_value(&b, u->m, &h->m_state, u->m_values);
        uint32_t d = take_value(&b, u->d, &h->d_state, u->d_values);
        struct span some;

        distance = d ? d : distance;
        if (b.failed || !span_sub(literals, 0, l, &some) || !lzfse_literals(out, some) ||
            !span_sub(literals, l, literals.len - l, &literals) || !lzfse_match(out, distance, m))
            return false;
    }
    return true;
}

static bool fse_block(struct unlzfse *u, struct span block, struct lzfse_out *out, size_t *out_len)
{
    struct span frequencies, literals, matches;
    struct header h;
    size_t from = out->at;

    if (!read_header(block, &h) ||
        !span_sub(block, HEAD_BYTES, h.header_bytes - HEAD_BYTES, &frequencies) ||
        !span_sub(block, h.header_bytes, h.literal_bytes, &literals) ||
        !span_sub(block, (uint64_t)h.header_bytes + h.literal_bytes, h.match_bytes, &matches))
        return false;
    *out_len = (size_t)h.header_bytes + h.literal_bytes + h.match_bytes;
    return read_frequencies(u, frequencies) && make_tables(u) && read_literals(u, literals, &h) &&
           copy_matches(u, matches, &h, out) && out->at - from == h.nr_bytes;
}

static bool raw_block(struct span block, struct lzfse_out *out, size_t *out_len)
{
    struct span bytes;

    if (block.len < 8 || !span_sub(block, 8, load_le32(block.data + 4), &bytes))
        return false;
    *out_len = 8 + bytes.len;
    return lzfse_literals(out, bytes);
}

static bool lzvn(struct span block, struct lzfse_out *out, size_t *out_len)
{
    struct span bytes;

    if (block.len < 12 || !span_sub(block, 12, load_le32(block.data + 8), &bytes))
        return false;
    *out_len = 12 + bytes.len;
    return lzvn_block(bytes, out, load_le32(block.data + 4));
}

/* ---- */

enum guest_err unlzfse(struct unlzfse **state, struct span in, uint8_t *out, size_t out_len)
{
    struct lzfse_out to = {.bytes = out, .len = out_len};
    bool ok = true;

    if (!*state) {
        *state = calloc(1, sizeof(**state));
        if (!*state)
            return GUEST_ERR_NO_MEMORY;
        prepare_values(*state);
    }
    while (ok && in.len >= 4) {
        size_t len = 0;

        switch (load_le32(in.data)) {
        case MAGIC_END:
            return to.at == out_len ? GUEST_OK : GUEST_ERR_DECODE;
        case MAGIC_RAW:
            ok = raw_block(in, &to, &len);
            break;
        case MAGIC_LZVN:
            ok = lzvn(in, &to, &len);
            break;
        case MAGIC_FSE:
            ok = fse_block(*state, in, &to, &len);
            break;
        default:
            ok = false;
        }
        ok = ok && span_sub(in, len, in.len - len, &in);
    }
    return GUEST_ERR_DECODE;
}

void unlzfse_free(struct unlzfse *state)
{
    free(state);
}
