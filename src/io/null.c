/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint that reads as zeros and forgets what is written ("null-co").
 */
#include <errno.h>
#include <string.h>

#include "src/io/endpoint_ops.h"

struct null_state {
    uint64_t latency_nsecs;
};

/* Requests take as long as they are told to. */
static void take_time(const struct endpoint *endpoint)
{
    guint64 nsecs = ((const struct null_state *)endpoint->private_data)->latency_nsecs;

    if (nsecs > 0) {
        g_usleep((gulong)((nsecs + 999) / 1000));
    }
}

static int null_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    memset(buf, 0, len);
    take_time(endpoint);
    return 0;
}

static int null_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                        int iovcnt, size_t len)
{
    take_time(endpoint);
    return 0;
}

static int null_range(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    return 0;
}

static int null_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    return 0;
}

/* As stock: the size stays what it was given as. */
static int null_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return size_bytes <= endpoint_load_size(endpoint) ? 0 : ENOTSUP;
}

static int null_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                       gboolean *out_hole)
{
    *out_len = endpoint_load_size(endpoint) - offset;
    *out_hole = TRUE;
    return 0;
}

static gboolean null_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    *out_bytes = 0;
    return TRUE;
}

static void null_free(struct endpoint *endpoint)
{
    g_free(endpoint->private_data);
}

static const struct endpoint_ops null_ops = {
    .protocol = "null-co",
    .pread = null_pread,
    .pwritev = null_pwritev,
    .zero = null_zero,
    .discard = null_range,
    .allocate = null_range,
    .truncate = null_truncate,
    .status = null_status,
    .allocated = null_allocated,
    .free = null_free,
};

struct endpoint *endpoint_new_null(uint64_t size_bytes, uint64_t latency_nsecs)
{
    struct endpoint *endpoint = endpoint_alloc(&null_ops, "null-co://");
    struct null_state *state = g_new0(struct null_state, 1);

    state->latency_nsecs = latency_nsecs;
    endpoint->private_data = state;
    endpoint->size_bytes = size_bytes;
    endpoint->writable = TRUE;
    return endpoint;
}
