/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the guest: one arena, handed out by malloc and its kin, given back as a whole when the
 * cell ends.
 *
 * malloc, calloc, realloc and free are the libc names because libprotobuf-c, libdeflate and libzstd
 * link to them. In the cell they are guest/lib/arena.c; in hosted builds they are the C library's.
 * A failed allocation is an answer (GUEST_ERR_NO_MEMORY), never a panic.
 */
#ifndef INSTAR_GUEST_LIB_ARENA_H
#define INSTAR_GUEST_LIB_ARENA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest/lib/checked.h"

/*
 * Allocates an array of `count` elements, zeroed.
 *
 * units:   size in bytes of one element
 * returns: NULL when it does not fit or the product overflows
 */
static inline void *arena_array(uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (!mul_u64(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    return calloc(1, bytes ? (size_t)bytes : 1);
}

/*
 * Makes room in an array for `needed` elements in all; at least doubles it when it must grow.
 *
 * units:   size in bytes of one element; *max in elements
 * out:     the array may have moved; what is new in it is zeroed
 * returns: false when it does not fit; the array is as it was
 */
static inline bool arena_grow(void **array, uint64_t *max, uint64_t needed, uint64_t size)
{
    uint64_t wanted = needed > *max * 2 ? needed : *max * 2;
    void *bigger;
    if (*array && needed <= *max)
        return true;
    if (wanted < 64)
        wanted = 64;
    bigger = arena_array(wanted, size);
    if (!bigger)
        return false;
    if (*array)
        memcpy(bigger, *array, *max * size);
    free(*array);
    *array = bigger;
    *max = wanted;
    return true;
}

/*
 * Allocates `bytes` without clearing them.
 *
 * returns: NULL when it does not fit
 */
static inline void *arena_bytes(uint64_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    return malloc(bytes ? (size_t)bytes : 1);
}

/*
 * Bytes that could still be allocated, roughly; planners size their caches by it.
 */
uint64_t arena_left_bytes(void);

#endif
