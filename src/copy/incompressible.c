/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tests. The first counts byte values: with n bytes and 256 values, the sum of (count -
 * n/256)^2 over n/256 is about 255 for random bytes (standard deviation 23), and what an entropy
 * code could gain in all is that sum over 2 ln 2, in bits. The first bytes are counted alone
 * before, as most of what is not random shows it there. The second test looks for repeats: at
 * places chosen by what the bytes are (one in sixteen: those whose upper half is 5), so that both
 * ends of a repeat choose the same places, the eight bytes found there are looked up among those
 * met before.
 *
 * Repeats shorter than about sixty bytes may be missed. In bytes that pass the first test they are
 * not worth their codes unless there are many, and then one of them is met.
 */
#include "src/copy/incompressible.h"

#include <emmintrin.h>
#include <string.h>

#define LEN_MIN     4096u
#define HEAD_SPREAD 600u /* of the first LEN_MIN bytes: far beyond chance */
#define SPREAD_MAX  420u /* 255 + 7 standard deviations; 38 bytes that could be gained */
#define SLOT_BITS   12
#define MULTIPLIER  0x9e3779b97f4a7c15ull

static gboolean evenly_spread(const guint8 *p, gsize len, guint spread_max)
{
    /* Four tables, so that runs of one value do not wait for each other's store. */
    guint32 count[4][256];
    guint64 squares = 0;
    gsize i = 0;

    memset(count, 0, sizeof(count));
    for (; i + 4 <= len; i += 4) {
        count[0][p[i]]++;
        count[1][p[i + 1]]++;
        count[2][p[i + 2]]++;
        count[3][p[i + 3]]++;
    }
    for (; i < len; i++) {
        count[0][p[i]]++;
    }
    for (unsigned v = 0; v < 256; v++) {
        guint64 n = (guint64)count[0][v] + count[1][v] + count[2][v] + count[3][v];

        squares += n * n;
    }
    /* sum (c - e)^2 / e = 256 / len * sum c^2 - len, with e = len / 256 */
    return squares * 256 < (guint64)len * len + (guint64)len * spread_max;
}

/* Whether the eight bytes at p were met before; remembers them. */
static gboolean met_before(guint64 *seen, const guint8 *p)
{
    guint64 here;
    unsigned slot;

    memcpy(&here, p, sizeof(here));
    slot = (unsigned)(here * MULTIPLIER >> (64 - SLOT_BITS));
    if (seen[slot] == here) {
        return TRUE;
    }
    seen[slot] = here;
    return FALSE;
}

static gboolean repeats(const guint8 *p, gsize len)
{
    const __m128i upper = _mm_set1_epi8((char)0xf0), chosen = _mm_set1_epi8(0x50);
    guint64 seen[1u << SLOT_BITS];

    memset(seen, 0, sizeof(seen));
    for (gsize i = 0; i + 16 + 8 <= len; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(p + i));
        int places = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(bytes, upper), chosen));

        for (; places != 0; places &= places - 1) {
            if (met_before(seen, p + i + (gsize)__builtin_ctz((unsigned)places))) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

gboolean incompressible(const void *buf, gsize len)
{
    return len >= LEN_MIN && evenly_spread(buf, LEN_MIN, HEAD_SPREAD) &&
           evenly_spread(buf, len, SPREAD_MAX) && !repeats(buf, len);
}
