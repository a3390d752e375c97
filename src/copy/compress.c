/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw deflate by libdeflate, zstd by libzstd.
 *
 * qcow2's deflate streams are commonly written with a window of 4 KiB. Readers inflate a whole
 * cluster in one call, so that every distance inside the cluster is good: stock qemu-img 7.2 was
 * seen to read clusters whose matches lie 30000 bytes back. libdeflate's full window therefore
 * makes smaller output at a lower level. The levels are the lowest that were measured to be no
 * larger than zlib's default level with a 4 KiB window, on C headers and on shared libraries:
 *
 *   unit     zlib     libdeflate, level by level (text; seconds for 48 MiB in parentheses)
 *   4 KiB    7323284 (0.63)   5: 7438305  6: 7351327  7: 7272892 (0.38)
 *   64 KiB   5126051 (0.63)   3: 5043757  4: 4818917 (0.18)
 *   1 MiB    5030225 (0.62)   3: 4787658  4: 4550324 (0.18)
 *
 * zstd runs at its default level, as stock does.
 */
#include "src/copy/compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include "src/copy/incompressible.h"

struct compressor {
    gsize unit_bytes;
    struct libdeflate_compressor *deflate;
    ZSTD_CCtx *zstd;
};

static int deflate_level(gsize unit_bytes)
{
    if (unit_bytes >= 64u << 10) {
        return 4;
    }
    return unit_bytes >= 16u << 10 ? 6 : 7;
}

struct compressor *compressor_new(enum cell_codec codec, gsize unit_bytes)
{
    struct compressor *compressor = g_new0(struct compressor, 1);

    compressor->unit_bytes = unit_bytes;
    if (codec == CELL_CODEC_ZSTD) {
        compressor->zstd = ZSTD_createCCtx();
    } else {
        compressor->deflate = libdeflate_alloc_compressor(deflate_level(unit_bytes));
    }
    if (compressor->zstd == NULL && compressor->deflate == NULL) {
        g_free(compressor);
        return NULL;
    }
    return compressor;
}

void compressor_free(struct compressor *compressor)
{
    if (compressor == NULL) {
        return;
    }
    if (compressor->deflate != NULL) {
        libdeflate_free_compressor(compressor->deflate);
    }
    ZSTD_freeCCtx(compressor->zstd);
    g_free(compressor);
}

gsize compress_unit(struct compressor *compressor, const void *in, void *out)
{
    gsize len = compressor->unit_bytes;

    if (incompressible(in, len)) {
        return 0;
    }
    if (compressor->deflate != NULL) {
        return libdeflate_deflate_compress(compressor->deflate, in, len, out, len - 1);
    }
    gsize made = ZSTD_compress2(compressor->zstd, out, len - 1, in, len);
    return ZSTD_isError(made) ? 0 : made;
}
