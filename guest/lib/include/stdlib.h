/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation and sorting of the guest's libc; see guest/lib/arena.c and guest/lib/sort.c. */
#ifndef INSTAR_GUEST_STDLIB_H
#define INSTAR_GUEST_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *p);
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
_Noreturn void abort(void);

#endif
