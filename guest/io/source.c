/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The range check in front of every read of image bytes.
 */
#include "guest/io/source.h"

#include <stdlib.h>

#include "guest/io/cache.h"
#include "guest/lib/checked.h"

/* Beyond this a read is not a table walk any more: it goes straight to its destination. */
#define THROUGH_CACHE_MAX (256u * 1024u)

enum guest_err source_read(struct source *src, uint64_t offset, uint64_t len, void *buf,
                           struct guest_err_detail *detail)
{
    if (!range_inside_u64(offset, len, src->size_bytes))
        return err_numbers(detail, GUEST_ERR_RANGE, offset, len, src->size_bytes, 0);
    if (len <= THROUGH_CACHE_MAX)
        return cache_read(src, offset, len, buf, detail);
    struct source_piece piece = {.offset = offset, .len = len, .dst = buf};
    return src->read(src, &piece, 1, detail);
}

enum guest_err source_read_padded(struct source *src, uint64_t offset, uint64_t len, void *buf,
                                  struct guest_err_detail *detail)
{
    uint64_t there = offset < src->size_bytes ? min_u64(len, src->size_bytes - offset) : 0;
    memset((uint8_t *)buf + there, 0, len - there);
    return there ? source_read(src, offset, there, buf, detail) : GUEST_OK;
}

void source_prime(struct source *src, struct span head)
{
    cache_prime(src, head);
}

void source_forget(struct source *src)
{
    cache_forget(src);
}

void source_free(struct source *src)
{
    if (!src)
        return;
    source_free(src->header);
    cache_forget(src);
    free(src);
}
