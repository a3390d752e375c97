/* SPDX-License-Identifier: Apache-2.0 */
#include "src/io/blkdebug.h"

#include <errno.h>
#include <string.h>

#include "src/io/endpoint_ops.h"

struct debug_state {
    struct endpoint *base;
    GMutex lock;
    GArray *rules;  /* of struct blkdebug_rule */
    GArray *active; /* of guint, indices of rules; the newest last */
    uint64_t state;
};

static __thread gboolean tables;

gboolean blkdebug_say_tables(gboolean now)
{
    gboolean before = tables;

    tables = now;
    return before;
}

/* ---- names ---- */

/* source: names accepted by stock 11.1, tried one by one */
static const struct {
    const char *name;
    enum blkdebug_event event;
} events[] = {
    {"l1_update", BLKDEBUG_NEVER},
    {"l1_grow_alloc_table", BLKDEBUG_NEVER},
    {"l1_grow_write_table", BLKDEBUG_NEVER},
    {"l1_grow_activate_table", BLKDEBUG_NEVER},
    {"l2_load", BLKDEBUG_NEVER},
    {"l2_update", BLKDEBUG_NEVER},
    {"l2_update_compressed", BLKDEBUG_NEVER},
    {"l2_alloc_cow_read", BLKDEBUG_NEVER},
    {"l2_alloc_write", BLKDEBUG_NEVER},
    {"read_aio", BLKDEBUG_READ_AIO},
    {"read_backing_aio", BLKDEBUG_NEVER},
    {"read_compressed", BLKDEBUG_NEVER},
    {"write_aio", BLKDEBUG_WRITE_AIO},
    {"write_compressed", BLKDEBUG_NEVER},
    {"vmstate_load", BLKDEBUG_NEVER},
    {"vmstate_save", BLKDEBUG_NEVER},
    {"cow_read", BLKDEBUG_NEVER},
    {"cow_write", BLKDEBUG_NEVER},
    {"reftable_load", BLKDEBUG_NEVER},
    {"reftable_grow", BLKDEBUG_NEVER},
    {"reftable_update", BLKDEBUG_NEVER},
    {"refblock_load", BLKDEBUG_NEVER},
    {"refblock_update", BLKDEBUG_NEVER},
    {"refblock_update_part", BLKDEBUG_NEVER},
    {"refblock_alloc", BLKDEBUG_NEVER},
    {"refblock_alloc_hookup", BLKDEBUG_NEVER},
    {"refblock_alloc_write", BLKDEBUG_NEVER},
    {"refblock_alloc_write_blocks", BLKDEBUG_NEVER},
    {"refblock_alloc_write_table", BLKDEBUG_NEVER},
    {"refblock_alloc_switch_table", BLKDEBUG_NEVER},
    {"cluster_alloc", BLKDEBUG_NEVER},
    {"cluster_alloc_bytes", BLKDEBUG_NEVER},
    {"cluster_free", BLKDEBUG_NEVER},
    {"flush_to_os", BLKDEBUG_FLUSH_TO_OS},
    {"flush_to_disk", BLKDEBUG_FLUSH_TO_DISK},
    {"pwritev_rmw_head", BLKDEBUG_NEVER},
    {"pwritev_rmw_after_head", BLKDEBUG_NEVER},
    {"pwritev_rmw_tail", BLKDEBUG_NEVER},
    {"pwritev_rmw_after_tail", BLKDEBUG_NEVER},
    {"pwritev", BLKDEBUG_PWRITEV},
    {"pwritev_zero", BLKDEBUG_PWRITEV_ZERO},
    {"pwritev_done", BLKDEBUG_PWRITEV_DONE},
    {"empty_image_prepare", BLKDEBUG_NEVER},
    {"l1_shrink_write_table", BLKDEBUG_NEVER},
    {"l1_shrink_free_l2_clusters", BLKDEBUG_NEVER},
    {"cor_write", BLKDEBUG_NEVER},
    {"cluster_alloc_space", BLKDEBUG_NEVER},
    {"none", BLKDEBUG_NONE},
};

static const struct {
    const char *name;
    unsigned io;
} io_kinds[] = {
    {"read", BLKDEBUG_IO_READ},         {"write", BLKDEBUG_IO_WRITE},
    {"write-zeroes", BLKDEBUG_IO_ZERO}, {"discard", BLKDEBUG_IO_DISCARD},
    {"flush", BLKDEBUG_IO_FLUSH},       {"block-status", BLKDEBUG_IO_STATUS},
};

