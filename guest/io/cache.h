/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of table pages behind source_read: one for all sources of a cell.
 */
#ifndef INSTAR_GUEST_IO_CACHE_H
#define INSTAR_GUEST_IO_CACHE_H

#include "guest/io/source.h"

#define CACHE_PAGE_BYTES 16384u

/*
 * Reads [offset, offset + len) through the cache. Pages that are missing are fetched in one batched
 * read; a source that is read in order is read ahead, twice as far each time, up to 64 pages.
 *
 * in:      the range lies inside the source
 * returns: GUEST_OK, GUEST_ERR_IO, GUEST_ERR_NO_MEMORY
 */
enum guest_err cache_read(struct source *src, uint64_t offset, uint64_t len, void *buf,
                          struct guest_err_detail *detail);

/*
 * Puts the first bytes of a source into the cache, so that reads inside them need no upcall. No
 * effect when there is no memory for it.
 *
 * in:      head: at most CACHE_PAGE_BYTES and no more than the source has
 */
void cache_prime(struct source *src, struct span head);

/* Drops every page of a source. */
void cache_forget(struct source *src);

#endif
