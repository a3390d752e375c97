/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's advisory locks on an image file, so that a running QEMU and this program exclude each
 * other.
 *
 * A holder of permission i holds a shared lock on byte 100 + i of the file; one who does not let
 * others have permission i holds a shared lock on byte 200 + i. After taking its own bytes, each
 * looks whether somebody else holds the opposite byte. Locks belong to the open file description.
 */
#ifndef INSTAR_SRC_IO_LOCKS_H
#define INSTAR_SRC_IO_LOCKS_H

#include "src/io/endpoint.h"

enum permission {
    PERMISSION_CONSISTENT_READ = 1 << 0,
    PERMISSION_WRITE = 1 << 1,
    PERMISSION_WRITE_UNCHANGED = 1 << 2,
    PERMISSION_RESIZE = 1 << 3,
    PERMISSION_ALL = (1 << 4) - 1,
};

/*
 * Takes locks and drops those held before.
 *
 * in:      used: permissions to hold; unshared: permissions nobody else may hold
 * returns: FALSE with stock's sentence (`Failed to get "write" lock` and its hint); the endpoint
 *          then holds no lock. Endpoints without a file always succeed
 */
gboolean locks_take(struct endpoint *endpoint, unsigned used, unsigned unshared, GError **error);

/* The same on a descriptor; path is for the hint. */
gboolean locks_take_fd(int fd, const char *path, unsigned used, unsigned unshared, GError **error);

/* Drops all locks that the open file description holds. */
void locks_drop_fd(int fd);

#endif
