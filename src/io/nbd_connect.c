/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding an NBD server: no byte it sends is read here.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/nbd.h"

#define RETRY_USECS (G_USEC_PER_SEC / 10)

void nbd_address_free(struct nbd_address *address)
{
    if (address == NULL) {
        return;
    }
    g_free(address->path);
    g_free(address->host);
    g_free(address->port);
    g_free(address->export);
    g_free(address);
}

char *nbd_address_name(const struct nbd_address *address)
{
    g_autofree char *export =
        address->export != NULL ? g_strconcat("/", address->export, NULL) : g_strdup("");

    switch (address->family) {
    case NBD_UNIX:
        return g_strdup_printf("nbd+unix://%s?socket=%s", export, address->path);
    case NBD_INET:
        return g_strdup_printf("nbd://%s:%s%s", address->host, address->port, export);
    default:
        return NULL;
    }
}

static int fail_connect(GError **error, const char *where, int number)
{
    g_set_error(error, ENDPOINT_ERROR, number, "Failed to connect to '%s': %s", where,
                g_strerror(number));
    return -1;
}

/* A connected socket, or -1 with errno. */
static int connect_to(const struct sockaddr *to, socklen_t len)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0) {
        return -1;
    }
    while (connect(fd, to, len) != 0) {
        if (errno != EINTR) {
            saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
    }
    return fd;
}

static int connect_unix(const struct nbd_address *address, GError **error)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(address->path);
    int fd;

    if (len > sizeof(to.sun_path)) {
        wording_fail(error, "UNIX socket path '%s' is too long", address->path);
        wording_add_hint(error, "Path must be less than %zu bytes", sizeof(to.sun_path));
        return -1;
    }
    memcpy(to.sun_path, address->path, len);
    fd = connect_to((struct sockaddr *)&to, sizeof(to));
    return fd >= 0 ? fd : fail_connect(error, address->path, errno);
}

static int connect_inet(const struct nbd_address *address, GError **error)
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME | AI_V4MAPPED | AI_ADDRCONFIG,
                             .ai_socktype = SOCK_STREAM};
    g_autofree char *where = g_strdup_printf("%s:%s", address->host, address->port);
    struct addrinfo *found = NULL;
    int number = getaddrinfo(address->host, address->port, &hints, &found), fd = -1, one = 1;

    if (number != 0) {
        wording_fail(error, "address resolution failed for %s: %s", where, gai_strerror(number));
        return -1;
    }
    number = ECONNREFUSED;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = connect_to(at->ai_addr, at->ai_addrlen);
        number = errno;
    }
    freeaddrinfo(found);
    if (fd < 0) {
        return fail_connect(error, where, number);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int connect_vsock(const struct nbd_address *address, GError **error)
{
    g_autofree char *where = g_strdup_printf("%s:%s", address->host, address->port);
    struct sockaddr_vm to = {.svm_family = AF_VSOCK};
    guint64 cid, port;
    int fd;

    if (!g_ascii_string_to_unsigned(address->host, 10, 0, UINT32_MAX, &cid, NULL)) {
        wording_fail(error, "Failed to parse cid '%s'", address->host);
        return -1;
    }
    if (!g_ascii_string_to_unsigned(address->port, 10, 0, UINT32_MAX, &port, NULL)) {
        wording_fail(error, "Failed to parse port '%s'", address->port);
        return -1;
    }
    to.svm_cid = (unsigned)cid;
    to.svm_port = (unsigned)port;
    fd = connect_to((struct sockaddr *)&to, sizeof(to));
    return fd >= 0 ? fd : fail_connect(error, where, errno);
}

/* A connection that the caller has handed down. */
static int take_descriptor(const struct nbd_address *address, GError **error)
{
    int kind;
    socklen_t len = sizeof(kind);
    guint64 fd;

    if (!g_ascii_string_to_unsigned(address->path, 10, 0, INT32_MAX, &fd, NULL)) {
        wording_fail(error, "Invalid file descriptor '%s'", address->path);
        return -1;
    }
    if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &kind, &len) != 0) {
        wording_fail(error, "File descriptor '%s' is not a socket", address->path);
        return -1;
    }
    return (int)fd;
}

static int connect_once(const struct nbd_address *address, GError **error)
{
    switch (address->family) {
    case NBD_UNIX:
        return connect_unix(address, error);
    case NBD_VSOCK:
        return connect_vsock(address, error);
    case NBD_FD:
        return take_descriptor(address, error);
    default:
        return connect_inet(address, error);
    }
}

int nbd_connect(const struct nbd_address *address, GError **error)
{
    gint64 patience = (gint64)MIN(address->open_timeout_seconds, G_MAXINT32) * G_USEC_PER_SEC;
    gint64 until = g_get_monotonic_time() + patience;
    GError *cause = NULL;
    int fd;

    while ((fd = connect_once(address, &cause)) < 0 && g_get_monotonic_time() < until) {
        g_clear_error(&cause);
        g_usleep(RETRY_USECS);
    }
    if (cause != NULL) {
        g_propagate_error(error, cause);
    }
    return fd;
}
