/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all kinds of endpoints share: references, range checks, the cached size and the cached
 * answer about holes, and writing zeros where a kind cannot do better. Opening is in open.c.
 */
#include "src/io/endpoint.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/endpoint_ops.h"

G_DEFINE_QUARK(instar - endpoint - error, endpoint_error)

int endpoint_errno(const GError *error)
{
    return error != NULL && error->domain == ENDPOINT_ERROR ? error->code : 0;
}

struct endpoint *endpoint_alloc(const struct endpoint_ops *ops, const char *path)
{
    struct endpoint *endpoint = g_new0(struct endpoint, 1);

    endpoint->ops = ops;
    endpoint->refs = 1;
    endpoint->path = g_strdup(path);
    endpoint->alignment = 1;
    endpoint->fd = -1;
    endpoint->buffered_fd = -1;
    g_mutex_init(&endpoint->lock);
    return endpoint;
}

struct endpoint *endpoint_alloc_over(const struct endpoint_ops *ops, struct endpoint *base)
{
    struct endpoint *endpoint = endpoint_alloc(ops, endpoint_path(base));

    endpoint->size_bytes = endpoint_size(base);
    endpoint->from_image = base->from_image;
    endpoint->writable = base->writable;
    endpoint->alignment = base->alignment;
    return endpoint;
}

struct endpoint *endpoint_below(struct endpoint *endpoint)
{
    while (endpoint->ops->below != NULL) {
        endpoint = endpoint->ops->below(endpoint);
    }
    return endpoint;
}

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
    g_atomic_int_inc(&endpoint->refs);
    return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (endpoint == NULL || !g_atomic_int_dec_and_test(&endpoint->refs)) {
        return;
    }
    if (endpoint->ops->free != NULL) {
        endpoint->ops->free(endpoint);
    }
    if (endpoint->buffered_fd >= 0 && endpoint->buffered_fd != endpoint->fd) {
        close(endpoint->buffered_fd);
    }
    if (endpoint->fd >= 0) {
        close(endpoint->fd);
    }
    g_mutex_clear(&endpoint->lock);
    g_free(endpoint->path);
    g_free(endpoint);
}

int endpoint_fd(const struct endpoint *endpoint)
{
    return endpoint->fd;
}

const char *endpoint_path(const struct endpoint *endpoint)
{
    return endpoint->path;
}

char *endpoint_shown_path(const struct endpoint *endpoint)
{
    if (!endpoint->from_image) {
        return g_strdup(endpoint->path);
    }
    return wording_escape_span((const uint8_t *)endpoint->path, strlen(endpoint->path));
}

const char *endpoint_protocol(const struct endpoint *endpoint)
{
    return endpoint->ops->protocol;
}

gboolean endpoint_is_character(const struct endpoint *endpoint)
{
    struct stat what;

    return endpoint->fd >= 0 && fstat(endpoint->fd, &what) == 0 && S_ISCHR(what.st_mode);
}

gboolean endpoint_writable(const struct endpoint *endpoint)
{
    return endpoint->writable;
}

gboolean endpoint_same_file(const struct endpoint *a, const struct endpoint *b)
{
    return a == b || (a->fd >= 0 && b->fd >= 0 && a->dev == b->dev && a->ino == b->ino);
}

uint32_t endpoint_alignment(const struct endpoint *endpoint)
{
    return endpoint->alignment;
}

uint64_t endpoint_load_size(const struct endpoint *endpoint)
{
    return __atomic_load_n(&endpoint->size_bytes, __ATOMIC_RELAXED);
}

void endpoint_store_size(struct endpoint *endpoint, uint64_t size_bytes)
{
    __atomic_store_n(&endpoint->size_bytes, size_bytes, __ATOMIC_RELAXED);
}

