/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between guard pages: a read past their end (or before their start) faults at once, also
 * where no sanitizer watches.
 */
#ifndef INSTAR_FUZZ_GUARDED_H
#define INSTAR_FUZZ_GUARDED_H

#include <stddef.h>
#include <stdint.h>

/* Which edge touches its guard page; the other one does only when len is a multiple of a page. */
enum guarded_edge {
    GUARDED_END,
    GUARDED_START,
};

struct guarded {
    uint8_t *data; /* read-only; a valid pointer also when len is 0 */
    size_t len;    /* bytes */
    void *map;
    size_t map_len; /* bytes */
};

/*
 * Copies bytes to between guard pages and makes the copy read-only.
 *
 * in:      data may be NULL when len is 0
 * returns: the copy, until guarded_clear; aborts when memory runs out
 */
struct guarded guarded_copy(const void *data, size_t len, enum guarded_edge edge);
void guarded_clear(struct guarded *g);

#endif
