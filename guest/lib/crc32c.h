/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli), as VHDX seals its structures.
 */
#ifndef INSTAR_GUEST_LIB_CRC32C_H
#define INSTAR_GUEST_LIB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The state before the first byte. */
#define CRC32C_START 0xffffffffu

/* The state after more bytes. */
uint32_t crc32c_add(uint32_t state, const uint8_t *data, size_t len);

static inline uint32_t crc32c_end(uint32_t state)
{
    return ~state;
}

/*
 * The checksum of a structure that holds it in the four bytes at `checksum_at`, which count as
 * zeros.
 *
 * in:      checksum_at + 4 at most len
 */
uint32_t crc32c_sealed(const uint8_t *data, size_t len, size_t checksum_at);

#endif
