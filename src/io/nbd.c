/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a network block device. Data goes through memory that is shared with the
 * process that talks to the server; a long transfer is spread over several lanes, so that the
 * server has something to do while the first of it is on its way.
 */
#include "src/io/nbd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/endpoint_ops.h"
#include "src/io/nbd_peer.h"

#define ERRNO_MAX    4095
#define SPREAD_MAX   4u                        /* lanes that one transfer uses */
#define STATUS_BYTES ((1u << 30) - (1u << 20)) /* asked about at once */
#define RANGE_BYTES  (512u << 20)              /* zeroed or discarded at once */

struct nbd_state {
    pid_t peer;
    int lanes[NBD_LANES]; /* the host's ends */
    uint8_t *memory;
    struct nbd_hello hello; /* checked */
    GMutex lock;
    GCond freed;
    guint32 busy;     /* bit i: lane i is in use */
    GMutex unaligned; /* held while part of a block is read, changed and written */
};

static struct nbd_state *state_of(const struct endpoint *endpoint)
{
    return endpoint->private_data;
}

/* ---- lanes ---- */

/* Takes a lane; if none is free waits for one, or gives -1. */
static int take_lane(struct nbd_state *state, gboolean wait)
{
    int lane = -1;

    g_mutex_lock(&state->lock);
    while (state->busy == (1u << NBD_LANES) - 1 && wait) {
        g_cond_wait(&state->freed, &state->lock);
    }
    if (state->busy != (1u << NBD_LANES) - 1) {
        lane = __builtin_ctz(~state->busy);
        state->busy |= 1u << lane;
    }
    g_mutex_unlock(&state->lock);
    return lane;
}

static void give_lane(struct nbd_state *state, int lane)
{
    g_mutex_lock(&state->lock);
    state->busy &= ~(1u << lane);
    g_cond_signal(&state->freed);
    g_mutex_unlock(&state->lock);
}

static uint8_t *lane_memory(const struct nbd_state *state, int lane)
{
    return state->memory + (size_t)lane * NBD_LANE_BYTES;
}

