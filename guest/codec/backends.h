/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each library behind decode.c provides. State is a pointer that starts NULL and is made on
 * first use.
 *
 * Each returns GUEST_OK only when exactly out_len bytes were produced. On failure the contents of
 * `out` are undefined: decode_unit clears them.
 */
#ifndef INSTAR_GUEST_CODEC_BACKENDS_H
#define INSTAR_GUEST_CODEC_BACKENDS_H

#include "guest/codec/decode.h"

struct libdeflate_decompressor;
struct ZSTD_DCtx_s;
struct bunzip2;
struct unlzfse;

enum guest_err inflate_raw(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                           size_t out_len);
enum guest_err inflate_zlib(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                            size_t out_len);
/* A stream that is exactly out_len bytes long; more is an error. */
enum guest_err inflate_zlib_exactly(struct libdeflate_decompressor **state, struct span in,
                                    uint8_t *out, size_t out_len);

/* grain.c: a grain's marker, then a zlib stream */
enum guest_err inflate_grain(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                             size_t out_len);
void inflate_free(struct libdeflate_decompressor *state);

enum guest_err unzstd(struct ZSTD_DCtx_s **state, struct span in, uint8_t *out, size_t out_len);
void unzstd_free(struct ZSTD_DCtx_s *state);

enum guest_err bunzip2(struct bunzip2 **state, struct span in, uint8_t *out, size_t out_len);
void bunzip2_free(struct bunzip2 *state);

enum guest_err unlzfse(struct unlzfse **state, struct span in, uint8_t *out, size_t out_len);
void unlzfse_free(struct unlzfse *state);

enum guest_err unadc(struct span in, uint8_t *out, size_t out_len);

#endif
