/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzip2 streams, of chunks of dmg images. The archive that Debian has of libbz2 links to stdio, so
 * the decoder is our own.
 * source: the format as publicly described; numbers are from the most significant bit on.
 *
 *   "BZh", level '1' .. '9'
 *   block: 48 bits 0x314159265359, 32 checksum, 1 randomised (long obsolete: refused), 24 origin
 *     bytes in use: 16 bits, and 16 for each that is set
 *     3 bits number of tables (2 .. 6), 15 number of selectors, each as a unary move to front
 *     tables: 5 bits length of the first symbol's code; for each symbol 0, or 10 longer, 11 shorter
 *     symbols, 50 with each selector: run lengths in bijective base 2 (0 and 1), moves to front,
 *     end of the block
 *   end: 48 bits 0x177245385090, 32 checksum of checksums
 *
 * A block is the last column of the sorted rotations of its bytes; these are run-length coded: four
 * equal bytes are followed by a count of more.
 */
#include "guest/codec/backends.h"

#include <stdlib.h>

#define BLOCK_MAGIC   0x314159265359ull
#define END_MAGIC     0x177245385090ull
#define LEVEL_BYTES   100000u
#define TABLES_MAX    6u
#define SYMBOLS_MAX   258u
#define SELECTORS_MAX 18002u
#define GROUP_SYMBOLS 50u
#define CODE_MAX      20u

struct table {
    uint32_t limit[CODE_MAX + 1]; /* first code of the next length, left-aligned to that length */
    uint32_t first[CODE_MAX + 1]; /* first code of the length */
    uint16_t index[CODE_MAX + 1]; /* of that code's symbol */
    uint16_t symbols[SYMBOLS_MAX];
};

struct bunzip2 {
    uint32_t crc_table[256];
    uint32_t *links; /* a block: bytes, and from 8 bits on what follows which */
    uint32_t max_block;

    struct span in;
    size_t pos;
    uint64_t bits;
    unsigned nr_bits;
    bool failed;

    uint8_t selectors[SELECTORS_MAX];
    struct table tables[TABLES_MAX];

    uint8_t *out;
    size_t out_len, filled;
    uint32_t crc; /* of the block */
};

/* ---- bits ---- */

static uint32_t take_bits(struct bunzip2 *b, unsigned nr)
{
    while (b->nr_bits < nr) {
        if (b->pos == b->in.len) {
            b->failed = true;
            return 0;
        }
        b->bits = b->bits << 8 | b->in.data[b->pos++];
        b->nr_bits += 8;
    }
    b->nr_bits -= nr;
    return (uint32_t)(b->bits >> b->nr_bits & ((1ull << nr) - 1));
}

static uint64_t take_48(struct bunzip2 *b)
{
    uint64_t high = take_bits(b, 24);
    return high << 24 | take_bits(b, 24);
}

/* ---- tables of a block ---- */

/* Canonical codes: short ones first, and symbols in order among those of a length. */
static bool make_table(struct table *t, const uint8_t *lengths, unsigned nr_symbols)
{
    uint32_t code = 0;
    uint16_t index = 0;

    for (unsigned len = 1; len <= CODE_MAX; len++) {
        code <<= 1;
        t->first[len] = code;
        t->index[len] = index;
        for (unsigned s = 0; s < nr_symbols; s++) {
            if (lengths[s] != len)
                continue;
            t->symbols[index++] = (uint16_t)s;
            code++;
        }
        if (code > 1u << len)
            return false;
        t->limit[len] = code;
    }
    return true;
}

static unsigned take_symbol(struct bunzip2 *b, const struct table *t)
{
    uint32_t code = 0;

    for (unsigned len = 1; len <= CODE_MAX && !b->failed; len++) {
        code = code << 1 | take_bits(b, 1);
        if (code < t->limit[len])
            return t->symbols[t->index[len] + (code - t->first[len])];
    }
    b->failed = true;
    return 0;
}

static unsigned read_used(struct bunzip2 *b, uint8_t *used)
{
    uint32_t ranges = take_bits(b, 16);
    unsigned nr = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint32_t bytes = ranges & 0x8000 >> i ? take_bits(b, 16) : 0;

        for (unsigned k = 0; k < 16; k++)
            if (bytes & 0x8000 >> k)
                used[nr++] = (uint8_t)(i * 16 + k);
    }
    return nr;
}

/* Takes the index-th to the front. */
static uint8_t move_to_front(uint8_t *list, unsigned index)
{
    uint8_t value = list[index];

    memmove(list + 1, list, index);
    list[0] = value;
    return value;
}

/* More selectors than there can be symbols for are read and forgotten. */
static bool read_selectors(struct bunzip2 *b, unsigned nr_tables, unsigned nr)
{
    uint8_t order[TABLES_MAX] = {0, 1, 2, 3, 4, 5};

    for (unsigned i = 0; i < nr; i++) {
        unsigned index = 0;

        while (take_bits(b, 1) && !b->failed)
            if (++index >= nr_tables)
                return false;
        uint8_t table = move_to_front(order, index);
        if (i < SELECTORS_MAX)
            b->selectors[i] = table;
    }
    return !b->failed;
}

static bool read_table(struct bunzip2 *b, struct table *t, unsigned nr_symbols)
{
    uint8_t lengths[SYMBOLS_MAX];
    unsigned len = take_bits(b, 5);

    for (unsigned s = 0; s < nr_symbols; s++) {
        for (;;) {
            if (b->failed || len < 1 || len > CODE_MAX)
                return false;
            if (!take_bits(b, 1))
                break;
            len += take_bits(b, 1) ? -1u : 1u;
        }
        lengths[s] = (uint8_t)len;
    }
    return make_table(t, lengths, nr_symbols);
}

