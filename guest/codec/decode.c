/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picks the codec of a unit and keeps what each needs between units.
 */
#include "guest/codec/decode.h"

#include <stdlib.h>
#include <string.h>

#include "guest/codec/backends.h"

struct decoder {
    struct libdeflate_decompressor *inflate;
    struct ZSTD_DCtx_s *zstd;
    struct bunzip2 *bunzip2;
    struct unlzfse *lzfse;
};

struct decoder *decoder_new(void)
{
    return calloc(1, sizeof(struct decoder));
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    inflate_free(decoder->inflate);
    unzstd_free(decoder->zstd);
    bunzip2_free(decoder->bunzip2);
    unlzfse_free(decoder->lzfse);
    free(decoder);
}

static enum guest_err decode(struct decoder *decoder, enum cell_codec codec, struct span in,
                             uint8_t *out, size_t out_len)
{
    switch (codec) {
    case CELL_CODEC_DEFLATE:
        return inflate_raw(&decoder->inflate, in, out, out_len);
    case CELL_CODEC_ZLIB:
        return inflate_zlib(&decoder->inflate, in, out, out_len);
    case CELL_CODEC_ZLIB_CHUNK:
        return inflate_zlib_exactly(&decoder->inflate, in, out, out_len);
    case CELL_CODEC_VMDK_GRAIN:
        return inflate_grain(&decoder->inflate, in, out, out_len);
    case CELL_CODEC_ZSTD:
        return unzstd(&decoder->zstd, in, out, out_len);
    case CELL_CODEC_BZ2:
        return bunzip2(&decoder->bunzip2, in, out, out_len);
    case CELL_CODEC_LZFSE:
        return unlzfse(&decoder->lzfse, in, out, out_len);
    case CELL_CODEC_ADC:
        return unadc(in, out, out_len);
    default:
        return GUEST_ERR_NOT_SUPPORTED;
    }
}

enum guest_err decode_unit(struct decoder *decoder, enum cell_codec codec, struct span in,
                           uint8_t *out, size_t out_len)
{
    enum guest_err err = decode(decoder, codec, in, out, out_len);
    if (err)
        memset(out, 0, out_len);
    return err;
}
