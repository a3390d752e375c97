/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/image_endpoint.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/copy/bench_disk.h"
#include "src/io/endpoint_ops.h"

struct image_state {
    struct image *image;
    struct bench_disk *disk;
    struct pool *pool; /* without threads: whoever calls does what is asked for */
    GMutex lock;       /* over image, disk and pool */
    gboolean written;
};

static struct image_state *state_of(struct endpoint *endpoint)
{
    return endpoint->private_data;
}

static void enter(struct image_state *state)
{
    g_mutex_lock(&state->lock);
    pool_adopt(state->pool);
}

static int image_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    struct image_state *state = state_of(endpoint);
    uint64_t size = endpoint_load_size(endpoint);
    size_t have = offset < size ? (size_t)MIN(len, size - offset) : 0;
    int err = 0;

    memset((uint8_t *)buf + have, 0, len - have);
    if (have > 0) {
        enter(state);
        err = bench_disk_read_back(state->disk, offset, buf, have);
        g_mutex_unlock(&state->lock);
    }
    return err;
}

static int image_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                         int iovcnt, size_t len)
{
    struct image_state *state = state_of(endpoint);
    uint64_t size = endpoint_load_size(endpoint);
    int err = 0;

    if (offset > size || len > size - offset) {
        return ENOSPC;
    }
    enter(state);
    state->written = TRUE;
    for (int i = 0; i < iovcnt && err == 0; i++) {
        if (iov[i].iov_len > 0) {
            err = bench_disk_write(state->disk, offset, iov[i].iov_base, iov[i].iov_len);
        }
        offset += iov[i].iov_len;
    }
    if (err == 0) {
        err = bench_disk_serve(state->disk);
    }
    g_mutex_unlock(&state->lock);
    return err;
}

static int image_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return size_bytes <= endpoint_load_size(endpoint) ? 0 : ENOTSUP;
}

static int image_flush(struct endpoint *endpoint)
{
    struct image_state *state = state_of(endpoint);
    int err;

    enter(state);
    err = bench_disk_flush(state->disk);
    g_mutex_unlock(&state->lock);
    return err;
}

/* Once something was written, the cell's map is not asked any more. */
static int image_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                        gboolean *out_hole)
{
    struct image_state *state = state_of(endpoint);
    uint64_t len = endpoint_load_size(endpoint) - offset;
    struct extent extent = {.length = len};
    int got = 1;

    enter(state);
    if (!state->written) {
        g_autoptr(Extents) it = extents_new(state->image, offset, len, 0);
        g_autoptr(GError) error = NULL;

        got = extents_next(it, &extent, &error);
    }
    g_mutex_unlock(&state->lock);
    if (got < 0) {
        return EIO;
    }
    *out_len = got == 0 ? len : extent.length;
    *out_hole = extent.zero;
    return 0;
}

static gboolean image_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    return endpoint_allocated(image_endpoint(state_of(endpoint)->image), out_bytes);
}

static void free_state(struct image_state *state)
{
    bench_disk_free(state->disk);
    pool_free(state->pool);
    image_free(state->image);
    g_mutex_clear(&state->lock);
    g_free(state);
}

static void image_ops_free(struct endpoint *endpoint)
{
    struct image_state *state = state_of(endpoint);

    if (state->written) {
        int err;

        enter(state);
        err = bench_disk_finish(state->disk);
        g_mutex_unlock(&state->lock);
        if (err != 0) {
            report_error("Failed to write the tables of '%s': %s", image_filename(state->image),
                         g_strerror(err));
        }
    }
    free_state(state);
}

static const struct endpoint_ops image_ops = {
    .protocol = "raw",
    .pread = image_pread,
    .pwritev = image_pwritev,
    .truncate = image_truncate,
    .flush = image_flush,
    .status = image_status,
    .allocated = image_allocated,
    .free = image_ops_free,
};

/* Never run: the pool has no threads. */
static void run_nothing(void *user, unsigned worker, void *job, guint64 number)
{
}

struct endpoint *endpoint_new_image(struct image *image, gboolean write, GError **error)
{
    struct image_state *state = g_new0(struct image_state, 1);
    struct cell_config cell;
    struct endpoint *endpoint;

    g_mutex_init(&state->lock);
    state->image = image;
    state->pool = pool_new(1, 1, run_nothing, NULL);
    if (cell_config_from_environment(&cell, error)) {
        state->disk = bench_disk_new(image, write, &cell, error);
    }
    if (state->disk == NULL) {
        free_state(state);
        return NULL;
    }
    bench_disk_attach(state->disk, state->pool);
    endpoint = endpoint_alloc_over(&image_ops, image_endpoint(image));
    endpoint->private_data = state;
    endpoint->size_bytes = image_virtual_size(image);
    endpoint->writable = write;
    endpoint->alignment = 1;
    return endpoint;
}

struct image *endpoint_image(struct endpoint *endpoint)
{
    return endpoint->ops == &image_ops ? state_of(endpoint)->image : NULL;
}