/* ---- the symbols of a block ---- */

/* Appends `run` times a byte. */
static bool add_run(struct bunzip2 *b, uint32_t *nr, uint32_t counts[256], uint8_t byte,
                    uint32_t run)
{
    if (run > b->max_block - *nr)
        return false;
    counts[byte] += run;
    while (run--)
        b->links[(*nr)++] = byte;
    return true;
}

static bool read_symbols(struct bunzip2 *b, uint8_t *list, unsigned nr_used, unsigned nr_selectors,
                         uint32_t *nr, uint32_t counts[256])
{
    uint32_t run = 0, weight = 1;

    for (unsigned at = 0;; at++) {
        unsigned group = at / GROUP_SYMBOLS, symbol;

        if (group >= nr_selectors)
            return false;
        symbol = take_symbol(b, &b->tables[b->selectors[group]]);
        if (b->failed)
            return false;
        if (symbol <= 1) {
            if (weight > b->max_block)
                return false;
            run += weight << symbol;
            weight <<= 1;
            continue;
        }
        if (run && !add_run(b, nr, counts, list[0], run))
            return false;
        run = 0;
        weight = 1;
        if (symbol == nr_used + 1)
            return true;
        if (!add_run(b, nr, counts, move_to_front(list, symbol - 1), 1))
            return false;
    }
}

/* ---- from the last column to bytes ---- */

static bool put(struct bunzip2 *b, uint8_t byte, uint32_t times)
{
    if (times > b->out_len - b->filled)
        return false;
    while (times--) {
        b->crc = b->crc << 8 ^ b->crc_table[b->crc >> 24 ^ byte];
        b->out[b->filled++] = byte;
    }
    return true;
}

static bool unsort(struct bunzip2 *b, uint32_t nr, uint32_t origin, const uint32_t counts[256])
{
    uint32_t starts[256], sum = 0, at;
    unsigned equal = 0, last = 256;

    for (unsigned i = 0; i < 256; i++) {
        starts[i] = sum;
        sum += counts[i];
    }
    for (uint32_t i = 0; i < nr; i++)
        b->links[starts[b->links[i] & 0xff]++] |= i << 8;
    at = b->links[origin] >> 8;
    for (uint32_t i = 0; i < nr; i++) {
        uint8_t byte = b->links[at] & 0xff;

        at = b->links[at] >> 8;
        if (equal == 4) {
            if (!put(b, (uint8_t)last, byte))
                return false;
            equal = 0;
            last = 256;
            continue;
        }
        equal = byte == last ? equal + 1 : 1;
        last = byte;
        if (!put(b, byte, 1))
            return false;
    }
    return true;
}

static bool read_block(struct bunzip2 *b)
{
    uint8_t used[256];
    uint32_t counts[256] = {0}, sum = take_bits(b, 32), origin, nr = 0;
    unsigned nr_used, nr_tables, nr_selectors;

    if (take_bits(b, 1)) /* randomised */
        return false;
    origin = take_bits(b, 24);
    nr_used = read_used(b, used);
    nr_tables = take_bits(b, 3);
    nr_selectors = take_bits(b, 15);
    if (b->failed || nr_used == 0 || nr_tables < 2 || nr_tables > TABLES_MAX || nr_selectors == 0 ||
        !read_selectors(b, nr_tables, nr_selectors))
        return false;
    for (unsigned i = 0; i < nr_tables; i++)
        if (!read_table(b, &b->tables[i], nr_used + 2))
            return false;
    if (nr_selectors > SELECTORS_MAX)
        nr_selectors = SELECTORS_MAX;
    if (!read_symbols(b, used, nr_used, nr_selectors, &nr, counts) || origin >= nr)
        return false;
    b->crc = 0xffffffffu;
    return unsort(b, nr, origin, counts) && ~b->crc == sum;
}

/* ---- */

static enum guest_err prepare(struct bunzip2 **state)
{
    struct bunzip2 *b;

    if (*state)
        return GUEST_OK;
    b = calloc(1, sizeof(*b));
    if (!b)
        return GUEST_ERR_NO_MEMORY;
    b->links = malloc(9 * LEVEL_BYTES * sizeof(*b->links));
    if (!b->links) {
        free(b);
        return GUEST_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i << 24;

        for (unsigned k = 0; k < 8; k++)
            crc = crc << 1 ^ (crc & 0x80000000u ? 0x04c11db7u : 0);
        b->crc_table[i] = crc;
    }
    *state = b;
    return GUEST_OK;
}

static bool read_stream(struct bunzip2 *b)
{
    uint32_t all = 0;
    uint64_t magic;

    if (take_bits(b, 24) != 0x425a68)
        return false;
    b->max_block = take_bits(b, 8) - '0';
    if (b->failed || b->max_block < 1 || b->max_block > 9)
        return false;
    b->max_block *= LEVEL_BYTES;
    while ((magic = take_48(b)) == BLOCK_MAGIC && !b->failed) {
        if (!read_block(b))
            return false;
        all = (all << 1 | all >> 31) ^ ~b->crc;
    }
    return magic == END_MAGIC && take_bits(b, 32) == all && !b->failed;
}

enum guest_err bunzip2(struct bunzip2 **state, struct span in, uint8_t *out, size_t out_len)
{
    enum guest_err err = prepare(state);
    struct bunzip2 *b = *state;

    if (err)
        return err;
    b->in = in;
    b->pos = b->filled = 0;
    b->bits = 0;
    b->nr_bits = 0;
    b->failed = false;
    b->out = out;
    b->out_len = out_len;
    return read_stream(b) && b->filled == out_len ? GUEST_OK : GUEST_ERR_DECODE;
}

void bunzip2_free(struct bunzip2 *state)
{
    if (state)
        free(state->links);
    free(state);
}
