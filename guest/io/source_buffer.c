/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image bytes from memory, for unit tests and fuzzing. The bytes are borrowed.
 *
 * What a planner believes the file to have grown to (source.size_bytes) does not make the memory
 * longer: reads are held against the length that was given.
 */
#include "guest/io/source.h"
#include "guest/lib/arena.h"

struct buffer_source {
    struct source source; /* first: freed as one */
    struct span bytes;
};

static enum guest_err buffer_read(struct source *src, const struct source_piece *pieces,
                                  unsigned nr_pieces, struct guest_err_detail *detail)
{
    const struct buffer_source *buffer = src->state;
    for (unsigned i = 0; i < nr_pieces; i++) {
        struct span piece;
        if (!span_sub(buffer->bytes, pieces[i].offset, pieces[i].len, &piece))
            return err_numbers(detail, GUEST_ERR_RANGE, pieces[i].offset, pieces[i].len, 0, 0);
        memcpy(pieces[i].dst, piece.data, piece.len);
    }
    return GUEST_OK;
}

struct source *source_new_buffer(uint32_t blob, const void *data, uint64_t size_bytes)
{
    struct buffer_source *buffer = arena_array(1, sizeof(*buffer));
    if (!buffer)
        return NULL;
    buffer->bytes = span_of(data, (size_t)size_bytes);
    buffer->source = (struct source){
        .blob = blob, .size_bytes = size_bytes, .read = buffer_read, .state = buffer};
    return &buffer->source;
}
