/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading pieces into memory, whatever they are: bytes of a file, zeros, compressed units.
 *
 * A reader belongs to one worker. Compressed units are decoded in a cell of its own, made when the
 * first one comes: the compressed bytes are read straight into the cell's data window, a batch of
 * units is decoded in one call, and the result is used from the window. Cells of different workers
 * share nothing, and none of them ever sees a table of an image.
 */
#ifndef INSTAR_SRC_COPY_READER_H
#define INSTAR_SRC_COPY_READER_H

#include "src/copy/piece.h"
#include "src/sandbox/sandbox.h"

struct reader;

/* Why a piece could not be read. */
struct read_fault {
    guint piece;      /* index of the piece */
    int error_number; /* errno */
    GError *error;    /* what the cell said, if it is the cell that failed; freed by the taker */
};

/*
 * Makes a reader.
 *
 * in:      nr_buffers: what is read into one of them stays until that one is used again
 *          cell: kind and limits of the codec cell; memory and window are chosen here
 */
struct reader *reader_new(size_t buffer_bytes, guint nr_buffers, const struct cell_config *cell);
void reader_free(struct reader *reader);

/*
 * Reads pieces that follow each other without a gap; SKIP and ZERO give zeros.
 *
 * in:      their lengths add up to at most buffer_bytes; buffer: 0 .. nr_buffers - 1
 * returns: the bytes, until that buffer is used again; NULL with *fault filled
 */
void *reader_fill(struct reader *reader, guint buffer, const struct piece *pieces, guint nr,
                  struct read_fault *fault);

/* A buffer's memory, for who reads by himself; NULL: no memory. */
void *reader_buffer(struct reader *reader, guint buffer);

#endif