static int send_ask(const struct nbd_state *state, int lane, const struct nbd_ask *ask)
{
    ssize_t sent;

    do {
        sent = send(state->lanes[lane], ask, sizeof(*ask), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof(*ask) ? 0 : EIO;
}

/* Waits for the answer; errors are made errors of this system. */
static int hear_told(const struct nbd_state *state, int lane, struct nbd_told *told)
{
    ssize_t got;

    do {
        got = recv(state->lanes[lane], told, sizeof(*told), 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(*told) || told->error < 0 || told->error > ERRNO_MAX) {
        return EIO;
    }
    return told->error;
}

static int ask_once(struct nbd_state *state, const struct nbd_ask *ask, struct nbd_told *told)
{
    int lane = take_lane(state, TRUE);
    int err = send_ask(state, lane, ask);

    err = err != 0 ? err : hear_told(state, lane, told);
    give_lane(state, lane);
    return err;
}

/* ---- data ---- */

struct part {
    int lane;
    size_t at, len; /* in the transfer */
    int err;
};

/* One round of a transfer of whole blocks: as many lanes as are free, up to SPREAD_MAX. */
static int transfer_some(struct nbd_state *state, struct nbd_ask ask, uint8_t *buf, size_t len,
                         size_t *out_done)
{
    struct part parts[SPREAD_MAX];
    struct nbd_told told;
    unsigned nr = 0;
    int err = 0;

    for (*out_done = 0; nr < SPREAD_MAX && *out_done < len; nr++) {
        int lane = take_lane(state, nr == 0);

        if (lane < 0) {
            break;
        }
        parts[nr] = (struct part){
            .lane = lane, .at = *out_done, .len = MIN(len - *out_done, state->hello.most_bytes)};
        if (ask.verb == NBD_WRITE) {
            memcpy(lane_memory(state, lane), buf + *out_done, parts[nr].len);
        }
        ask.len = parts[nr].len;
        parts[nr].err = send_ask(state, lane, &ask);
        ask.offset += ask.len;
        *out_done += ask.len;
    }
    for (unsigned i = 0; i < nr; i++) {
        const struct part *part = &parts[i];
        int now = part->err != 0 ? part->err : hear_told(state, part->lane, &told);

        if (now == 0 && ask.verb == NBD_READ) {
            memcpy(buf + part->at, lane_memory(state, part->lane), part->len);
        }
        give_lane(state, part->lane);
        err = err != 0 ? err : now;
    }
    return err;
}

static int transfer(const struct endpoint *endpoint, enum nbd_verb verb, uint64_t offset,
                    uint8_t *buf, size_t len)
{
    struct nbd_state *state = state_of(endpoint);
    struct nbd_ask ask = {.verb = verb, .offset = offset};
    int err = 0;

    if (verb == NBD_WRITE && endpoint->cache.writethrough && state->hello.can_fua) {
        ask.flags = NBD_FUA;
    }
    while (len > 0 && err == 0) {
        size_t done;

        err = transfer_some(state, ask, buf, len, &done);
        ask.offset += done;
        buf += done;
        len -= done;
    }
    return err;
}

static gboolean is_aligned(const struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    return (offset | len) % state_of(endpoint)->hello.block_bytes == 0;
}

/* Whole blocks around [offset, offset + len), read; *out_at is where that begins in them. */
static uint8_t *read_around(const struct endpoint *endpoint, uint64_t offset, size_t len,
                            uint64_t *out_at, size_t *out_len, int *out_err)
{
    uint64_t block = state_of(endpoint)->hello.block_bytes;
    uint64_t end = (offset + len + block - 1) / block * block;
    uint8_t *whole;

    *out_at = offset / block * block;
    *out_len = end - *out_at;
    whole = g_malloc(*out_len);
    *out_err = transfer(endpoint, NBD_READ, *out_at, whole, *out_len);
    return whole;
}

static int nbd_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len)
{
    uint64_t size = endpoint_load_size(endpoint), at;
    size_t there = offset < size ? MIN(len, size - offset) : 0, whole_len;
    g_autofree uint8_t *whole = NULL;
    int err;

    memset((uint8_t *)buf + there, 0, len - there);
    if (there == 0) {
        return 0;
    }
    if (is_aligned(endpoint, offset, there)) {
        return transfer(endpoint, NBD_READ, offset, buf, there);
    }
    whole = read_around(endpoint, offset, there, &at, &whole_len, &err);
    if (err == 0) {
        memcpy(buf, whole + (offset - at), there);
    }
    return err;
}

static int write_flat(struct endpoint *endpoint, uint64_t offset, uint8_t *buf, size_t len)
{
    struct nbd_state *state = state_of(endpoint);
    g_autofree uint8_t *whole = NULL;
    size_t whole_len;
    uint64_t at;
    int err;

    if (is_aligned(endpoint, offset, len)) {
        return transfer(endpoint, NBD_WRITE, offset, buf, len);
    }
    g_mutex_lock(&state->unaligned);
    whole = read_around(endpoint, offset, len, &at, &whole_len, &err);
    if (err == 0) {
        memcpy(whole + (offset - at), buf, len);
        err = transfer(endpoint, NBD_WRITE, at, whole, whole_len);
    }
    g_mutex_unlock(&state->unaligned);
    return err;
}

static int nbd_flush(struct endpoint *endpoint)
{
    struct nbd_ask ask = {.verb = NBD_FLUSH};
    struct nbd_told told;

    return state_of(endpoint)->hello.can_flush ? ask_once(state_of(endpoint), &ask, &told) : 0;
}

/* The disk does not grow: what lies past its end cannot be written. */
static gboolean fits(const struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    uint64_t size = endpoint_load_size(endpoint);

    return offset <= size && len <= size - offset;
}

static int nbd_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                       int iovcnt, size_t len)
{
    int err = fits(endpoint, offset, len) ? 0 : EINVAL;

    for (int i = 0; i < iovcnt && err == 0; i++) {
        err = write_flat(endpoint, offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    if (err == 0 && endpoint->cache.writethrough && !state_of(endpoint)->hello.can_fua) {
        err = nbd_flush(endpoint);
    }
    return err;
}

/* ---- ranges ---- */

static int ask_range(struct endpoint *endpoint, struct nbd_ask ask, uint64_t len)
{
    struct nbd_told told;
    int err = 0;

    while (len > 0 && err == 0) {
        ask.len = MIN(len, RANGE_BYTES);
        err = ask_once(state_of(endpoint), &ask, &told);
        ask.offset += ask.len;
        len -= ask.len;
    }
    return err;
}

static int nbd_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap)
{
    struct nbd_ask ask = {.verb = NBD_ZERO, .flags = unmap ? 0 : NBD_NO_HOLE, .offset = offset};

    if (!state_of(endpoint)->hello.can_zero || !is_aligned(endpoint, offset, len)) {
        return EOPNOTSUPP;
    }
    return fits(endpoint, offset, len) ? ask_range(endpoint, ask, len) : EINVAL;
}

static int nbd_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    struct nbd_ask ask = {.verb = NBD_TRIM, .offset = offset};

    if (!state_of(endpoint)->hello.can_trim || !is_aligned(endpoint, offset, len) ||
        !fits(endpoint, offset, len)) {
        return EOPNOTSUPP;
    }
    return ask_range(endpoint, ask, len);
}

static int nbd_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    return EOPNOTSUPP;
}

