/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest/codec: what a unit must be to decode, and that nothing stale is ever delivered.
 */
#include <glib.h>
#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

#include "guest/codec/decode.h"

#define UNIT 65536u

static guint8 plain[2 * UNIT], packed[3 * UNIT], out[UNIT];

static void fill_plain(void)
{
    for (guint i = 0; i < sizeof(plain); i++) {
        plain[i] = (guint8)((i % 251) ^ (i >> 12));
    }
}

/* Packs `len` bytes of plain; gives the stream's length. */
static gsize pack(enum cell_codec codec, gsize len)
{
    gsize made;

    if (codec == CELL_CODEC_ZSTD) {
        made = ZSTD_compress(packed, sizeof(packed), plain, len, 3);
        g_assert_false(ZSTD_isError(made));
        return made;
    }
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    made = codec == CELL_CODEC_ZLIB
               ? libdeflate_zlib_compress(c, plain, len, packed, sizeof(packed))
               : libdeflate_deflate_compress(c, plain, len, packed, sizeof(packed));
    libdeflate_free_compressor(c);
    g_assert_cmpuint(made, >, 0);
    return made;
}

static enum guest_err decode(enum cell_codec codec, gsize in_len, gsize out_len)
{
    struct decoder *decoder = decoder_new();
    enum guest_err err;

    memset(out, 0xee, sizeof(out));
    err = decode_unit(decoder, codec, span_of(packed, in_len), out, out_len);
    decoder_free(decoder);
    return err;
}

static void assert_zeros(gsize len)
{
    for (gsize i = 0; i < len; i++) {
        g_assert_cmpuint(out[i], ==, 0);
    }
    for (gsize i = len; i < sizeof(out); i++) {
        g_assert_cmpuint(out[i], ==, 0xee);
    }
}

static const enum cell_codec codecs[] = {CELL_CODEC_DEFLATE, CELL_CODEC_ZLIB, CELL_CODEC_ZSTD};

static void test_exact(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(codecs); i++) {
        gsize len = pack(codecs[i], UNIT);

        g_assert_cmpint(decode(codecs[i], len, UNIT), ==, GUEST_OK);
        g_assert_cmpmem(out, UNIT, plain, UNIT);
    }
}

/* A compressed length is a number of sectors: what lies behind the stream does not matter. */
static void test_trailing_bytes(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(codecs); i++) {
        gsize len = pack(codecs[i], UNIT);

        memset(packed + len, 0xff, 511);
        g_assert_cmpint(decode(codecs[i], len + 511, UNIT), ==, GUEST_OK);
        g_assert_cmpmem(out, UNIT, plain, UNIT);
    }
}

static void test_short_output_is_an_error(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(codecs); i++) {
        gsize len = pack(codecs[i], UNIT - 1);

        g_assert_cmpint(decode(codecs[i], len, UNIT), ==, GUEST_ERR_DECODE);
        assert_zeros(UNIT);
    }
}

static void test_truncated_stream(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(codecs); i++) {
        gsize len = pack(codecs[i], UNIT);

        for (gsize cut = 0; cut < len - 8; cut += 97) {
            g_assert_cmpint(decode(codecs[i], cut, UNIT), ==, GUEST_ERR_DECODE);
            assert_zeros(UNIT);
        }
    }
}

/* Stock reads a deflated cluster whose stream would go on; a zstd frame must be as long. */
static void test_longer_stream(void)
{
    gsize len = pack(CELL_CODEC_DEFLATE, UNIT + 1000);

    g_assert_cmpint(decode(CELL_CODEC_DEFLATE, len, UNIT), ==, GUEST_OK);
    g_assert_cmpmem(out, UNIT, plain, UNIT);
    len = pack(CELL_CODEC_ZSTD, UNIT + 1000);
    g_assert_cmpint(decode(CELL_CODEC_ZSTD, len, UNIT), ==, GUEST_ERR_DECODE);
    assert_zeros(UNIT);
}

static void test_garbage(void)
{
    GRand *rand = g_rand_new_with_seed(7);

    for (guint round = 0; round < 200; round++) {
        for (guint i = 0; i < 4096; i++) {
            packed[i] = (guint8)g_rand_int(rand);
        }
        for (guint i = 0; i < G_N_ELEMENTS(codecs); i++) {
            g_assert_cmpint(decode(codecs[i], 4096, UNIT), ==, GUEST_ERR_DECODE);
            assert_zeros(UNIT);
        }
    }
    g_rand_free(rand);
}

/* One header claims a window of 2 GiB: it costs no memory, and the frame is refused or read. */
static void test_zstd_window(void)
{
    static const guint8 frame[] = {
        0x28, 0xb5, 0x2f, 0xfd, /* Magic_Number */
        0x00,                   /* Frame_Header_Descriptor: no content size, window follows */
        0xa8,                   /* Window_Descriptor: exponent 21, 2 GiB */
        0x23, 0x00, 0x00,       /* Block_Header: last, RLE, 4 bytes */
        0x41,                   /* the byte */
    };

    memcpy(packed, frame, sizeof(frame));
    enum guest_err err = decode(CELL_CODEC_ZSTD, sizeof(frame), 4);
    g_assert_true(err == GUEST_OK || err == GUEST_ERR_DECODE);
}

static void test_zstd_two_frames(void)
{
    gsize first = ZSTD_compress(packed, sizeof(packed), plain, 1000, 3);
    gsize second =
        ZSTD_compress(packed + first, sizeof(packed) - first, plain + 1000, UNIT - 1000, 3);

    g_assert_cmpint(decode(CELL_CODEC_ZSTD, first + second, UNIT), ==, GUEST_OK);
    g_assert_cmpmem(out, UNIT, plain, UNIT);
}

static void test_unknown_codec(void)
{
    g_assert_cmpint(decode(CELL_CODEC_NONE, 10, 512), ==, GUEST_ERR_NOT_SUPPORTED);
    assert_zeros(512);
    g_assert_cmpint(decode((enum cell_codec)77, 10, 512), ==, GUEST_ERR_NOT_SUPPORTED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fill_plain();
    g_test_add_func("/codec/exact", test_exact);
    g_test_add_func("/codec/trailing-bytes", test_trailing_bytes);
    g_test_add_func("/codec/short-output", test_short_output_is_an_error);
    g_test_add_func("/codec/truncated", test_truncated_stream);
    g_test_add_func("/codec/longer", test_longer_stream);
    g_test_add_func("/codec/garbage", test_garbage);
    g_test_add_func("/codec/zstd-window", test_zstd_window);
    g_test_add_func("/codec/zstd-two-frames", test_zstd_two_frames);
    g_test_add_func("/codec/unknown", test_unknown_codec);
    return g_test_run();
}