gboolean blkdebug_event_find(const char *name, enum blkdebug_event *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (strcmp(events[i].name, name) == 0) {
            *out = events[i].event;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean blkdebug_io_find(const char *name, unsigned *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(io_kinds); i++) {
        if (strcmp(io_kinds[i].name, name) == 0) {
            *out = io_kinds[i].io;
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- rules ---- */

static struct debug_state *state_of(struct endpoint *endpoint)
{
    return endpoint->private_data;
}

/* Rules that wait for an event become the active ones, if there are any; then states change. */
static void happen(struct endpoint *endpoint, enum blkdebug_event event)
{
    struct debug_state *state = state_of(endpoint);
    uint64_t new_state;
    gboolean first = TRUE;

    g_mutex_lock(&state->lock);
    new_state = state->state;
    for (guint i = 0; i < state->rules->len; i++) {
        const struct blkdebug_rule *rule = &g_array_index(state->rules, struct blkdebug_rule, i);

        if (rule->event != event || (rule->state != 0 && rule->state != state->state)) {
            continue;
        }
        if (rule->set_state) {
            new_state = rule->new_state;
            continue;
        }
        if (first) {
            g_array_set_size(state->active, 0);
            first = FALSE;
        }
        g_array_append_val(state->active, i);
    }
    state->state = new_state;
    g_mutex_unlock(&state->lock);
}

static gboolean touches(const struct blkdebug_rule *rule, uint64_t offset, uint64_t len)
{
    return !rule->has_offset || (len > 0 && rule->offset >= offset && rule->offset - offset < len);
}

/* 0, or what the request fails with. */
static int judge(struct endpoint *endpoint, unsigned io, uint64_t offset, uint64_t len)
{
    struct debug_state *state = state_of(endpoint);
    int err = 0;

    g_mutex_lock(&state->lock);
    for (guint i = state->active->len; i-- > 0;) {
        const struct blkdebug_rule *rule = &g_array_index(state->rules, struct blkdebug_rule,
                                                          g_array_index(state->active, guint, i));

        if ((rule->io & io) != 0 && touches(rule, offset, len)) {
            err = rule->error_number;
            if (err != 0 && rule->once) {
                g_array_remove_index(state->active, i);
            }
            break;
        }
    }
    g_mutex_unlock(&state->lock);
    return err;
}

/* ---- verbs ---- */

static int debug_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    int err;

    if (!tables) {
        happen(endpoint, BLKDEBUG_READ_AIO);
    }
    err = judge(endpoint, BLKDEBUG_IO_READ, offset, len);
    return err != 0 ? err : endpoint_pread(state_of(endpoint)->base, offset, buf, len);
}

static void settle_size(struct endpoint *endpoint)
{
    endpoint_store_size(endpoint, endpoint_size(state_of(endpoint)->base));
}

static int debug_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                         int iovcnt, size_t len)
{
    int err;

    if (!tables) {
        happen(endpoint, BLKDEBUG_WRITE_AIO);
    }
    happen(endpoint, BLKDEBUG_PWRITEV);
    err = judge(endpoint, BLKDEBUG_IO_WRITE, offset, len);
    if (err == 0) {
        err = endpoint_pwritev(state_of(endpoint)->base, offset, iov, iovcnt);
    }
    happen(endpoint, BLKDEBUG_PWRITEV_DONE);
    settle_size(endpoint);
    return err;
}

static int debug_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    int err;

    happen(endpoint, BLKDEBUG_PWRITEV_ZERO);
    err = judge(endpoint, BLKDEBUG_IO_ZERO, offset, len);
    if (err == 0) {
        err = endpoint_zero(state_of(endpoint)->base, offset, len, unmap);
    }
    settle_size(endpoint);
    return err;
}

static int debug_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    int err = judge(endpoint, BLKDEBUG_IO_DISCARD, offset, len);

    return err != 0 ? err : endpoint_discard(state_of(endpoint)->base, offset, len);
}

static int debug_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    int err = endpoint_allocate(state_of(endpoint)->base, offset, len);

    settle_size(endpoint);
    return err;
}

static int debug_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    int err = endpoint_truncate(state_of(endpoint)->base, size_bytes);

    settle_size(endpoint);
    return err;
}

static int debug_flush(struct endpoint *endpoint)
{
    int err;

    happen(endpoint, BLKDEBUG_FLUSH_TO_OS);
    happen(endpoint, BLKDEBUG_FLUSH_TO_DISK);
    err = judge(endpoint, BLKDEBUG_IO_FLUSH, 0, 0);
    return err != 0 ? err : endpoint_flush(state_of(endpoint)->base);
}

static int debug_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                        gboolean *out_hole)
{
    uint64_t len = endpoint_load_size(endpoint) - offset;
    int err = judge(endpoint, BLKDEBUG_IO_STATUS, offset, len);

    return err != 0 ? err
                    : endpoint_status(state_of(endpoint)->base, offset, len, out_len, out_hole);
}

static struct endpoint *debug_below(struct endpoint *endpoint)
{
    return state_of(endpoint)->base;
}

static void debug_free(struct endpoint *endpoint)
{
    struct debug_state *state = state_of(endpoint);

    endpoint_unref(state->base);
    g_array_unref(state->rules);
    g_array_unref(state->active);
    g_mutex_clear(&state->lock);
    g_free(state);
}

static const struct endpoint_ops debug_ops = {
    .protocol = "blkdebug",
    .pread = debug_pread,
    .pwritev = debug_pwritev,
    .zero = debug_zero,
    .discard = debug_discard,
    .allocate = debug_allocate,
    .truncate = debug_truncate,
    .flush = debug_flush,
    .status = debug_status,
    .below = debug_below,
    .free = debug_free,
};

struct endpoint *endpoint_new_blkdebug(struct endpoint *base, const GArray *rules,
                                       uint32_t alignment)
{
    struct endpoint *endpoint = endpoint_alloc_over(&debug_ops, base);
    struct debug_state *state = g_new0(struct debug_state, 1);

    state->base = endpoint_ref(base);
    state->rules = g_array_new(FALSE, FALSE, sizeof(struct blkdebug_rule));
    state->active = g_array_new(FALSE, FALSE, sizeof(guint));
    state->state = 1;
    g_array_append_vals(state->rules, rules->data, rules->len);
    g_mutex_init(&state->lock);
    endpoint->private_data = state;
    endpoint->alignment = MAX(endpoint->alignment, alignment);
    happen(endpoint, BLKDEBUG_NONE);
    return endpoint;
}
