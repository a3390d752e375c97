/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of one unit: bytes in, exactly so many bytes out, or an error.
 *
 * One file a codec (inflate.c over libdeflate, zstd.c over libzstd, the others are our own);
 * decode.c picks by codec.
 * There is no compression here: output is compressed on the host, from bytes that are not parsed.
 */
#ifndef INSTAR_GUEST_CODEC_DECODE_H
#define INSTAR_GUEST_CODEC_DECODE_H

#include "guest/abi/error.h"
#include "guest/abi/hypercall.h"
#include "guest/lib/bytes.h"

/* The largest unit any caller may ask for. */
#define DECODE_UNIT_MAX (64u << 20)

/* Decoder state, kept from unit to unit. */
struct decoder;

/*
 * Makes a decoder; each codec's own state is made when it is first needed.
 *
 * returns: NULL when out of memory
 */
struct decoder *decoder_new(void);
void decoder_free(struct decoder *decoder);

/*
 * Decodes one unit.
 *
 * in:      in: the stream, which may end before the span does (its length is an upper bound)
 * out:     out_len bytes at `out`; all zeros on failure, so that nothing stale can be delivered
 * returns: GUEST_OK; GUEST_ERR_DECODE when the stream is malformed or gives fewer bytes;
 *          GUEST_ERR_NOT_SUPPORTED for a codec that is not built; GUEST_ERR_NO_MEMORY
 * bound:   linear in in.len + out_len; memory: the codec's state and at most 2 * out_len
 */
enum guest_err decode_unit(struct decoder *decoder, enum cell_codec codec, struct span in,
                           uint8_t *out, size_t out_len);

#endif
