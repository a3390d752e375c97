/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd frames, by libzstd.
 *
 * The unit's own buffer is the window (frames are decoded in one piece, not streamed), so whatever
 * window size a frame claims costs no memory. A unit may hold several frames, and bytes after the
 * last one: only as many frames are decoded as it takes to fill it.
 */
#include "guest/codec/backends.h"

#include <zstd.h>

/* Consumes one frame of *in, appends what it holds at *filled. */
static bool one_frame(ZSTD_DCtx *state, struct span *in, uint8_t *out, size_t out_len,
                      size_t *filled)
{
    size_t frame = ZSTD_findFrameCompressedSize(in->data, in->len);
    if (ZSTD_isError(frame) || frame == 0 || frame > in->len)
        return false;
    size_t got = ZSTD_decompressDCtx(state, out + *filled, out_len - *filled, in->data, frame);
    if (ZSTD_isError(got) || got > out_len - *filled)
        return false;
    *filled += got;
    return span_sub(*in, frame, in->len - frame, in);
}

enum guest_err unzstd(struct ZSTD_DCtx_s **state, struct span in, uint8_t *out, size_t out_len)
{
    if (!*state && !(*state = ZSTD_createDCtx()))
        return GUEST_ERR_NO_MEMORY;
    size_t filled = 0;
    while (filled < out_len) {
        if (!one_frame(*state, &in, out, out_len, &filled))
            return GUEST_ERR_DECODE;
    }
    return GUEST_OK;
}

void unzstd_free(struct ZSTD_DCtx_s *state)
{
    ZSTD_freeDCtx(state);
}