/* As stock: the size stays what it is, which may be more than is wanted. */
static int nbd_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    return size_bytes <= endpoint_load_size(endpoint) ? 0 : EINVAL;
}

static int nbd_status(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                      gboolean *out_hole)
{
    uint64_t left = endpoint_load_size(endpoint) - offset;
    uint64_t block = state_of(endpoint)->hello.block_bytes;
    struct nbd_ask ask = {.verb = NBD_STATUS, .offset = offset / block * block};
    struct nbd_told told;
    int err;

    *out_len = left;
    *out_hole = FALSE;
    if (!state_of(endpoint)->hello.can_tell_status) {
        return 0;
    }
    ask.len = MIN(left + (offset - ask.offset), STATUS_BYTES / block * block);
    err = ask_once(state_of(endpoint), &ask, &told);
    if (err != 0) {
        return err;
    }
    /* A server that tells nothing of this block leaves it data. */
    if (told.len > offset - ask.offset) {
        *out_len = MIN(told.len - (offset - ask.offset), left);
        *out_hole = told.hole != 0;
    } else {
        *out_len = MIN(left, block);
    }
    return 0;
}

static gboolean nbd_allocated(struct endpoint *endpoint, uint64_t *out_bytes)
{
    return FALSE;
}

/* ---- beginning and end ---- */

