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
 *
 * A grain of a stream-optimized VMDK is its marker (first sector, bytes of the stream), a zlib
 * stream and zeros up to the next sector; it has to be a stream even where that is no shorter.
 */
#include "src/copy/compress.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

#include "src/copy/incompressible.h"

#define MARKER_BYTES 12u
#define SECTOR_BYTES 512u

/* Marker, what stored blocks add, and the rest of a sector. */
#define GRAIN_EXTRA_BYTES 2048u

struct compressor {
    gsize unit_bytes;
    struct libdeflate_compressor *deflate;
    struct libdeflate_compressor *store; /* grains: for what does not shrink */
    gboolean grains;
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
    compressor->grains = codec == CELL_CODEC_VMDK_GRAIN;
    if (compressor->grains) {
        compressor->store = libdeflate_alloc_compressor(0);
    }
    if (codec == CELL_CODEC_ZSTD) {
        compressor->zstd = ZSTD_createCCtx();
    } else {
        compressor->deflate = libdeflate_alloc_compressor(deflate_level(unit_bytes));
    }
    if ((compressor->zstd == NULL && compressor->deflate == NULL) ||
        (compressor->grains && compressor->store == NULL)) {
        compressor_free(compressor);
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
    if (compressor->store != NULL) {
        libdeflate_free_compressor(compressor->store);
    }
    ZSTD_freeCCtx(compressor->zstd);
    g_free(compressor);
}

gsize compressor_bound(gsize bytes, gsize unit_bytes)
{
    return bytes + (bytes / unit_bytes + 1) * GRAIN_EXTRA_BYTES;
}

static void put_le(guint8 *out, guint64 value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        out[i] = (guint8)(value >> (8 * i));
    }
}

static gsize compress_grain(struct compressor *compressor, guint64 start, const void *in,
                            guint8 *out)
{
    gsize len = compressor->unit_bytes, room = len + GRAIN_EXTRA_BYTES - SECTOR_BYTES, end;
    gsize made = incompressible(in, len) ? 0
                                         : libdeflate_zlib_compress(compressor->deflate, in, len,
                                                                    out + MARKER_BYTES, len);

    if (made == 0) {
        made = libdeflate_zlib_compress(compressor->store, in, len, out + MARKER_BYTES,
                                        room - MARKER_BYTES);
    }
    g_assert(made != 0); /* stored blocks fit */
    put_le(out, start / SECTOR_BYTES, 8);
    put_le(out + 8, made, 4);
    end = (MARKER_BYTES + made + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    memset(out + MARKER_BYTES + made, 0, end - MARKER_BYTES - made);
    return end;
}

gsize compress_unit(struct compressor *compressor, guint64 start, const void *in, void *out)
{
    gsize len = compressor->unit_bytes;

    if (compressor->grains) {
        return compress_grain(compressor, start, in, out);
    }

    if (incompressible(in, len)) {
        return 0;
    }
    if (compressor->deflate != NULL) {
        return libdeflate_deflate_compress(compressor->deflate, in, len, out, len - 1);
    }
    gsize made = ZSTD_compress2(compressor->zstd, out, len - 1, in, len);
    return ZSTD_isError(made) ? 0 : made;
}
