/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers over a descriptor: interrupted and short ones are continued, and where the descriptor
 * is O_DIRECT, what is not aligned takes a detour.
 *
 * Unaligned reads are read as the aligned range around them into a bounce buffer. Unaligned edges
 * of writes to a file go through a second, buffered descriptor of it: no read-modify-write, so
 * that two threads may write neighbouring bytes, and no file that grows to the next block.
 *
 * A device has no lock that keeps its page cache and direct writes apart, as the inode of a file
 * has: a page that one thread dirties while another writes a sector of it directly is an error
 * (EIO at the next flush) or the older content. There an edge is read, changed and written
 * directly, one at a time; what is whole blocks is nobody else's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "src/io/endpoint_ops.h"

#define BOUNCE_BYTES     (1u << 20)
#define MEMORY_ALIGNMENT 4096u
#define MAX_IOVECS       64

static int read_all(int fd, uint64_t offset, uint8_t *buf, size_t len, size_t *out_got)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, buf + got, len - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            /* An O_DIRECT read that goes on from an odd place at the end of the file. */
            if (errno == EINVAL && got > 0) {
                break;
            }
            return errno;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    *out_got = got;
    return 0;
}

static gboolean aligned(uint64_t value, uint32_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

static size_t bounce_size(size_t len)
{
    size_t rounded = (MIN(len, BOUNCE_BYTES) + MEMORY_ALIGNMENT - 1) & ~(MEMORY_ALIGNMENT - 1);

    return MAX(rounded, MEMORY_ALIGNMENT);
}

static int read_bounced(struct endpoint *endpoint, uint64_t offset, uint8_t *buf, size_t len)
{
    uint64_t mask = endpoint->alignment - 1;
    size_t bounce_bytes = bounce_size(len + 2 * endpoint->alignment);
    uint8_t *bounce = aligned_alloc(MEMORY_ALIGNMENT, bounce_bytes);
    int err = 0;

    if (bounce == NULL) {
        return ENOMEM;
    }
    while (len > 0 && err == 0) {
        uint64_t start = offset & ~mask;
        size_t skip = (size_t)(offset - start);
        size_t take = MIN(len, bounce_bytes - skip);
        size_t span = (skip + take + mask) & ~(size_t)mask;
        size_t got = 0;

        err = read_all(endpoint->fd, start, bounce, span, &got);
        if (err == 0) {
            size_t have = got > skip ? MIN(got - skip, take) : 0;

            memcpy(buf, bounce + skip, have);
            memset(buf + have, 0, take - have);
            buf += take;
            offset += take;
            len -= take;
        }
    }
    free(bounce);
    return err;
}

int descriptor_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    uint32_t alignment = endpoint->alignment;
    size_t got = 0;
    int err;

    if (alignment > 1 && !(aligned(offset, alignment) && aligned(len, alignment) &&
                           aligned((uintptr_t)buf, MEMORY_ALIGNMENT))) {
        return read_bounced(endpoint, offset, buf, len);
    }
    err = read_all(endpoint->fd, offset, buf, len, &got);
    if (err == 0 && got < len) {
        memset((uint8_t *)buf + got, 0, len - got);
    }
    return err;
}

