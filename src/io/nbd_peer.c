/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forked process that talks to an NBD server: requests come in on lanes, go out through libnbd,
 * and are answered on their lane in whatever order the server likes.
 */
#include "src/io/nbd_peer.h"

#include <dlfcn.h>
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_SAYS   "server error message: "
#define ALLOCATION    LIBNBD_CONTEXT_BASE_ALLOCATION
#define BLOCK_MOST    NBD_LANE_BYTES
#define REQUEST_BYTES (1ull << 30) /* of a request without data */

/* The functions of libnbd that are used, by their names less the prefix. */
#define EACH_FUNCTION(F)                                                                           \
    F(create)                                                                                      \
    F(set_export_name) F(add_meta_context) F(set_opt_mode) F(set_debug) F(set_debug_callback)      \
        F(connect_socket) F(opt_go) F(get_error) F(get_errno) F(aio_is_negotiating) F(aio_is_dead) \
            F(aio_is_closed) F(get_size) F(get_block_size) F(is_read_only) F(can_fua) F(can_flush) \
                F(can_zero) F(can_trim) F(can_meta_context) F(aio_pread) F(aio_pwrite) F(aio_zero) \
                    F(aio_trim) F(aio_flush) F(aio_block_status) F(aio_get_fd)                     \
                        F(aio_get_direction) F(aio_notify_read) F(aio_notify_write) F(shutdown)

static struct {
#define MEMBER(name) __typeof__(&nbd_##name) name;
    EACH_FUNCTION(MEMBER)
#undef MEMBER
} library;

struct lane {
    int fd; /* -1: the host has closed it */
    uint8_t *memory;
    gboolean busy;
    struct nbd_ask ask;
    struct nbd_told told;
};

struct peer {
    struct nbd_handle *server;
    struct lane lanes[NBD_LANES];
    char reported[NBD_TEXT_BYTES];
};

