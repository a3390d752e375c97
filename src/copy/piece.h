/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece: one run of a virtual disk and where its bytes are. What a copy or a comparison reads is
 * a list of pieces; src/graph's extents are turned into them by feed.c.
 */
#ifndef INSTAR_SRC_COPY_PIECE_H
#define INSTAR_SRC_COPY_PIECE_H

#include <glib.h>

#include "crypto/sector_cipher.h"
#include "guest/abi/hypercall.h"
#include "src/io/endpoint.h"

enum piece_kind {
    PIECE_SKIP,       /* not the copy's affair: the target keeps what it has */
    PIECE_ZERO,       /* reads as zeros */
    PIECE_DATA,       /* bytes at endpoint:offset */
    PIECE_ENCRYPTED,  /* bytes at endpoint:offset, encrypted */
    PIECE_COMPRESSED, /* inside a unit that is compressed at endpoint:offset */
    PIECE_BAD,        /* what is here could not be found out; reading it fails with error_number */
};

struct piece {
    uint64_t start;  /* bytes, in the target's virtual disk */
    uint64_t length; /* bytes, never 0 */
    uint64_t offset; /* bytes, in endpoint */
    struct endpoint *endpoint;
    uint64_t run_start; /* the run of the source that this was cut from: errors and progress ... */
    uint64_t run_end;   /* ... are told in chunks of it */
    uint32_t comp_len;  /* COMPRESSED: bytes at offset that hold the unit, an upper bound */
    uint32_t unit_len;  /* COMPRESSED: bytes of the unit */
    uint32_t skip;      /* COMPRESSED: bytes of the unit before `start` */
    const struct crypto_spec *cipher; /* ENCRYPTED */
    uint64_t iv_offset;               /* ENCRYPTED: what the first byte's IV counts from */
    int error_number;                 /* BAD */
    gboolean located;                 /* BAD: only reading fails, asking where it is does not */
    enum piece_kind kind;
    enum cell_codec codec;
};

/*
 * Cuts the first `length` bytes off a piece.
 *
 * in:      0 < length < piece->length
 * out:     *piece is what is left; returns what was cut off
 */
static inline struct piece piece_cut(struct piece *piece, uint64_t length)
{
    struct piece head = *piece;

    head.length = length;
    piece->start += length;
    piece->length -= length;
    if (piece->kind == PIECE_DATA || piece->kind == PIECE_ENCRYPTED) {
        piece->offset += length;
        piece->iv_offset += length;
    } else if (piece->kind == PIECE_COMPRESSED) {
        piece->skip += (uint32_t)length;
    }
    return head;
}

#endif
