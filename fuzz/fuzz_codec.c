/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of one unit. Input: u8 codec, u8 log of the unit's size; the rest is the stream,
 * which ends at a guard page. Nothing is written outside the unit, and a failure leaves zeros.
 */
#include <glib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/codec/decode.h"

#define FENCE 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(enum cell_codec codec, size_t unit, struct span stream)
{
    g_autofree uint8_t *out = g_malloc(unit + 2 * FENCE);
    memset(out, 0xa5, unit + 2 * FENCE);
    struct decoder *decoder = decoder_new();
    g_assert(decoder);
    enum guest_err err = decode_unit(decoder, codec, stream, out + FENCE, unit);
    decoder_free(decoder);
    for (size_t i = 0; i < FENCE; i++)
        g_assert(out[i] == 0xa5 && out[FENCE + unit + i] == 0xa5);
    for (size_t i = 0; err && i < unit; i++)
        g_assert(out[FENCE + i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct guarded stream = guarded_copy(data + 2, size - 2, GUARDED_END);
    decode(data[0] % (CELL_CODEC_ZLIB_CHUNK + 1), (size_t)1 << (9 + data[1] % 13),
           span_of(stream.data, stream.len));
    guarded_clear(&stream);
    return 0;
}
