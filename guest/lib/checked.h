/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on sizes and offsets that come from an image: false on overflow, *out untouched.
 */
#ifndef INSTAR_GUEST_LIB_CHECKED_H
#define INSTAR_GUEST_LIB_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

/* Rounds up to a multiple of `align`, a power of two. */
static inline bool align_up_u64(uint64_t value, uint64_t align, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(value, align - 1, &sum))
        return false;
    *out = sum & ~(align - 1);
    return true;
}

/* Whether [offset, offset + len) lies inside [0, size); no sum, so nothing can overflow. */
static inline bool range_inside_u64(uint64_t offset, uint64_t len, uint64_t size)
{
    return offset <= size && len <= size - offset;
}

static inline bool is_power_of_two_u64(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static inline uint64_t div_round_up_u64(uint64_t value, uint64_t divisor)
{
    return value / divisor + (value % divisor != 0);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