void endpoint_note_write(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    uint64_t known = __atomic_load_n(&endpoint->touched_to, __ATOMIC_RELAXED);

    while (known < offset + len &&
           !__atomic_compare_exchange_n(&endpoint->touched_to, &known, offset + len, FALSE,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

uint64_t endpoint_size(struct endpoint *endpoint)
{
    return endpoint_load_size(endpoint);
}

gboolean endpoint_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    return endpoint->ops->allocated != NULL && endpoint->ops->allocated(endpoint, out_bytes);
}

/* File offsets are signed 64-bit numbers to the kernel. */
static gboolean range_ok(uint64_t offset, uint64_t len)
{
    return offset <= INT64_MAX && len <= INT64_MAX - offset;
}

/* A change may move holes, so the cached answer is dropped (after the change, too). */
static void forget_run(struct endpoint *endpoint)
{
    g_mutex_lock(&endpoint->lock);
    endpoint->run_known = FALSE;
    g_mutex_unlock(&endpoint->lock);
}

int endpoint_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    if (len == 0) {
        return 0;
    }
    if (!range_ok(offset, len)) {
        return EINVAL;
    }
    return endpoint->ops->pread(endpoint, offset, buf, len);
}

int endpoint_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                     int iovcnt)
{
    size_t len = 0;
    int err;

    if (!endpoint->writable) {
        return EBADF;
    }
    for (int i = 0; i < iovcnt; i++) {
        if (iov[i].iov_len > SIZE_MAX - len) {
            return EINVAL;
        }
        len += iov[i].iov_len;
    }
    if (len == 0) {
        return 0;
    }
    if (!range_ok(offset, len)) {
        return EFBIG;
    }
    err = endpoint->ops->pwritev(endpoint, offset, iov, iovcnt, len);
    forget_run(endpoint);
    return err;
}

int endpoint_pwrite(struct endpoint *endpoint, uint64_t offset, const void *buf, size_t len)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};

    return endpoint_pwritev(endpoint, offset, &iov, 1);
}

#define ZEROS_BYTES  (256u * 1024)
#define ZEROS_IOVECS 16

static int write_zeros(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    /* In .bss, so that it costs address space only, until it is read. */
    static uint8_t zeros[ZEROS_BYTES] __attribute__((aligned(4096)));
    struct iovec iov[ZEROS_IOVECS];

    while (len > 0) {
        size_t done = 0;
        int nr = 0;
        int err;

        while (nr < ZEROS_IOVECS && done < len) {
            size_t piece = (size_t)MIN(len - done, ZEROS_BYTES);

            iov[nr++] = (struct iovec){.iov_base = zeros, .iov_len = piece};
            done += piece;
        }
        err = endpoint->ops->pwritev(endpoint, offset, iov, nr, done);
        if (err != 0) {
            return err;
        }
        offset += done;
        len -= done;
    }
    return 0;
}

int endpoint_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    int err = EOPNOTSUPP;

    if (!endpoint->writable) {
        return EBADF;
    }
    if (len == 0) {
        return 0;
    }
    if (!range_ok(offset, len)) {
        return EFBIG;
    }
    if (endpoint->ops->zero != NULL) {
        err = endpoint->ops->zero(endpoint, offset, len, unmap);
    }
    if (err == EOPNOTSUPP) {
        err = write_zeros(endpoint, offset, len);
    }
    forget_run(endpoint);
    return err;
}

int endpoint_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    int err;

    if (!endpoint->writable) {
        return EBADF;
    }
    if (len == 0) {
        return 0;
    }
    if (!range_ok(offset, len)) {
        return EINVAL;
    }
    if (endpoint->ops->discard == NULL) {
        return EOPNOTSUPP;
    }
    err = endpoint->ops->discard(endpoint, offset, len);
    forget_run(endpoint);
    return err;
}

int endpoint_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    int err;

    if (!endpoint->writable) {
        return EBADF;
    }
    if (len == 0) {
        return 0;
    }
    if (!range_ok(offset, len)) {
        return EFBIG;
    }
    if (endpoint->ops->allocate == NULL) {
        return EOPNOTSUPP;
    }
    err = endpoint->ops->allocate(endpoint, offset, len);
    forget_run(endpoint);
    return err;
}

int endpoint_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    int err;

    if (!endpoint->writable) {
        return EBADF;
    }
    if (size_bytes > INT64_MAX) {
        return EFBIG;
    }
    if (endpoint->ops->truncate == NULL) {
        return EOPNOTSUPP;
    }
    err = endpoint->ops->truncate(endpoint, size_bytes);
    forget_run(endpoint);
    return err;
}

int endpoint_flush(struct endpoint *endpoint)
{
    if (endpoint->cache.no_flush || !endpoint->writable || endpoint->ops->flush == NULL) {
        return 0;
    }
    return endpoint->ops->flush(endpoint);
}

void endpoint_write_back(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (!endpoint->cache.no_flush && endpoint->writable && endpoint->ops->write_back != NULL &&
        len > 0 && range_ok(offset, len)) {
        endpoint->ops->write_back(endpoint, offset, len);
    }
}

