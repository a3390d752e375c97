/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of the effect of one byte, made at the first use; eight bytes at a time through eight
 * such tables, since logs of megabytes are summed. source: RFC 3720, appendix B.4 (polynomial and
 * test vectors)
 */
#include "guest/lib/crc32c.h"

#include <stdbool.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define SLICES     8

static uint32_t table[SLICES][256];
static bool table_made;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][i] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (uint32_t i = 0; i < 256; i++)
            table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xff];
    table_made = true;
}

uint32_t crc32c_add(uint32_t state, const uint8_t *data, size_t len)
{
    if (!table_made)
        make_table();
    for (; len >= SLICES; data += SLICES, len -= SLICES) {
        uint32_t mixed = 0;

        state ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                 (uint32_t)data[3] << 24;
        for (int i = 0; i < 4; i++)
            mixed ^= table[7 - i][(state >> (8 * i)) & 0xff] ^ table[3 - i][data[4 + i]];
        state = mixed;
    }
    for (; len; data++, len--)
        state = (state >> 8) ^ table[0][(state ^ *data) & 0xff];
    return state;
}

uint32_t crc32c_sealed(const uint8_t *data, size_t len, size_t checksum_at)
{
    static const uint8_t zeros[4];
    uint32_t state = crc32c_add(CRC32C_START, data, checksum_at);

    state = crc32c_add(state, zeros, sizeof(zeros));
    return crc32c_end(
        crc32c_add(state, data + checksum_at + sizeof(zeros), len - checksum_at - sizeof(zeros)));
}
