/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two endpoints that must hold the same ("blkverify"): what is read is compared, what is written
 * goes to both. A difference ends the program, as in stock.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/io/endpoint_ops.h"

#define COMPARED_BYTES (1u << 20)

struct verify_state {
    struct endpoint *test, *raw;
};

static struct verify_state *state_of(struct endpoint *endpoint)
{
    return endpoint->private_data;
}

static void differ(const char *verb, uint64_t offset, size_t len, const char *format, ...)
    G_GNUC_PRINTF(4, 5) G_GNUC_NORETURN;

/* The images cannot be trusted any more: nothing more is written to them. */
static void differ(const char *verb, uint64_t offset, size_t len, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "blkverify: %s offset=%" PRIu64 " bytes=%zu ", verb, offset, len);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

static void compare(uint64_t offset, const uint8_t *test, const uint8_t *raw, size_t len)
{
    if (memcmp(test, raw, len) == 0) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (test[i] != raw[i]) {
            differ("read", offset, len, "contents mismatch at offset %" PRIu64, offset + i);
        }
    }
}

static void agree(const char *verb, uint64_t offset, size_t len, int test, int raw)
{
    if (test != raw) {
        differ(verb, offset, len, "return value mismatch %d != %d", -test, -raw);
    }
}

static int verify_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    const struct verify_state *state = state_of(endpoint);
    g_autofree uint8_t *copy = g_malloc(MIN(len, COMPARED_BYTES));
    int err = 0;

    for (size_t done = 0; done < len && err == 0; done += MIN(len - done, COMPARED_BYTES)) {
        size_t piece = MIN(len - done, COMPARED_BYTES);
        uint8_t *at = (uint8_t *)buf + done;

        err = endpoint_pread(state->test, offset + done, at, piece);
        agree("read", offset + done, piece, err,
              endpoint_pread(state->raw, offset + done, copy, piece));
        if (err == 0) {
            compare(offset + done, at, copy, piece);
        }
    }
    return err;
}

static int verify_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                          int iovcnt, size_t len)
{
    const struct verify_state *state = state_of(endpoint);
    int err = endpoint_pwritev(state->test, offset, iov, iovcnt);

    agree("write", offset, len, err, endpoint_pwritev(state->raw, offset, iov, iovcnt));
    endpoint_store_size(endpoint, endpoint_size(state->test));
    return err;
}

static int verify_flush(struct endpoint *endpoint)
{
    return endpoint_flush(state_of(endpoint)->test);
}

/* As stock: where data is, is what the raw copy says. */
static int verify_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                         gboolean *out_hole)
{
    struct endpoint *raw = state_of(endpoint)->raw;
    uint64_t size = endpoint_size(raw), len = endpoint_load_size(endpoint) - offset;

    if (offset >= size) {
        *out_len = len;
        *out_hole = TRUE;
        return 0;
    }
    return endpoint_status(raw, offset, MIN(len, size - offset), out_len, out_hole);
}

static struct endpoint *verify_below(struct endpoint *endpoint)
{
    return state_of(endpoint)->raw;
}

static void verify_free(struct endpoint *endpoint)
{
    struct verify_state *state = state_of(endpoint);

    endpoint_unref(state->test);
    endpoint_unref(state->raw);
    g_free(state);
}

static const struct endpoint_ops verify_ops = {
    .protocol = "blkverify",
    .pread = verify_pread,
    .pwritev = verify_pwritev,
    .flush = verify_flush,
    .status = verify_status,
    .below = verify_below,
    .free = verify_free,
};

struct endpoint *endpoint_new_blkverify(struct endpoint *test, struct endpoint *raw)
{
    struct endpoint *endpoint = endpoint_alloc_over(&verify_ops, test);
    struct verify_state *state = g_new0(struct verify_state, 1);

    state->test = endpoint_ref(test);
    state->raw = endpoint_ref(raw);
    endpoint->private_data = state;
    return endpoint;
}
