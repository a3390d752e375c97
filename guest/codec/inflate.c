/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw deflate and zlib streams, by libdeflate.
 *
 * A unit is what zlib's inflate() leaves when it is given exactly out_len bytes of room, as stock
 * does: a stream that would go on past the unit is cut there. libdeflate refuses such a stream, so
 * it is decoded once more with more room. Seen with stock qemu-img 7.2: a cluster whose stream
 * holds more bytes than the cluster reads fine.
 */
#include "guest/codec/backends.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

typedef enum libdeflate_result (*inflate_fn)(struct libdeflate_decompressor *, const void *, size_t,
                                             void *, size_t, size_t *, size_t *);

/* Decodes into a larger buffer and keeps the unit's share of it. */
static enum guest_err inflate_longer(struct libdeflate_decompressor *state, inflate_fn run,
                                     struct span in, uint8_t *out, size_t out_len)
{
    size_t room = 2 * out_len;
    uint8_t *longer = malloc(room);
    if (!longer)
        return GUEST_ERR_NO_MEMORY;
    size_t consumed = 0, produced = 0;
    enum guest_err err = GUEST_ERR_DECODE;
    if (run(state, in.data, in.len, longer, room, &consumed, &produced) == LIBDEFLATE_SUCCESS &&
        produced >= out_len) {
        memcpy(out, longer, out_len);
        err = GUEST_OK;
    }
    free(longer);
    return err;
}

static enum guest_err inflate(struct libdeflate_decompressor **state, inflate_fn run,
                              struct span in, uint8_t *out, size_t out_len)
{
    if (!*state && !(*state = libdeflate_alloc_decompressor()))
        return GUEST_ERR_NO_MEMORY;
    size_t consumed = 0, produced = 0;
    switch (run(*state, in.data, in.len, out, out_len, &consumed, &produced)) {
    case LIBDEFLATE_SUCCESS:
        return produced == out_len ? GUEST_OK : GUEST_ERR_DECODE;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return inflate_longer(*state, run, in, out, out_len);
    default:
        return GUEST_ERR_DECODE;
    }
}

enum guest_err inflate_raw(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                           size_t out_len)
{
    return inflate(state, libdeflate_deflate_decompress_ex, in, out, out_len);
}

enum guest_err inflate_zlib(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                            size_t out_len)
{
    return inflate(state, libdeflate_zlib_decompress_ex, in, out, out_len);
}

enum guest_err inflate_zlib_exactly(struct libdeflate_decompressor **state, struct span in,
                                    uint8_t *out, size_t out_len)
{
    size_t consumed = 0, produced = 0;
    if (!*state && !(*state = libdeflate_alloc_decompressor()))
        return GUEST_ERR_NO_MEMORY;
    return libdeflate_zlib_decompress_ex(*state, in.data, in.len, out, out_len, &consumed,
                                         &produced) == LIBDEFLATE_SUCCESS &&
                   produced == out_len
               ? GUEST_OK
               : GUEST_ERR_DECODE;
}

void inflate_free(struct libdeflate_decompressor *state)
{
    if (state)
        libdeflate_free_decompressor(state);
}
