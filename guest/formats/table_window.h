/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of a table of fixed-size entries in an image, that is read a piece at a time: a little at
 * first, more with every piece that follows its predecessor, so that one lookup costs one small
 * read and a walk over a large table few large ones.
 */
#ifndef INSTAR_GUEST_FORMATS_TABLE_WINDOW_H
#define INSTAR_GUEST_FORMATS_TABLE_WINDOW_H

#include "guest/io/source.h"
#include "guest/lib/checked.h"

#define TABLE_WINDOW_BYTES_MAX (256u << 10)

struct table_window {
    uint8_t *bytes;    /* capacity bytes */
    uint64_t capacity; /* bytes */
    uint64_t offset;   /* in the source, of the piece that is loaded */
    uint64_t len;      /* bytes of it; 0: nothing is loaded */
};

/*
 * Gives entries of a table, from one of them on. What lies past the end of the file reads as zeros.
 *
 * in:      offset of the first entry; most: bytes up to the end of the table, not 0; every entry of
 *          a table starts a multiple of its size behind the others
 * out:     *out, at least one entry of up to 8 bytes and at most `most` bytes, until the next call
 * returns: GUEST_ERR_IO; GUEST_ERR_NO_MEMORY; GUEST_ERR_RANGE when the table ends past 2^64
 * bound:   TABLE_WINDOW_BYTES_MAX of memory and of bytes read
 */
enum guest_err table_window_get(struct table_window *window, struct source *source, uint64_t offset,
                                uint64_t most, struct span *out, struct guest_err_detail *detail);

/*
 * How far a run of entries reaches: what `nr` units of 1 << shift bytes cover of the `length` bytes
 * from `start` on, the first of them from `start` on.
 */
static inline uint64_t table_clip(uint64_t start, uint64_t length, uint64_t nr, uint32_t shift)
{
    uint64_t within = start & ((1ull << shift) - 1);

    if (nr > (length + within) >> shift)
        return length;
    return min_u64((nr << shift) - within, length);
}

/* Gives the memory back; the window can be used again. */
void table_window_clear(struct table_window *window);

#endif
