/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two kinds of block of an LZFSE stream share.
 */
#ifndef INSTAR_GUEST_CODEC_LZFSE_H
#define INSTAR_GUEST_CODEC_LZFSE_H

#include "guest/codec/backends.h"

/* Where decoded bytes go: [0, at) are there, and may be copied from. */
struct lzfse_out {
    uint8_t *bytes;
    size_t len, at;
};

/* Both are false when there is no room, or nothing that far back. */
static inline bool lzfse_literals(struct lzfse_out *out, struct span bytes)
{
    if (bytes.len > out->len - out->at)
        return false;
    if (bytes.len)
        memcpy(out->bytes + out->at, bytes.data, bytes.len);
    out->at += bytes.len;
    return true;
}

static inline bool lzfse_match(struct lzfse_out *out, size_t distance, size_t len)
{
    if (len == 0)
        return true;
    if (distance == 0 || distance > out->at || len > out->len - out->at)
        return false;
    /* One byte after the other: what is copied may be what was just written. */
    for (size_t i = 0; i < len; i++, out->at++)
        out->bytes[out->at] = out->bytes[out->at - distance];
    return true;
}

/* Decodes an LZVN block of nr_bytes bytes. */
bool lzvn_block(struct span in, struct lzfse_out *out, size_t nr_bytes);

#endif