void endpoint_forget(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    if (!endpoint->cache.no_flush && endpoint->ops->forget != NULL && len > 0 &&
        range_ok(offset, len)) {
        endpoint->ops->forget(endpoint, offset, len);
    }
}

int endpoint_copy_range(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                        uint64_t to_offset, uint64_t len)
{
    int err = 0;

    if (from->fd < 0 || to->fd < 0) {
        return EOPNOTSUPP;
    }
    if (!to->writable) {
        return EBADF;
    }
    if (!range_ok(from_offset, len) || !range_ok(to_offset, len)) {
        return EINVAL;
    }
    endpoint_note_write(to, to_offset, len);
    g_mutex_lock(&to->lock);
    while (len > 0) {
        off_t in = (off_t)from_offset;
        off_t out = (off_t)to_offset;
        ssize_t n = copy_file_range(from->fd, &in, to->fd, &out, (size_t)MIN(len, 1u << 30), 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            /* Other devices and file systems, odd descriptors, or a source that ends early. */
            err = n < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT || errno == EFBIG)
                      ? errno
                      : EOPNOTSUPP;
            break;
        }
        from_offset += (uint64_t)n;
        to_offset += (uint64_t)n;
        len -= (uint64_t)n;
        if (to_offset > endpoint_load_size(to)) {
            endpoint_store_size(to, to_offset);
        }
    }
    to->run_known = FALSE;
    g_mutex_unlock(&to->lock);
    return err;
}

static int clone_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t len)
{
    struct file_clone_range range = {
        .src_fd = from,
        .src_offset = from_offset,
        .src_length = len,
        .dest_offset = to_offset,
    };

    return ioctl(to, FICLONERANGE, &range) == 0 ? 0 : errno;
}

gboolean endpoint_can_share(struct endpoint *from, struct endpoint *to)
{
    struct stat one, two;

    /* A range that is no multiple of a block is refused only where blocks could be shared. */
    return from->fd >= 0 && to->fd >= 0 && to->writable && fstat(from->fd, &one) == 0 &&
           fstat(to->fd, &two) == 0 && S_ISREG(one.st_mode) && S_ISREG(two.st_mode) &&
           one.st_dev == two.st_dev && clone_range(from->fd, 1, to->fd, 1, 1) == EINVAL;
}

int endpoint_share_range(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                         uint64_t to_offset, uint64_t len)
{
    int err;

    if (!range_ok(from_offset, len) || !range_ok(to_offset, len) || len == 0) {
        return EINVAL;
    }
    endpoint_note_write(to, to_offset, len);
    g_mutex_lock(&to->lock);
    err = clone_range(from->fd, from_offset, to->fd, to_offset, len);
    if (err == 0 && to_offset + len > endpoint_load_size(to)) {
        endpoint_store_size(to, to_offset + len);
    }
    to->run_known = FALSE;
    g_mutex_unlock(&to->lock);
    return err;
}

int endpoint_status(struct endpoint *endpoint, uint64_t offset, uint64_t len, uint64_t *out_len,
                    gboolean *out_hole)
{
    uint64_t size = endpoint_load_size(endpoint);
    uint64_t run = 0;
    gboolean hole = FALSE;
    int err = 0;

    if (len == 0 || !range_ok(offset, len)) {
        return EINVAL;
    }
    if (offset >= size) {
        *out_len = len;
        *out_hole = TRUE;
        return 0;
    }
    if (endpoint->ops->status == NULL) {
        *out_len = MIN(len, size - offset);
        *out_hole = FALSE;
        return 0;
    }
    g_mutex_lock(&endpoint->lock);
    if (endpoint->run_known && offset >= endpoint->run_start && offset < endpoint->run_end) {
        run = endpoint->run_end - offset;
        hole = endpoint->run_hole;
    } else {
        err = endpoint->ops->status(endpoint, offset, &run, &hole);
        if (err == 0) {
            run = MIN(run, size - offset);
            endpoint->run_known = TRUE;
            endpoint->run_hole = hole;
            endpoint->run_start = offset;
            endpoint->run_end = offset + run;
        }
    }
    g_mutex_unlock(&endpoint->lock);
    if (err != 0) {
        return err;
    }
    *out_len = MIN(run, len);
    *out_hole = hole;
    return 0;
}
