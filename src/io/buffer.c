/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint in memory, for tests: it grows like a file, counts the calls and can be told to fail.
 * Holes are kept at 4 KiB granularity, as a file system would.
 */
#include <errno.h>
#include <string.h>

#include "src/io/endpoint_ops.h"

#define BLOCK 4096u

struct buffer {
    GByteArray *bytes;
    GByteArray *present; /* one byte a block: written and not zeroed since */
    struct endpoint_counts counts;
    struct {
        uint64_t offset;
        int error_number;
    } fail[2]; /* read, write */
};

static const struct endpoint_ops buffer_ops;

static struct buffer *buffer_of(struct endpoint *endpoint)
{
    g_assert(endpoint->ops == &buffer_ops);
    return endpoint->private_data;
}

static int failure(const struct buffer *buffer, gboolean write, uint64_t offset, uint64_t len)
{
    uint64_t at = buffer->fail[write].offset;

    return at >= offset && at - offset < len ? buffer->fail[write].error_number : 0;
}

static void set_length(struct endpoint *endpoint, uint64_t size_bytes)
{
    struct buffer *buffer = buffer_of(endpoint);
    guint old = buffer->bytes->len;
    guint old_blocks = buffer->present->len;

    g_assert(size_bytes <= G_MAXUINT / 2);
    g_byte_array_set_size(buffer->bytes, (guint)size_bytes);
    g_byte_array_set_size(buffer->present, (guint)((size_bytes + BLOCK - 1) / BLOCK));
    if (buffer->bytes->len > old) {
        memset(buffer->bytes->data + old, 0, buffer->bytes->len - old);
    }
    if (buffer->present->len > old_blocks) {
        memset(buffer->present->data + old_blocks, 0, buffer->present->len - old_blocks);
    }
    endpoint_store_size(endpoint, size_bytes);
}

static int buffer_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    struct buffer *buffer = buffer_of(endpoint);
    int err;

    g_mutex_lock(&endpoint->lock);
    buffer->counts.reads++;
    err = failure(buffer, FALSE, offset, len);
    memset(buf, 0, len);
    if (err == 0 && offset < buffer->bytes->len) {
        memcpy(buf, buffer->bytes->data + offset, MIN(len, buffer->bytes->len - offset));
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

static int buffer_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                          int iovcnt, size_t len)
{
    struct buffer *buffer = buffer_of(endpoint);
    int err;

    g_mutex_lock(&endpoint->lock);
    buffer->counts.writes++;
    err = failure(buffer, TRUE, offset, len);
    if (err == 0) {
        if (offset + len > buffer->bytes->len) {
            set_length(endpoint, offset + len);
        }
        memset(buffer->present->data + offset / BLOCK, 1,
               (offset + len - 1) / BLOCK - offset / BLOCK + 1);
        for (int i = 0; i < iovcnt; i++) {
            memcpy(buffer->bytes->data + offset, iov[i].iov_base, iov[i].iov_len);
            offset += iov[i].iov_len;
        }
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

static int buffer_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    struct buffer *buffer = buffer_of(endpoint);
    int err;

    g_mutex_lock(&endpoint->lock);
    buffer->counts.zeroes++;
    err = failure(buffer, TRUE, offset, len);
    if (err == 0) {
        uint64_t first = (offset + BLOCK - 1) / BLOCK;
        uint64_t end = (offset + len) / BLOCK;

        if (offset + len > buffer->bytes->len) {
            set_length(endpoint, offset + len);
        }
        memset(buffer->bytes->data + offset, 0, len);
        if (end > first) {
            memset(buffer->present->data + first, !unmap, end - first);
        }
    }
    g_mutex_unlock(&endpoint->lock);
    return err;
}

static int buffer_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    struct buffer *buffer = buffer_of(endpoint);

    g_mutex_lock(&endpoint->lock);
    buffer->counts.discards++;
    g_mutex_unlock(&endpoint->lock);
    return 0;
}

static int buffer_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    g_mutex_lock(&endpoint->lock);
    if (offset + len > endpoint->size_bytes) {
        set_length(endpoint, offset + len);
    }
    g_mutex_unlock(&endpoint->lock);
    return 0;
}

static int buffer_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    g_mutex_lock(&endpoint->lock);
    buffer_of(endpoint)->counts.truncates++;
    set_length(endpoint, size_bytes);
    g_mutex_unlock(&endpoint->lock);
    return 0;
}

static int buffer_flush(struct endpoint *endpoint)
{
    g_mutex_lock(&endpoint->lock);
    buffer_of(endpoint)->counts.flushes++;
    g_mutex_unlock(&endpoint->lock);
    return 0;
}

/* Called under the lock. */
static int buffer_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                         gboolean *out_hole)
{
    const struct buffer *buffer = buffer_of(endpoint);
    uint64_t block = offset / BLOCK;
    uint8_t present = buffer->present->data[block];

    while (block < buffer->present->len && buffer->present->data[block] == present) {
        block++;
    }
    *out_len = block * BLOCK - offset;
    *out_hole = !present;
    return 0;
}

static gboolean buffer_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    const struct buffer *buffer = buffer_of(endpoint);

    *out_bytes = 0;
    for (guint i = 0; i < buffer->present->len; i++) {
        *out_bytes += buffer->present->data[i] ? BLOCK : 0;
    }
    return TRUE;
}

static void buffer_free(struct endpoint *endpoint)
{
    struct buffer *buffer = buffer_of(endpoint);

    g_byte_array_unref(buffer->bytes);
    g_byte_array_unref(buffer->present);
    g_free(buffer);
}

static const struct endpoint_ops buffer_ops = {
    .protocol = "buffer",
    .pread = buffer_pread,
    .pwritev = buffer_pwritev,
    .zero = buffer_zero,
    .discard = buffer_discard,
    .allocate = buffer_allocate,
    .truncate = buffer_truncate,
    .flush = buffer_flush,
    .status = buffer_status,
    .allocated = buffer_allocated,
    .free = buffer_free,
};

struct endpoint *endpoint_new_buffer(const void *data, uint64_t size_bytes)
{
    struct endpoint *endpoint = endpoint_alloc(&buffer_ops, "buffer");
    struct buffer *buffer = g_new0(struct buffer, 1);

    buffer->bytes = g_byte_array_new();
    buffer->present = g_byte_array_new();
    endpoint->private_data = buffer;
    endpoint->writable = TRUE;
    set_length(endpoint, size_bytes);
    if (data != NULL && size_bytes > 0) {
        memcpy(buffer->bytes->data, data, size_bytes);
        memset(buffer->present->data, 1, buffer->present->len);
    }
    return endpoint;
}

struct endpoint_counts endpoint_buffer_counts(struct endpoint *endpoint)
{
    return buffer_of(endpoint)->counts;
}

void endpoint_buffer_fail(struct endpoint *endpoint, gboolean write, uint64_t offset,
                          int error_number)
{
    struct buffer *buffer = buffer_of(endpoint);

    buffer->fail[write != FALSE].offset = offset;
    buffer->fail[write != FALSE].error_number = error_number;
}
