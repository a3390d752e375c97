/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files.
 *
 * What grows a file without writing to it (zeroes and truncates past the end) takes the lock, as
 * writes past the end do (descriptor.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "src/io/endpoint_ops.h"

static int set_size(struct endpoint *endpoint, uint64_t size_bytes)
{
    while (ftruncate(endpoint->fd, (off_t)size_bytes) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    if (size_bytes < endpoint_load_size(endpoint)) {
        endpoint->reserved_to = 0; /* cut off with the rest */
    }
    endpoint_store_size(endpoint, size_bytes);
    return 0;
}

static int grow(struct endpoint *endpoint, uint64_t end)
{
    return end > endpoint_load_size(endpoint) ? set_size(endpoint, end) : 0;
}

static int file_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    int err;

    g_mutex_lock(&endpoint->lock);
    err = set_size(endpoint, size_bytes);
    g_mutex_unlock(&endpoint->lock);
    return err;
}

/* fallocate modes differ in what file systems support; each "no" is remembered. */
static int try_mode(struct endpoint *endpoint, gboolean *unsupported, int mode, uint64_t offset,
                    uint64_t len)
{
    int err;

    if (*unsupported) {
        return EOPNOTSUPP;
    }
    err = descriptor_fallocate(endpoint, mode, offset, len);
    if (err == EOPNOTSUPP) {
        *unsupported = TRUE;
    }
    return err;
}

static int zero_inside(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    int err = EOPNOTSUPP;

    /* Punching costs as much as a write, also where nothing was ever written. */
    if (unmap && offset >= __atomic_load_n(&endpoint->touched_to, __ATOMIC_RELAXED)) {
        return 0;
    }
    if (unmap) {
        err = try_mode(endpoint, &endpoint->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       offset, len);
    }
    if (err == EOPNOTSUPP) {
        err = try_mode(endpoint, &endpoint->no_zero_range,
                       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, len);
    }
    return err;
}

static int file_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    uint64_t end = offset + len;
    uint64_t size = endpoint_load_size(endpoint);
    int err = 0;

    if (end <= size) {
        return zero_inside(endpoint, offset, len, unmap);
    }
    g_mutex_lock(&endpoint->lock);
    size = endpoint_load_size(endpoint);
    if (offset < size) {
        err = zero_inside(endpoint, offset, MIN(end, size) - offset, unmap);
    }
    if (err == 0) {
        err = grow(endpoint, end); /* what ftruncate adds reads as zeros */
    }
    if (err == 0 && !unmap && end > size) {
        /* The caller wants blocks behind its zeros; a file system without fallocate has none. */
        uint64_t start = MAX(offset, size);

        err = descriptor_fallocate(endpoint, FALLOC_FL_KEEP_SIZE, start, end - start);
        if (err == EOPNOTSUPP) {
            err = 0;
        }
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

static int file_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    uint64_t size = endpoint_load_size(endpoint);

    if (offset >= size) {
        return 0;
    }
    return try_mode(endpoint, &endpoint->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    offset, MIN(len, size - offset));
}

static int file_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    int err;

    g_mutex_lock(&endpoint->lock);
    do {
        err = posix_fallocate(endpoint->fd, (off_t)offset, (off_t)len);
    } while (err == EINTR);
    if (err == 0 && offset + len > endpoint_load_size(endpoint)) {
        endpoint_store_size(endpoint, offset + len);
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

static int file_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                       gboolean *out_hole)
{
    uint64_t size = endpoint_load_size(endpoint);
    off_t data = lseek(endpoint->fd, (off_t)offset, SEEK_DATA);
    off_t hole;

    *out_len = size - offset;
    if (data < 0) {
        /* ENXIO: no data up to the end. Anything else: the file system cannot tell. */
        *out_hole = errno == ENXIO;
        return 0;
    }
    if ((uint64_t)data > offset) {
        *out_hole = TRUE;
        *out_len = (uint64_t)data - offset;
        return 0;
    }
    *out_hole = FALSE;
    hole = lseek(endpoint->fd, (off_t)offset, SEEK_HOLE);
    if (hole > (off_t)offset) {
        *out_len = (uint64_t)hole - offset;
    }
    return 0;
}

static gboolean file_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    struct stat st;

    if (fstat(endpoint->fd, &st) != 0) {
        return FALSE;
    }
    *out_bytes = (uint64_t)st.st_blocks * 512;
    return TRUE;
}

/* What is dirty is begun with instead, as the flush before the blocks are freed would do. */
static void file_forget(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (!endpoint->cache.direct) {
        (void)posix_fadvise(endpoint->fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
    }
}

const struct endpoint_ops file_ops = {
    .protocol = "file",
    .pread = descriptor_pread,
    .pwritev = descriptor_pwritev,
    .zero = file_zero,
    .discard = file_discard,
    .allocate = file_allocate,
    .truncate = file_truncate,
    .flush = descriptor_flush,
    .write_back = descriptor_write_back,
    .forget = file_forget,
    .status = file_status,
    .allocated = file_allocated,
    .free = reserve_end,
};