static gboolean load_library(void)
{
    void *handle = dlopen("libnbd.so.0", RTLD_NOW);

    if (handle == NULL) {
        return FALSE;
    }
#define FIND(name)                                                                                 \
    *(void **)&library.name = dlsym(handle, "nbd_" #name);                                         \
    if (library.name == NULL) {                                                                    \
        return FALSE;                                                                              \
    }
    EACH_FUNCTION(FIND)
#undef FIND
    return TRUE;
}

/* ---- the handshake ---- */

static int hear(void *user, const char *context, const char *text)
{
    struct peer *peer = user;
    const char *said = strstr(text, SERVER_SAYS);

    if (said != NULL) {
        g_strlcpy(peer->reported, said + strlen(SERVER_SAYS), sizeof(peer->reported));
    }
    return 0;
}

static gboolean fail(struct nbd_hello *hello, int error, const char *text)
{
    hello->error = error != 0 ? error : EIO;
    g_strlcpy(hello->text, text, sizeof(hello->text));
    return FALSE;
}

static gboolean fail_server(const struct peer *peer, struct nbd_hello *hello)
{
    g_strlcpy(hello->reported, peer->reported, sizeof(hello->reported));
    return fail(hello, library.get_errno(), library.get_error());
}

static gboolean prepare(struct peer *peer, const struct nbd_peer_setup *setup,
                        struct nbd_hello *hello)
{
    nbd_debug_callback heard = {.callback = hear, .user_data = peer};

    if (!load_library()) {
        return fail(hello, ENOTSUP, "libnbd cannot be loaded");
    }
    peer->server = library.create();
    if (peer->server == NULL || library.set_debug_callback(peer->server, heard) != 0 ||
        library.set_debug(peer->server, TRUE) != 0 ||
        library.set_export_name(peer->server, setup->export) != 0 ||
        library.add_meta_context(peer->server, ALLOCATION) != 0 ||
        library.set_opt_mode(peer->server, TRUE) != 0) {
        return fail_server(peer, hello);
    }
    return nbd_lock_in() || fail(hello, ENOTSUP, "The NBD process could not lock itself in");
}

static uint32_t block_size(const struct peer *peer, int type, uint32_t fallback)
{
    int64_t size = library.get_block_size(peer->server, type);

    return size > 0 ? (uint32_t)MIN(size, UINT32_MAX) : fallback;
}

static gboolean shake_hands(struct peer *peer, const struct nbd_peer_setup *setup,
                            struct nbd_hello *hello)
{
    struct nbd_handle *server = peer->server;
    int64_t size;

    if (library.connect_socket(server, setup->server) != 0 ||
        (library.aio_is_negotiating(server) > 0 && library.opt_go(server) != 0)) {
        return fail_server(peer, hello);
    }
    library.set_debug(server, FALSE);
    size = library.get_size(server);
    if (size < 0) {
        return fail_server(peer, hello);
    }
    hello->size_bytes = (uint64_t)size;
    hello->block_bytes = block_size(peer, LIBNBD_SIZE_MINIMUM, 1);
    hello->most_bytes = MIN(block_size(peer, LIBNBD_SIZE_MAXIMUM, BLOCK_MOST), BLOCK_MOST);
    hello->read_only = library.is_read_only(server) > 0;
    hello->can_fua = library.can_fua(server) > 0;
    hello->can_flush = library.can_flush(server) > 0;
    hello->can_zero = library.can_zero(server) > 0;
    hello->can_trim = library.can_trim(server) > 0;
    hello->can_tell_status = library.can_meta_context(server, ALLOCATION) > 0;
    return TRUE;
}

/* ---- requests ---- */

static void close_lane(struct lane *lane)
{
    close(lane->fd);
    lane->fd = -1;
}

static void answer(struct lane *lane, int error)
{
    ssize_t sent;

    lane->busy = FALSE;
    lane->told.error = error;
    do {
        sent = send(lane->fd, &lane->told, sizeof(lane->told), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof(lane->told)) {
        close_lane(lane);
    }
}

static int completed(void *user, int *error)
{
    answer(user, *error);
    return 1; /* libnbd may forget the request */
}

/* The first extent, and those after it that are the same. */
static int hear_status(void *user, const char *context, uint64_t offset, uint32_t *entries,
                       size_t nr, int *error)
{
    struct lane *lane = user;

    if (strcmp(context, ALLOCATION) != 0) {
        return 0;
    }
    for (size_t i = 0; i + 1 < nr; i += 2) {
        uint32_t hole = (entries[i + 1] & LIBNBD_STATE_ZERO) != 0;

        if (i > 0 && hole != lane->told.hole) {
            break;
        }
        lane->told.hole = hole;
        lane->told.len += entries[i];
    }
    return 0;
}

static int64_t issue(const struct peer *peer, struct lane *lane)
{
    const struct nbd_ask *ask = &lane->ask;
    nbd_completion_callback done = {.callback = completed, .user_data = lane};
    nbd_extent_callback status = {.callback = hear_status, .user_data = lane};
    uint32_t fua = (ask->flags & NBD_FUA) != 0 ? LIBNBD_CMD_FLAG_FUA : 0;
    uint32_t no_hole = (ask->flags & NBD_NO_HOLE) != 0 ? LIBNBD_CMD_FLAG_NO_HOLE : 0;

    switch (ask->verb) {
    case NBD_READ:
        return library.aio_pread(peer->server, lane->memory, ask->len, ask->offset, done, 0);
    case NBD_WRITE:
        return library.aio_pwrite(peer->server, lane->memory, ask->len, ask->offset, done, fua);
    case NBD_ZERO:
        return library.aio_zero(peer->server, ask->len, ask->offset, done, fua | no_hole);
    case NBD_TRIM:
        return library.aio_trim(peer->server, ask->len, ask->offset, done, fua);
    case NBD_FLUSH:
        return library.aio_flush(peer->server, done, 0);
    case NBD_STATUS:
        return library.aio_block_status(peer->server, ask->len, ask->offset, status, done, 0);
    default:
        return -1;
    }
}

static gboolean is_over(const struct peer *peer)
{
    return library.aio_is_dead(peer->server) > 0 || library.aio_is_closed(peer->server) > 0;
}

static void take_ask(const struct peer *peer, struct lane *lane)
{
    ssize_t got = recv(lane->fd, &lane->ask, sizeof(lane->ask), MSG_DONTWAIT);
    gboolean carries = lane->ask.verb == NBD_READ || lane->ask.verb == NBD_WRITE;

    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (got != (ssize_t)sizeof(lane->ask)) {
        close_lane(lane);
        return;
    }
    lane->told = (struct nbd_told){0};
    lane->busy = TRUE;
    if (is_over(peer)) {
        answer(lane, EIO);
    } else if (lane->ask.len > (carries ? NBD_LANE_BYTES : REQUEST_BYTES)) {
        answer(lane, EINVAL);
    } else if (issue(peer, lane) < 0) {
        answer(lane, library.get_errno() != 0 ? library.get_errno() : EIO);
    }
}

/* What was asked of a server that is gone will not be answered by it. */
static void give_up(struct peer *peer)
{
    for (unsigned i = 0; i < NBD_LANES; i++) {
        if (peer->lanes[i].busy) {
            answer(&peer->lanes[i], EIO);
        }
    }
}

static void talk(struct peer *peer, short events)
{
    unsigned wants = library.aio_get_direction(peer->server);

    if ((wants & LIBNBD_AIO_DIRECTION_READ) != 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
        library.aio_notify_read(peer->server);
    } else if ((wants & LIBNBD_AIO_DIRECTION_WRITE) != 0 &&
               (events & (POLLOUT | POLLHUP | POLLERR)) != 0) {
        library.aio_notify_write(peer->server);
    }
}

/* One turn; FALSE when the host has gone. */
static gboolean turn(struct peer *peer)
{
    struct pollfd wait[NBD_LANES + 1];
    struct lane *waiting[NBD_LANES];
    unsigned nr = 0, open = 0, wants;
    gboolean over = is_over(peer);

    for (unsigned i = 0; i < NBD_LANES; i++) {
        struct lane *lane = &peer->lanes[i];

        open += lane->fd >= 0;
        if (lane->fd >= 0 && !lane->busy) {
            waiting[nr] = lane;
            wait[nr++] = (struct pollfd){.fd = lane->fd, .events = POLLIN};
        }
    }
    if (open == 0) {
        return FALSE;
    }
    wants = over ? 0 : library.aio_get_direction(peer->server);
    wait[nr] = (struct pollfd){
        .fd = over ? -1 : library.aio_get_fd(peer->server),
        .events = (short)(((wants & LIBNBD_AIO_DIRECTION_READ) != 0 ? POLLIN : 0) |
                          ((wants & LIBNBD_AIO_DIRECTION_WRITE) != 0 ? POLLOUT : 0)),
    };
    if (poll(wait, nr + 1, -1) < 0) {
        return errno == EINTR;
    }
    if (wait[nr].revents != 0) {
        talk(peer, wait[nr].revents);
    }
    for (unsigned i = 0; i < nr; i++) {
        if (wait[i].revents != 0) {
            take_ask(peer, waiting[i]);
        }
    }
    if (is_over(peer)) {
        give_up(peer);
    }
    return TRUE;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes every descriptor but those that were given. */
static void keep_only(const struct nbd_peer_setup *setup)
{
    int kept[NBD_LANES + 1];
    unsigned from = 0;

    memcpy(kept, setup->lanes, sizeof(setup->lanes));
    kept[NBD_LANES] = setup->server;
    qsort(kept, NBD_LANES + 1, sizeof(kept[0]), by_number);
    for (unsigned i = 0; i <= NBD_LANES; i++) {
        if ((unsigned)kept[i] > from) {
            close_range(from, (unsigned)kept[i] - 1, 0);
        }
        from = (unsigned)kept[i] + 1;
    }
    close_range(from, ~0u, 0);
}

void nbd_peer_main(const struct nbd_peer_setup *setup)
{
    static struct peer peer;
    struct nbd_hello hello = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGINT, SIG_IGN); /* the host decides when it is over */
    keep_only(setup);
    for (unsigned i = 0; i < NBD_LANES; i++) {
        peer.lanes[i].fd = setup->lanes[i];
        peer.lanes[i].memory = setup->memory + (size_t)i * NBD_LANE_BYTES;
    }
    if (prepare(&peer, setup, &hello)) {
        (void)shake_hands(&peer, setup, &hello);
    }
    if (send(setup->lanes[0], &hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello) ||
        hello.error != 0) {
        _exit(1);
    }
    while (turn(&peer)) {
    }
    if (!is_over(&peer)) {
        (void)library.shutdown(peer.server, 0);
    }
    _exit(0);
}
