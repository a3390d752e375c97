/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zero detection. One function a vector unit, chosen once by what the processor says it has.
 *
 * Each looks at blocks of 256 bytes, which is what four of the widest registers hold: data is told
 * from zeros after one block, and long zeros run at the speed of the cache. The tail that does not
 * fill a block is looked at byte by byte, but for buffers of at least one block, where the last
 * block overlaps the one before.
 */
#include "src/copy/zero.h"

#include <immintrin.h>
#include <string.h>
#include <sys/platform/x86.h>

#define BLOCK 256u

typedef gboolean (*zero_fn)(const unsigned char *p, size_t blocks);

static gboolean zero_sse2(const unsigned char *p, size_t blocks)
{
    const __m128i none = _mm_setzero_si128();

    for (; blocks > 0; blocks--, p += BLOCK) {
        const __m128i *v = (const __m128i *)p;
        __m128i any = none;

        for (unsigned i = 0; i < BLOCK / sizeof(*v); i++) {
            any = _mm_or_si128(any, _mm_loadu_si128(v + i));
        }
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(any, none)) != 0xffff) {
            return FALSE;
        }
    }
    return TRUE;
}

__attribute__((target("avx2"))) static gboolean zero_avx2(const unsigned char *p, size_t blocks)
{
    for (; blocks > 0; blocks--, p += BLOCK) {
        const __m256i *v = (const __m256i *)p;
        __m256i any = _mm256_loadu_si256(v);

        for (unsigned i = 1; i < BLOCK / sizeof(*v); i++) {
            any = _mm256_or_si256(any, _mm256_loadu_si256(v + i));
        }
        if (!_mm256_testz_si256(any, any)) {
            return FALSE;
        }
    }
    return TRUE;
}

__attribute__((target("avx512f"))) static gboolean zero_avx512(const unsigned char *p,
                                                               size_t blocks)
{
    for (; blocks > 0; blocks--, p += BLOCK) {
        __m512i a = _mm512_or_si512(_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64));
        __m512i b = _mm512_or_si512(_mm512_loadu_si512(p + 128), _mm512_loadu_si512(p + 192));
        __m512i any = _mm512_or_si512(a, b);

        if (_mm512_test_epi64_mask(any, any) != 0) {
            return FALSE;
        }
    }
    return TRUE;
}

static const struct {
    const char *name;
    zero_fn fn;
} units[] = {{"avx512", zero_avx512}, {"avx2", zero_avx2}, {"sse2", zero_sse2}};

static unsigned chosen = G_MAXUINT;

/* What the dynamic linker found out: asking the processor again may be a trap into a hypervisor. */
static gboolean has_unit(unsigned i)
{
    switch (i) {
    case 0:
        return CPU_FEATURE_ACTIVE(AVX512F);
    case 1:
        return CPU_FEATURE_ACTIVE(AVX2);
    default:
        return TRUE;
    }
}

/* Threads may race here: all come to the same answer. */
static unsigned unit(void)
{
    unsigned i = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

    if (i == G_MAXUINT) {
        for (i = 0; !has_unit(i); i++) {
        }
        __atomic_store_n(&chosen, i, __ATOMIC_RELAXED);
    }
    return i;
}

const char *zero_unit(void)
{
    return units[unit()].name;
}

gboolean zero_choose(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strcmp(units[i].name, name) == 0 && has_unit(i)) {
            __atomic_store_n(&chosen, i, __ATOMIC_RELAXED);
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean is_zero(zero_fn fn, const unsigned char *p, size_t len)
{
    if (len < BLOCK) {
        unsigned char any = 0;

        for (size_t i = 0; i < len; i++) {
            any |= p[i];
        }
        return any == 0;
    }
    return fn(p, 1) && fn(p + len - BLOCK, 1) && fn(p, len / BLOCK);
}

gboolean zero_is(const void *buf, size_t len)
{
    return is_zero(units[unit()].fn, buf, len);
}

size_t zero_run(const void *buf, size_t len, size_t granule, gboolean *out_zero)
{
    zero_fn fn = units[unit()].fn;
    const unsigned char *p = buf;
    size_t run = MIN(granule, len);

    *out_zero = is_zero(fn, p, run);
    while (run < len) {
        size_t next = MIN(granule, len - run);

        if (is_zero(fn, p + run, next) != *out_zero) {
            break;
        }
        run += next;
    }
    return run;
}