static void state_free(struct nbd_state *state)
{
    for (unsigned i = 0; i < NBD_LANES; i++) {
        if (state->lanes[i] >= 0) {
            close(state->lanes[i]);
        }
    }
    if (state->peer > 0) {
        while (waitpid(state->peer, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (state->memory != NULL) {
        munmap(state->memory, (size_t)NBD_LANES * NBD_LANE_BYTES);
    }
    g_mutex_clear(&state->lock);
    g_mutex_clear(&state->unaligned);
    g_cond_clear(&state->freed);
    g_free(state);
}

static void nbd_free(struct endpoint *endpoint)
{
    state_free(state_of(endpoint));
}

static const struct endpoint_ops nbd_ops = {
    .protocol = "nbd",
    .pread = nbd_pread,
    .pwritev = nbd_pwritev,
    .zero = nbd_zero,
    .discard = nbd_discard,
    .allocate = nbd_allocate,
    .truncate = nbd_truncate,
    .flush = nbd_flush,
    .status = nbd_status,
    .allocated = nbd_allocated,
    .free = nbd_free,
};

static gboolean fail_system(GError **error, const char *what)
{
    return wording_fail(error, "Could not %s for NBD: %s", what, g_strerror(errno));
}

/* Forks the process; `server` is its own from then on. */
static gboolean start_peer(struct nbd_state *state, int server, const char *export, GError **error)
{
    struct nbd_peer_setup setup = {.server = server, .export = export};
    gboolean ok = TRUE;

    for (unsigned i = 0; i < NBD_LANES; i++) {
        state->lanes[i] = setup.lanes[i] = -1;
    }
    state->memory = mmap(NULL, (size_t)NBD_LANES * NBD_LANE_BYTES, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (state->memory == MAP_FAILED) {
        state->memory = NULL;
        return fail_system(error, "get memory");
    }
    setup.memory = state->memory;
    for (unsigned i = 0; i < NBD_LANES && ok; i++) {
        int pair[2];

        ok = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
        if (ok) {
            state->lanes[i] = pair[0];
            setup.lanes[i] = pair[1];
        }
    }
    state->peer = ok ? fork() : -1;
    if (state->peer == 0) {
        nbd_peer_main(&setup);
    }
    if (state->peer < 0) {
        fail_system(error, "start a process");
    }
    for (unsigned i = 0; i < NBD_LANES; i++) {
        if (setup.lanes[i] >= 0) {
            close(setup.lanes[i]);
        }
    }
    return state->peer > 0;
}

/* What the server said, as it may be shown. */
static char *shown(const char *text)
{
    return wording_escape_span((const uint8_t *)text, strlen(text));
}

/* Says why the handshake failed. */
static gboolean fail_hello(struct nbd_hello *hello, GError **error)
{
    g_autofree char *text = NULL, *reported = NULL;

    hello->text[NBD_TEXT_BYTES - 1] = hello->reported[NBD_TEXT_BYTES - 1] = '\0';
    text = shown(hello->text);
    reported = shown(hello->reported);
    if (hello->error == ENOENT) {
        wording_fail(error, "Requested export not available");
    } else {
        wording_fail(error, "%s", text);
    }
    if (*reported != '\0') {
        wording_add_hint(error, "server reported: %s", reported);
    }
    return FALSE;
}

static gboolean hear_hello(struct nbd_state *state, gboolean write, GError **error)
{
    struct nbd_hello *hello = &state->hello;
    ssize_t got;

    do {
        got = recv(state->lanes[0], hello, sizeof(*hello), 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(*hello)) {
        return wording_fail(error, "The server crashed the process that talks to it");
    }
    if (hello->error != 0) {
        return fail_hello(hello, error);
    }
    if (hello->size_bytes > INT64_MAX || hello->block_bytes == 0 ||
        hello->block_bytes > NBD_LANE_BYTES ||
        (hello->block_bytes & (hello->block_bytes - 1)) != 0 ||
        hello->most_bytes < hello->block_bytes || hello->most_bytes > NBD_LANE_BYTES) {
        return wording_fail(error, "The server tells sizes that cannot be");
    }
    hello->most_bytes -= hello->most_bytes % hello->block_bytes;
    hello->size_bytes -= hello->size_bytes % hello->block_bytes;
    return !(write && hello->read_only) ||
           wording_fail(error, "Could not open image: %s", g_strerror(EACCES));
}

struct endpoint *endpoint_new_nbd(const struct nbd_address *address, unsigned flags,
                                  const struct cache_mode *cache, GError **error)
{
    gboolean write = (flags & ENDPOINT_WRITE) != 0, ok;
    int server = nbd_connect(address, error);
    g_autofree char *name = NULL;
    struct nbd_state *state;
    struct endpoint *endpoint;

    if (server < 0) {
        return NULL;
    }
    state = g_new0(struct nbd_state, 1);
    g_mutex_init(&state->lock);
    g_mutex_init(&state->unaligned);
    g_cond_init(&state->freed);
    ok = start_peer(state, server, address->export != NULL ? address->export : "", error);
    close(server);
    if (!ok || !hear_hello(state, write, error)) {
        state_free(state);
        return NULL;
    }
    name = nbd_address_name(address);
    endpoint = endpoint_alloc(&nbd_ops, name != NULL ? name : "nbd:");
    endpoint->private_data = state;
    endpoint->size_bytes = state->hello.size_bytes;
    endpoint->writable = write;
    endpoint->cache = *cache;
    return endpoint;
}
