/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices (and character devices, which have no size). A device does not grow, and reports
 * no holes: all of it is data.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "src/io/endpoint_ops.h"

int host_device_size(int fd, uint64_t *out_bytes)
{
    uint64_t size;
    off_t end;

    if (ioctl(fd, BLKGETSIZE64, &size) == 0) {
        *out_bytes = size;
        return 0;
    }
    end = lseek(fd, 0, SEEK_END);
    if (end < 0) {
        return errno;
    }
    *out_bytes = (uint64_t)end;
    return 0;
}

static int device_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                          int iovcnt, size_t len)
{
    uint64_t size = endpoint_load_size(endpoint);

    if (size != 0 && (offset > size || len > size - offset) && !endpoint_is_character(endpoint)) {
        return ENOSPC;
    }
    return descriptor_pwritev(endpoint, offset, iov, iovcnt, len);
}

/*
 * BLKZEROOUT and BLKDISCARD want whole sectors. Through fallocate the kernel also keeps its page
 * cache in step, so that comes first.
 */
static int device_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    uint64_t range[2] = {offset, len};
    uint64_t size = endpoint_load_size(endpoint);
    int mode = (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
    int err;

    if ((offset > size || len > size - offset) && !endpoint_is_character(endpoint)) {
        return ENOSPC;
    }
    err = descriptor_fallocate(endpoint, mode, offset, len);
    if (err == 0) {
        return 0;
    }
    return ioctl(endpoint->fd, BLKZEROOUT, range) == 0 ? 0 : EOPNOTSUPP;
}

static int device_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    uint64_t size = endpoint_load_size(endpoint);
    uint64_t range[2] = {offset, len};

    if (offset >= size) {
        return 0;
    }
    range[1] = MIN(len, size - offset);
    if (ioctl(endpoint->fd, BLKDISCARD, range) == 0) {
        return 0;
    }
    return errno == ENOTTY || errno == EINVAL ? EOPNOTSUPP : errno;
}

/* A device has the size it has: asking for less is fine, asking for more is not. */
static int device_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return size_bytes <= endpoint_load_size(endpoint) ? 0 : EINVAL;
}

static gboolean device_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    struct stat st;

    if (fstat(endpoint->fd, &st) != 0) {
        return FALSE;
    }
    *out_bytes = (uint64_t)st.st_blocks * 512;
    return TRUE;
}

const struct endpoint_ops host_device_ops = {
    .protocol = "host_device",
    .pread = descriptor_pread,
    .pwritev = device_pwritev,
    .zero = device_zero,
    .discard = device_discard,
    .truncate = device_truncate,
    .flush = descriptor_flush,
    .write_back = descriptor_write_back,
    .allocated = device_allocated,
};