/* Writes one range through one descriptor; iov is used up. */
static int write_all(int fd, uint64_t offset, struct iovec *iov, int iovcnt)
{
    while (iovcnt > 0) {
        ssize_t n = pwritev(fd, iov, MIN(iovcnt, IOV_MAX), (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            return ENOSPC;
        }
        offset += (uint64_t)n;
        while (iovcnt > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            iovcnt--;
        }
        if (iovcnt > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

/* A place in an iovec. */
struct iov_cursor {
    const struct iovec *iov;
    size_t at;
};

static void cursor_copy(struct iov_cursor *cursor, uint8_t *to, size_t len)
{
    while (len > 0) {
        size_t take = MIN(len, cursor->iov->iov_len - cursor->at);

        memcpy(to, (const uint8_t *)cursor->iov->iov_base + cursor->at, take);
        to += take;
        len -= take;
        cursor->at += take;
        if (cursor->at == cursor->iov->iov_len) {
            cursor->iov++;
            cursor->at = 0;
        }
    }
}

/* Changes a part of one block of a device. */
static int write_edge(struct endpoint *endpoint, uint64_t offset, const uint8_t *buf, size_t len)
{
    static GMutex one_at_a_time;
    uint64_t start = offset & ~(uint64_t)(endpoint->alignment - 1);
    uint8_t *block = aligned_alloc(MEMORY_ALIGNMENT, MEMORY_ALIGNMENT);
    struct iovec piece = {.iov_base = block, .iov_len = endpoint->alignment};
    size_t got = 0;
    int err;

    if (block == NULL) {
        return ENOMEM;
    }
    g_mutex_lock(&one_at_a_time);
    err = read_all(endpoint->fd, start, block, endpoint->alignment, &got);
    if (err == 0 && got < endpoint->alignment) {
        err = EIO;
    }
    if (err == 0) {
        memcpy(block + (offset - start), buf, len);
        err = write_all(endpoint->fd, start, &piece, 1);
    }
    g_mutex_unlock(&one_at_a_time);
    free(block);
    return err;
}

static gboolean is_block_device(const struct endpoint *endpoint)
{
    return endpoint->ops == &host_device_ops &&
           endpoint_load_size((struct endpoint *)endpoint) != 0;
}

/* Everything through an aligned buffer: aligned pieces direct, the rest by a detour. */
static int write_bounced(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                         size_t len)
{
    uint64_t mask = endpoint->alignment - 1;
    size_t bounce_bytes = bounce_size(len);
    uint8_t *bounce = aligned_alloc(MEMORY_ALIGNMENT, bounce_bytes);
    struct iov_cursor cursor = {iov, 0};
    int err = 0;

    if (bounce == NULL) {
        return ENOMEM;
    }
    while (len > 0 && err == 0) {
        gboolean direct = (offset & mask) == 0 && len > mask;
        size_t take = direct ? MIN(len & ~(size_t)mask, bounce_bytes)
                             : MIN(len, (size_t)(mask + 1 - (offset & mask)));
        struct iovec piece = {.iov_base = bounce, .iov_len = take};

        cursor_copy(&cursor, bounce, take);
        if (!direct && is_block_device(endpoint)) {
            err = write_edge(endpoint, offset, bounce, take);
        } else {
            err = write_all(direct ? endpoint->fd : endpoint->buffered_fd, offset, &piece, 1);
        }
        offset += take;
        len -= take;
    }
    free(bounce);
    return err;
}

static gboolean iov_aligned(const struct endpoint *endpoint, uint64_t offset,
                            const struct iovec *iov, int iovcnt)
{
    if (endpoint->alignment <= 1) {
        return TRUE;
    }
    if (!aligned(offset, endpoint->alignment)) {
        return FALSE;
    }
    for (int i = 0; i < iovcnt; i++) {
        if (!aligned((uintptr_t)iov[i].iov_base, MEMORY_ALIGNMENT) ||
            !aligned(iov[i].iov_len, endpoint->alignment)) {
            return FALSE;
        }
    }
    return TRUE;
}

static int write_range(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                       int iovcnt, size_t len)
{
    struct iovec local[MAX_IOVECS];
    g_autofree struct iovec *heap = NULL;
    struct iovec *copy = local;

    if (!iov_aligned(endpoint, offset, iov, iovcnt)) {
        return write_bounced(endpoint, offset, iov, len);
    }
    if (iovcnt > MAX_IOVECS) {
        heap = g_new(struct iovec, iovcnt);
        copy = heap;
    }
    memcpy(copy, iov, (size_t)iovcnt * sizeof(*iov));
    return write_all(endpoint->fd, offset, copy, iovcnt);
}

/*
 * Growing takes the lock, so that a truncate that grows (file.c) never cuts off what another thread
 * has just written past the end.
 */
int descriptor_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                       int iovcnt, size_t len)
{
    int err;

    endpoint_note_write(endpoint, offset, len);
    if (offset + len <= endpoint_load_size(endpoint)) {
        reserve_inside(endpoint, offset, len);
        return write_range(endpoint, offset, iov, iovcnt, len);
    }
    g_mutex_lock(&endpoint->lock);
    reserve_growth(endpoint, offset, len);
    err = write_range(endpoint, offset, iov, iovcnt, len);
    if (err == 0 && offset + len > endpoint_load_size(endpoint)) {
        endpoint_store_size(endpoint, offset + len);
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

int descriptor_flush(struct endpoint *endpoint)
{
    while (fdatasync(endpoint->fd) != 0) {
        if (errno != EINTR) {
            /* Some devices cannot be flushed, which is no failure to write. */
            return errno == EINVAL || errno == EROFS ? 0 : errno;
        }
    }
    return 0;
}

/* With O_DIRECT there is nothing in the page cache but odd ends. */
void descriptor_write_back(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (!endpoint->cache.direct) {
        sync_file_range(endpoint->fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
    }
}

int descriptor_fallocate(struct endpoint *endpoint, int mode, uint64_t offset, uint64_t len)
{
    while (fallocate(endpoint->fd, mode, (off_t)offset, (off_t)len) != 0) {
        if (errno == ENOSYS) {
            return EOPNOTSUPP;
        }
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

uint32_t descriptor_direct_alignment(int fd)
{
    uint8_t *probe = aligned_alloc(MEMORY_ALIGNMENT, MEMORY_ALIGNMENT);
    uint32_t alignment;

    for (alignment = 512; probe != NULL && alignment < MEMORY_ALIGNMENT; alignment *= 2) {
        if (pread(fd, probe, alignment, 0) >= 0 || errno != EINVAL) {
            break;
        }
    }
    free(probe);
    return alignment;
}
