/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/copy/compress and incompressible: what is packed comes out again, random bytes are told at
 * once, and nothing that a compressor could use is taken for random.
 */
#include <glib.h>
#include <string.h>

#include "guest/codec/decode.h"
#include "src/copy/compress.h"
#include "src/copy/incompressible.h"

#define UNIT 65536u

static guint8 in[UNIT], packed[UNIT], out[UNIT];

static void fill_random(guint8 *p, gsize len, guint32 seed)
{
    GRand *rand = g_rand_new_with_seed(seed);

    for (gsize i = 0; i < len; i++) {
        p[i] = (guint8)(g_rand_int(rand) >> 11);
    }
    g_rand_free(rand);
}

static void round_trip(enum cell_codec codec, gsize unit)
{
    struct compressor *compressor = compressor_new(codec, unit);
    struct decoder *decoder = decoder_new();
    gsize made;

    for (gsize i = 0; i < unit; i++) {
        in[i] = (guint8)("the quick brown fox"[i % 19] + (i / 1000) % 7);
    }
    made = compress_unit(compressor, 0, in, packed);
    g_assert_cmpuint(made, >, 0);
    g_assert_cmpuint(made, <, unit);
    g_assert_cmpint(decode_unit(decoder, codec, span_of(packed, made), out, unit), ==, GUEST_OK);
    g_assert_cmpmem(out, unit, in, unit);
    fill_random(in, unit, 1);
    g_assert_cmpuint(compress_unit(compressor, 0, in, packed), ==, 0);
    decoder_free(decoder);
    compressor_free(compressor);
}

static void test_deflate(void)
{
    round_trip(CELL_CODEC_DEFLATE, 512);
    round_trip(CELL_CODEC_DEFLATE, 4096);
    round_trip(CELL_CODEC_DEFLATE, UNIT);
}

static void test_zstd(void)
{
    round_trip(CELL_CODEC_ZSTD, 512);
    round_trip(CELL_CODEC_ZSTD, UNIT);
}

static void test_random_is_told(void)
{
    guint told = 0;

    for (guint32 seed = 0; seed < 200; seed++) {
        fill_random(in, UNIT, seed);
        told += incompressible(in, UNIT) ? 1 : 0;
    }
    g_assert_cmpuint(told, >=, 198);
}

/* Random bytes with something in them that pays. */
static void test_gains_are_seen(void)
{
    fill_random(in, UNIT, 5);
    memcpy(in + 40000, in + 1000, 400); /* a repeat */
    g_assert_false(incompressible(in, UNIT));

    fill_random(in, UNIT, 6);
    memset(in + 30000, 0, 600); /* a run */
    g_assert_false(incompressible(in, UNIT));

    fill_random(in, UNIT, 7);
    for (guint i = 0; i < UNIT; i++) {
        in[i] &= 0x7f; /* one bit in eight is known */
    }
    g_assert_false(incompressible(in, UNIT));

    memset(in, 0, UNIT);
    g_assert_false(incompressible(in, UNIT));
    fill_random(in, 2048, 8);
    g_assert_false(incompressible(in, 2048)); /* too short to say */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compress/deflate", test_deflate);
    g_test_add_func("/compress/zstd", test_zstd);
    g_test_add_func("/compress/random-is-told", test_random_is_told);
    g_test_add_func("/compress/gains-are-seen", test_gains_are_seen);
    return g_test_run();
}
