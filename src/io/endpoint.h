/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint: something that holds bytes and that the host has opened.
 *
 * One struct, a table of verbs behind it; one .c file a kind: file.c (regular files), host_device.c
 * (block devices), null.c, buffer.c (tests). All verbs but the first two are safe to call from
 * several threads at once.
 */
#ifndef INSTAR_SRC_IO_ENDPOINT_H
#define INSTAR_SRC_IO_ENDPOINT_H

#include <glib.h>
#include <stdint.h>
#include <sys/uio.h>

#include "compat/cache.h"

struct endpoint;

enum endpoint_flags {
    ENDPOINT_WRITE = 1,  /* open read-write */
    ENDPOINT_CREATE = 2, /* create or truncate, mode 0644 less umask */
    ENDPOINT_NO_LOCK = 4,
};

/*
 * Opens a file or block device by path.
 *
 * in:      dir_fd: AT_FDCWD, or a directory below which the path must resolve (openat2
 *          RESOLVE_BENEATH) when `beneath`
 * returns: NULL with G_IO_ERROR-like error whose message is qemu's detail ("Could not open 'x':
 * ..."); endpoint_errno gives the number
 */
struct endpoint *endpoint_open(int dir_fd, const char *path, gboolean beneath, unsigned flags,
                               const struct cache_mode *cache, GError **error);
void endpoint_unref(struct endpoint *endpoint);
struct endpoint *endpoint_ref(struct endpoint *endpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(struct endpoint, endpoint_unref)

/* In memory, for tests; and the endpoint that reads as zeros and forgets what is written. */
struct endpoint *endpoint_new_buffer(const void *data, uint64_t size_bytes);
struct endpoint *endpoint_new_null(uint64_t size_bytes);

int endpoint_fd(const struct endpoint *endpoint); /* -1: none */
const char *endpoint_path(const struct endpoint *endpoint);
const char *endpoint_protocol(const struct endpoint *endpoint); /* "file", "host_device" ... */
uint64_t endpoint_size(struct endpoint *endpoint);              /* bytes, cached; see _truncate */
gboolean endpoint_allocated(struct endpoint *endpoint, uint64_t *out_bytes); /* st_blocks * 512 */
uint32_t endpoint_alignment(const struct endpoint *endpoint); /* 1, or what O_DIRECT demands */

/*
 * Data verbs. Each returns 0 or an errno; short transfers are continued; a read past the end gives
 * zeros for what lies past it. Unaligned requests on an O_DIRECT endpoint are bounced inside.
 */
int endpoint_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len);
int endpoint_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                     int iovcnt);
int endpoint_pwrite(struct endpoint *endpoint, uint64_t offset, const void *buf, size_t len);

/* Makes the range read as zeros; punches a hole when it may (unmap), writes zeros otherwise. */
int endpoint_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap);
int endpoint_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len);
int endpoint_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len);
int endpoint_truncate(struct endpoint *endpoint, uint64_t size_bytes);
int endpoint_flush(struct endpoint *endpoint); /* honours no_flush */
int endpoint_copy_range(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                        uint64_t to_offset, uint64_t len); /* EOPNOTSUPP when the kernel cannot */

/*
 * Where data and holes are: the run at `offset` and whether it is a hole.
 *
 * out:     *out_len > 0 bytes, *out_hole; a host that cannot tell says "data" to the end
 * returns: 0 or an errno
 */
int endpoint_status(struct endpoint *endpoint, uint64_t offset, uint64_t len, uint64_t *out_len,
                    gboolean *out_hole);

#endif
