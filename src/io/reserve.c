/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks for long writes, asked for ahead of them.
 *
 * ext4 finds out for each block of a buffered write anew that it has none, and books one; that
 * costs more than copying the bytes does. A range that fallocate has given blocks to costs one
 * lookup. Measured on ext4: writing takes two thirds of the time. File systems that book whole
 * extents, or pages, gain nothing by it and are left alone.
 *
 * Nothing depends on it: what is reserved reads as zeros, lies under a write that follows at once
 * or behind the end of the file, and the file's end is trimmed when it is closed. Where fallocate
 * says no, the write tells why.
 */
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "src/io/endpoint_ops.h"

#define RESERVE_LEAST (512u << 10) /* shorter writes gain less than the call costs */
#define RESERVE_AHEAD (16ull << 20)
#define RESERVE_FREE                                                                               \
    (1ull << 30) /* of the file system: on a fuller one nobody takes ahead of need */

void reserve_begin(struct endpoint *endpoint, const struct stat *st)
{
    endpoint->reserves =
        endpoint->writable && !endpoint->cache.direct ? RESERVE_UNKNOWN : RESERVE_NEVER;
    endpoint->sparse = (uint64_t)st->st_blocks * 512 <= (uint64_t)st->st_size / 2;
}

static gboolean gains(const struct endpoint *endpoint)
{
    struct statfs fs;

    return fstatfs(endpoint->fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC &&
           (uint64_t)fs.f_bavail >= RESERVE_FREE / (uint64_t)fs.f_bsize;
}

/* Asked by the first long write. Two threads may ask at once, and find the same. */
static gboolean reserves(struct endpoint *endpoint)
{
    int now = g_atomic_int_get(&endpoint->reserves);

    if (now == RESERVE_UNKNOWN) {
        now = gains(endpoint) ? RESERVE_BLOCKS : RESERVE_NEVER;
        g_atomic_int_set(&endpoint->reserves, now);
    }
    return now == RESERVE_BLOCKS;
}

static void reserve(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (descriptor_fallocate(endpoint, FALLOC_FL_KEEP_SIZE, offset, len) != 0) {
        g_atomic_int_set(&endpoint->reserves, RESERVE_NEVER);
    }
}

void reserve_inside(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (endpoint->sparse && len >= RESERVE_LEAST && reserves(endpoint)) {
        reserve(endpoint, offset, len);
    }
}

void reserve_growth(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    uint64_t from = MAX(offset, endpoint->reserved_to), end = offset + len;

    if (end <= from || end < RESERVE_LEAST || !reserves(endpoint)) {
        return;
    }
    /* A quarter of what there is, so that a small file is not made a large one. */
    endpoint->reserved_to = end + MIN(end / 4, RESERVE_AHEAD);
    reserve(endpoint, from, endpoint->reserved_to - from);
}

void reserve_end(struct endpoint *endpoint)
{
    uint64_t size = endpoint_load_size(endpoint);

    if (endpoint->reserved_to > size) {
        (void)ftruncate(endpoint->fd, (off_t)size);
    }
}
