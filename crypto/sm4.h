/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SM4, as one of nettle's ciphers: blocks and keys of 16 bytes.
 */
#ifndef INSTAR_CRYPTO_SM4_H
#define INSTAR_CRYPTO_SM4_H

#include <nettle/nettle-meta.h>

#define SM4_CONTEXT_BYTES 128u

extern const struct nettle_cipher crypto_sm4;

#endif
