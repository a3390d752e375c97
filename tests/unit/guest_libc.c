/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's libc under other names, so that a hosted test can call it beside the real one.
 */
#include <stddef.h>

#define memcpy  guest_memcpy
#define memmove guest_memmove
#define memset  guest_memset
#define memcmp  guest_memcmp
#define memchr  guest_memchr
#define strlen  guest_strlen
#define strnlen guest_strnlen
#define strcmp  guest_strcmp
#define strncmp guest_strncmp
#define strchr  guest_strchr
#define qsort   guest_qsort

#include "guest/lib/include/string.h"
#undef INSTAR_GUEST_STRING_H
#define _STRING_H 1
void guest_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
#define _STDLIB_H 1

/* NOLINTBEGIN(bugprone-suspicious-include): under the names given above, beside the C library */
#include "guest/lib/mem.c"
#include "guest/lib/sort.c"
/* NOLINTEND(bugprone-suspicious-include) */
