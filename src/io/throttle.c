/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint that lets requests wait until their group may carry them out ("throttle").
 *
 * Each limit has a moment up to which its rate is used up. A request moves that moment by what it
 * takes, and waits as far as it lies further ahead than a burst allows.
 */
#include "compat/throttle.h"

#include <errno.h>

#include "src/io/endpoint_ops.h"

/* Without a burst rate a tenth of a second may be used at once. */
#define BURST_USECS 100000.0

struct throttle_state {
    struct endpoint *base;
    struct throttle_group group; /* a copy, without the id */
    GMutex lock;
    gdouble used_up[THROTTLE_NR]; /* in microseconds of the monotonic clock */
};

static struct throttle_state *state_of(struct endpoint *endpoint)
{
    return endpoint->private_data;
}

static gdouble burst_usecs(const struct throttle_limit *limit)
{
    if (limit->burst_rate == 0) {
        return BURST_USECS;
    }
    return (gdouble)limit->burst_rate / (gdouble)limit->rate * (gdouble)limit->burst_seconds *
           G_USEC_PER_SEC;
}

/* Lock held. Returns how long a request of so many units must wait, in microseconds. */
static gdouble use(struct throttle_state *state, enum throttle_kind kind, gdouble units,
                   gdouble now)
{
    const struct throttle_limit *limit = &state->group.limits[kind];
    gdouble ahead;

    if (limit->rate == 0) {
        return 0;
    }
    ahead = MAX(state->used_up[kind], now) - now - burst_usecs(limit);
    state->used_up[kind] =
        MAX(state->used_up[kind], now) + units * G_USEC_PER_SEC / (gdouble)limit->rate;
    return MAX(ahead, 0);
}

static void wait_for(struct endpoint *endpoint, gboolean write, uint64_t len)
{
    struct throttle_state *state = state_of(endpoint);
    uint64_t unit = state->group.iops_size;
    gdouble requests = unit != 0 && len > unit ? (gdouble)len / (gdouble)unit : 1;
    gdouble now = (gdouble)g_get_monotonic_time(), usecs;

    g_mutex_lock(&state->lock);
    usecs = use(state, THROTTLE_BPS_TOTAL, (gdouble)len, now);
    usecs =
        MAX(usecs, use(state, write ? THROTTLE_BPS_WRITE : THROTTLE_BPS_READ, (gdouble)len, now));
    usecs = MAX(usecs, use(state, THROTTLE_IOPS_TOTAL, requests, now));
    usecs = MAX(usecs, use(state, write ? THROTTLE_IOPS_WRITE : THROTTLE_IOPS_READ, requests, now));
    g_mutex_unlock(&state->lock);
    if (usecs > 0) {
        g_usleep((gulong)usecs);
    }
}

static int settle(struct endpoint *endpoint, int err)
{
    endpoint_store_size(endpoint, endpoint_size(state_of(endpoint)->base));
    return err;
}

static int throttle_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    wait_for(endpoint, FALSE, len);
    return endpoint_pread(state_of(endpoint)->base, offset, buf, len);
}

static int throttle_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                            int iovcnt, size_t len)
{
    wait_for(endpoint, TRUE, len);
    return settle(endpoint, endpoint_pwritev(state_of(endpoint)->base, offset, iov, iovcnt));
}

static int throttle_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    wait_for(endpoint, TRUE, len);
    return settle(endpoint, endpoint_zero(state_of(endpoint)->base, offset, len, unmap));
}

static int throttle_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    wait_for(endpoint, TRUE, len);
    return endpoint_discard(state_of(endpoint)->base, offset, len);
}

static int throttle_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    return settle(endpoint, endpoint_allocate(state_of(endpoint)->base, offset, len));
}

static int throttle_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return settle(endpoint, endpoint_truncate(state_of(endpoint)->base, size_bytes));
}

static int throttle_flush(struct endpoint *endpoint)
{
    return endpoint_flush(state_of(endpoint)->base);
}

static int throttle_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                           gboolean *out_hole)
{
    return endpoint_status(state_of(endpoint)->base, offset, endpoint_load_size(endpoint) - offset,
                           out_len, out_hole);
}

static gboolean throttle_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    return endpoint_allocated(state_of(endpoint)->base, out_bytes);
}

static struct endpoint *throttle_below(struct endpoint *endpoint)
{
    return state_of(endpoint)->base;
}

static void throttle_free(struct endpoint *endpoint)
{
    struct throttle_state *state = state_of(endpoint);

    endpoint_unref(state->base);
    g_mutex_clear(&state->lock);
    g_free(state);
}

static const struct endpoint_ops throttle_ops = {
    .protocol = "throttle",
    .pread = throttle_pread,
    .pwritev = throttle_pwritev,
    .zero = throttle_zero,
    .discard = throttle_discard,
    .allocate = throttle_allocate,
    .truncate = throttle_truncate,
    .flush = throttle_flush,
    .status = throttle_status,
    .allocated = throttle_allocated,
    .below = throttle_below,
    .free = throttle_free,
};

struct endpoint *endpoint_new_throttle(struct endpoint *base, const struct throttle_group *group)
{
    struct endpoint *endpoint = endpoint_alloc_over(&throttle_ops, base);
    struct throttle_state *state = g_new0(struct throttle_state, 1);

    state->base = endpoint_ref(base);
    state->group = *group;
    state->group.id = NULL;
    g_mutex_init(&state->lock);
    endpoint->private_data = state;
    return endpoint;
}
