/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window onto another endpoint: the raw format's `offset` and `size`.
 */
#include <errno.h>
#include <string.h>

#include "src/io/endpoint_ops.h"

struct slice_state {
    struct endpoint *base;
    uint64_t offset;
};

static const struct endpoint_ops slice_ops;

static struct slice_state *state_of(struct endpoint *endpoint)
{
    return endpoint->private_data;
}

static gboolean inside(const struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    return offset <= endpoint->size_bytes && len <= endpoint->size_bytes - offset;
}

static int slice_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    struct slice_state *state = state_of(endpoint);
    uint64_t size = endpoint->size_bytes;
    size_t have = offset < size ? (size_t)MIN(len, size - offset) : 0;

    memset((uint8_t *)buf + have, 0, len - have);
    return endpoint_pread(state->base, state->offset + offset, buf, have);
}

static int slice_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                         int iovcnt, size_t len)
{
    struct slice_state *state = state_of(endpoint);

    if (!inside(endpoint, offset, len)) {
        return ENOSPC;
    }
    return endpoint_pwritev(state->base, state->offset + offset, iov, iovcnt);
}

static int slice_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    struct slice_state *state = state_of(endpoint);

    if (!inside(endpoint, offset, len)) {
        return ENOSPC;
    }
    return endpoint_zero(state->base, state->offset + offset, len, unmap);
}

static int slice_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    struct slice_state *state = state_of(endpoint);

    if (!inside(endpoint, offset, len)) {
        return EINVAL;
    }
    return endpoint_discard(state->base, state->offset + offset, len);
}

static int slice_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return size_bytes <= endpoint->size_bytes ? 0 : ENOTSUP;
}

static int slice_flush(struct endpoint *endpoint)
{
    return endpoint_flush(state_of(endpoint)->base);
}

static int slice_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                        gboolean *out_hole)
{
    struct slice_state *state = state_of(endpoint);

    return endpoint_status(state->base, state->offset + offset, endpoint->size_bytes - offset,
                           out_len, out_hole);
}

static gboolean slice_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    return endpoint_allocated(state_of(endpoint)->base, out_bytes);
}

static void slice_free(struct endpoint *endpoint)
{
    endpoint_unref(state_of(endpoint)->base);
    g_free(endpoint->private_data);
}

static const struct endpoint_ops slice_ops = {
    .protocol = "raw",
    .pread = slice_pread,
    .pwritev = slice_pwritev,
    .zero = slice_zero,
    .discard = slice_discard,
    .truncate = slice_truncate,
    .flush = slice_flush,
    .status = slice_status,
    .allocated = slice_allocated,
    .free = slice_free,
};

struct endpoint *endpoint_new_slice(struct endpoint *base, uint64_t offset, uint64_t size_bytes)
{
    struct endpoint *endpoint = endpoint_alloc_over(&slice_ops, base);
    struct slice_state *state = g_new0(struct slice_state, 1);

    state->base = endpoint_ref(base);
    state->offset = offset;
    endpoint->private_data = state;
    endpoint->size_bytes = size_bytes;
    return endpoint;
}

struct endpoint *endpoint_unslice(struct endpoint *endpoint, uint64_t *offset)
{
    while (endpoint->ops == &slice_ops) {
        *offset += state_of(endpoint)->offset;
        endpoint = state_of(endpoint)->base;
    }
    return endpoint;
}
