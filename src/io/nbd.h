/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network block devices.
 *
 * The host finds the server and connects; what the server says is read by a forked process that can
 * do nothing but talk over that one connection (nbd_peer.h).
 */
#ifndef INSTAR_SRC_IO_NBD_H
#define INSTAR_SRC_IO_NBD_H

#include "src/io/endpoint.h"

enum nbd_family { NBD_UNIX, NBD_INET, NBD_VSOCK, NBD_FD };

struct nbd_address {
    enum nbd_family family;
    char *path;                    /* NBD_UNIX; NBD_FD: the descriptor's number */
    char *host, *port;             /* NBD_INET; NBD_VSOCK: numbers */
    char *export;                  /* NULL: none was named, which asks for "" */
    uint64_t open_timeout_seconds; /* how long to go on trying */
};

void nbd_address_free(struct nbd_address *address);

/* The plain name that leads to an address, newly allocated; NULL: none does. */
char *nbd_address_name(const struct nbd_address *address);

/*
 * Connects.
 *
 * returns: a socket; -1 with stock's sentence: Failed to connect to 'X': ..., address resolution
 *          failed for X: ..., File descriptor 'X' is not a socket
 */
int nbd_connect(const struct nbd_address *address, GError **error);

/*
 * Opens an export.
 *
 * in:      flags: ENDPOINT_WRITE
 * returns: NULL with stock's sentence: those of nbd_connect, Requested export not available, Could
 *          not open image: Permission denied (of an export that may only be read)
 */
struct endpoint *endpoint_new_nbd(const struct nbd_address *address, unsigned flags,
                                  const struct cache_mode *cache, GError **error);

#endif
