/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where image bytes come from: the only way by which a format reads its image.
 *
 * Two kinds: source_hypercall.c asks the host (the cell), source_buffer.c holds the bytes in memory
 * (unit tests, fuzzing). Reads of tables go through a shared LRU cache of pages with sequential
 * read-ahead (guest/io/cache.c), so that a walk over 128 MiB of L2 tables makes a few hundred
 * exits.
 */
#ifndef INSTAR_GUEST_IO_SOURCE_H
#define INSTAR_GUEST_IO_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/err.h"

/* One contiguous piece of a scattered read. */
struct source_piece {
    uint64_t offset; /* bytes */
    uint64_t len;    /* bytes */
    void *dst;
};

struct source {
    uint32_t blob;            /* id the host knows it by; goes into extents */
    uint64_t size_bytes;      /* of the file; a device's capacity */
    uint64_t allocated_bytes; /* on disk; 0 if unknown */
    bool read_only;
    struct source *header; /* the file that a detached header is in, freed with this; else NULL */
    /*
     * Reads every piece completely, past the cache.
     *
     * in:      pieces inside [0, size_bytes), checked by source_read
     * returns: GUEST_OK; GUEST_ERR_IO with errno in number[0]
     */
    enum guest_err (*read)(struct source *src, const struct source_piece *pieces,
                           unsigned nr_pieces, struct guest_err_detail *detail);
    void *state;
};

/*
 * Reads len bytes at offset, through the cache when len is at most a cache page.
 *
 * returns: GUEST_OK; GUEST_ERR_RANGE unless [offset, offset + len) lies inside the blob;
 *          GUEST_ERR_IO
 */
enum guest_err source_read(struct source *src, uint64_t offset, uint64_t len, void *buf,
                           struct guest_err_detail *detail);

/*
 * As source_read, but bytes past the end of the blob read as zeros (an image may end inside its
 * last cluster or table).
 */
enum guest_err source_read_padded(struct source *src, uint64_t offset, uint64_t len, void *buf,
                                  struct guest_err_detail *detail);

/*
 * Takes over the first bytes of the blob that the host sent along, so that probing needs no upcall.
 */
void source_prime(struct source *src, struct span head);

/*
 * Forgets cached pages, after the host has changed the blob.
 */
void source_forget(struct source *src);

/*
 * Makes a source over the host's blob (the cell) or over bytes in memory (hosted).
 *
 * out:     lives until source_free
 * returns: NULL when out of memory
 */
struct source *source_new_hypercall(uint32_t blob, uint64_t size_bytes);
struct source *source_new_buffer(uint32_t blob, const void *data, uint64_t size_bytes);
void source_free(struct source *src);

#endif
