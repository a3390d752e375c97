/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image bytes from memory, for unit tests and fuzzing. The bytes are borrowed.
 */
#include "guest/io/source.h"
#include "guest/lib/arena.h"

static enum guest_err buffer_read(struct source *src, const struct source_piece *pieces,
                                  unsigned nr_pieces, struct guest_err_detail *detail)
{
    for (unsigned i = 0; i < nr_pieces; i++) {
        struct span piece;
        if (!span_sub(span_of(src->state, src->size_bytes), pieces[i].offset, pieces[i].len,
                      &piece))
            return err_numbers(detail, GUEST_ERR_RANGE, pieces[i].offset, pieces[i].len, 0, 0);
        memcpy(pieces[i].dst, piece.data, piece.len);
    }
    return GUEST_OK;
}

struct source *source_new_buffer(uint32_t blob, const void *data, uint64_t size_bytes)
{
    struct source *src = arena_array(1, sizeof(*src));
    if (!src)
        return NULL;
    *src = (struct source){.blob = blob,
                           .size_bytes = size_bytes,
                           .read = buffer_read,
                           .state = (void *)(uintptr_t)data};
    return src;
}
