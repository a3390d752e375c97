/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a cloop image. The sentences are in compat/wording_readonly.c.
 */
#ifndef INSTAR_GUEST_ABI_ERROR_CLOOP_H
#define INSTAR_GUEST_ABI_ERROR_CLOOP_H

#include "guest/abi/error.h"

enum cloop_err {
    CLOOP_ERR_BLOCK_ODD = GUEST_ERR_CLOOP, /* n0: block_size, no multiple of 512 */
    CLOOP_ERR_BLOCK_ZERO,
    CLOOP_ERR_BLOCK_LARGE, /* n0: block_size */
    CLOOP_ERR_BLOCKS,      /* n0: n_blocks, n1: the most there can be */
    CLOOP_ERR_NO_TABLE,    /* stock has no memory for as many */
    CLOOP_ERR_OFFSETS,     /* more offsets than 512 MiB hold */
    CLOOP_ERR_ORDER,       /* n0: index of an offset that is less than the one before */
    CLOOP_ERR_SIZE,        /* n0: index of the offset that ends a block that is too long */
};

#endif
