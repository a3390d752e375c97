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
struct throttle_group; /* compat/throttle.h */

enum endpoint_flags {
    ENDPOINT_WRITE = 1,        /* open read-write */
    ENDPOINT_CREATE = 2,       /* create or truncate, mode 0644 less umask; implies WRITE */
    ENDPOINT_NO_LOCK = 4,      /* CREATE: truncate without asking whether somebody uses the file */
    ENDPOINT_ONLY_FILE = 8,    /* a regular file or nothing ("file" was asked for by name) */
    ENDPOINT_ONLY_DEVICE = 16, /* a device or nothing ("host_device" was asked for by name) */
    ENDPOINT_FROM_IMAGE = 32,  /* an image named it: regular files and block devices only */
};

/* Errors of endpoint_open; the code is the errno. */
#define ENDPOINT_ERROR (endpoint_error_quark())
GQuark endpoint_error_quark(void);

/*
 * Opens a file or block device by path.
 *
 * in:      dir_fd: AT_FDCWD, or a directory below which the path must resolve (openat2
 *          RESOLVE_BENEATH) when `beneath`
 *          cache: may be NULL, which means writeback
 * returns: NULL with ENDPOINT_ERROR whose message is qemu's detail ("Could not open 'x': ...",
 *          with CREATE "Could not create 'x': ...") and whose code is the errno. CREATE takes
 *          QEMU's write locks before it truncates (see src/io/locks.h) and drops them afterwards
 */
struct endpoint *endpoint_open(int dir_fd, const char *path, gboolean beneath, unsigned flags,
                               const struct cache_mode *cache, GError **error);

/*
 * The same, but messages and endpoint_path use `display` for the path.
 */
struct endpoint *endpoint_open_named(int dir_fd, const char *path, const char *display,
                                     gboolean beneath, unsigned flags,
                                     const struct cache_mode *cache, GError **error);

/* The errno behind an error of endpoint_open, 0 for any other error. */
int endpoint_errno(const GError *error);

void endpoint_unref(struct endpoint *endpoint);
struct endpoint *endpoint_ref(struct endpoint *endpoint);
typedef struct endpoint Endpoint; /* for g_autoptr, which wants one word */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Endpoint, endpoint_unref)

/* In memory, for tests; and the endpoint that reads as zeros and forgets what is written. */
struct endpoint *endpoint_new_buffer(const void *data, uint64_t size_bytes);
struct endpoint *endpoint_new_null(uint64_t size_bytes, uint64_t latency_nsecs);

/*
 * Two endpoints that must hold the same ("blkverify"): reads are compared, writes go to both. A
 * difference is told on stderr and ends the program. Sizes are those of `test`, places of `raw`.
 */
struct endpoint *endpoint_new_blkverify(struct endpoint *test, struct endpoint *raw);

/* One whose requests wait until the group may carry them out, which is copied. */
struct endpoint *endpoint_new_throttle(struct endpoint *base, const struct throttle_group *group);

/* What holds the bytes at last, borrowed: sees through kinds that only watch (blkdebug ...). */
struct endpoint *endpoint_below(struct endpoint *endpoint);

/*
 * A window of size_bytes onto another endpoint, from offset on. It does not grow.
 */
struct endpoint *endpoint_new_slice(struct endpoint *base, uint64_t offset, uint64_t size_bytes);

/*
 * Sees through slices: what holds the bytes, and where.
 *
 * out:     *offset is increased by the slices' offsets
 * returns: the endpoint below, borrowed; the same endpoint when it is no slice
 */
struct endpoint *endpoint_unslice(struct endpoint *endpoint, uint64_t *offset);

/* How often each verb of a buffer endpoint was called. */
struct endpoint_counts {
    unsigned reads, writes, zeroes, discards, truncates, flushes;
};
struct endpoint_counts endpoint_buffer_counts(struct endpoint *endpoint);

/* Makes every later read (or write) of a buffer endpoint that touches `offset` fail. 0: none. */
void endpoint_buffer_fail(struct endpoint *endpoint, gboolean write, uint64_t offset,
                          int error_number);

int endpoint_fd(const struct endpoint *endpoint); /* -1: none */
const char *endpoint_path(const struct endpoint *endpoint);

/*
 * The path as it may be shown to people: one that an image chose has control bytes escaped.
 *
 * returns: newly allocated
 */
char *endpoint_shown_path(const struct endpoint *endpoint);
const char *endpoint_protocol(const struct endpoint *endpoint); /* "file", "host_device" ... */

/* Whether it is a character device (/dev/null), which has no size and keeps nothing. */
gboolean endpoint_is_character(const struct endpoint *endpoint);
/* Says that a range was, or may be, written through endpoint_fd: its old contents are gone. */
void endpoint_note_write(struct endpoint *endpoint, uint64_t offset, uint64_t len);
uint64_t endpoint_size(struct endpoint *endpoint); /* bytes, cached; see _truncate */
gboolean endpoint_allocated(struct endpoint *endpoint, uint64_t *out_bytes); /* st_blocks * 512 */
gboolean endpoint_writable(const struct endpoint *endpoint);
gboolean endpoint_same_file(const struct endpoint *a, const struct endpoint *b); /* dev, inode */
uint32_t endpoint_alignment(const struct endpoint *endpoint); /* 1, or what O_DIRECT demands */

/*
 * Data verbs. Each returns 0 or an errno; short transfers are continued; a read past the end gives
 * zeros for what lies past it. Unaligned requests on an O_DIRECT endpoint are bounced inside.
 */
int endpoint_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len);
int endpoint_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                     int iovcnt);
int endpoint_pwrite(struct endpoint *endpoint, uint64_t offset, const void *buf, size_t len);

/*
 * Makes the range read as zeros; punches a hole when it may (unmap), keeps or writes blocks
 * otherwise. A range past the end of a file grows the file.
 */
int endpoint_zero(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap);

/* Gives blocks back; what the range reads as afterwards is not said. EOPNOTSUPP: nothing done. */
int endpoint_discard(struct endpoint *endpoint, uint64_t offset, uint64_t len);

/* Reserves blocks; contents are kept, new bytes read as zeros, the file grows. */
int endpoint_allocate(struct endpoint *endpoint, uint64_t offset, uint64_t len);
int endpoint_truncate(struct endpoint *endpoint, uint64_t size_bytes);
int endpoint_flush(struct endpoint *endpoint); /* honours no_flush */

/*
 * Says that a range was written and will be flushed: the kernel may begin with it. It does not wait
 * and does not fail; what goes wrong is told by endpoint_flush. Without flushes it does nothing.
 */
void endpoint_write_back(struct endpoint *endpoint, uint64_t offset, uint64_t len);

/*
 * Says that a range will not be read again before its blocks are given back: the kernel need not
 * keep it in its cache. No byte of the file changes. Without flushes, or where there is no cache,
 * it does nothing.
 */
void endpoint_forget(struct endpoint *endpoint, uint64_t offset, uint64_t len);
int endpoint_copy_range(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                        uint64_t to_offset, uint64_t len);
/*
 * Whether `to` can share blocks of `from`: regular files of one file system that has such blocks.
 * Nothing is changed.
 */
gboolean endpoint_can_share(struct endpoint *from, struct endpoint *to);

/*
 * Makes a range of `to` the same blocks as a range of `from`: no byte is moved, and either is
 * copied when it is written. Offsets and length are multiples of the file system's block, but for
 * the end of `from`.
 *
 * returns: 0 or errno; EINVAL for ranges that are not
 */
int endpoint_share_range(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                         uint64_t to_offset, uint64_t len);
/* EOPNOTSUPP when the kernel cannot */

/*
 * Where data and holes are: the run at `offset` and whether it is a hole.
 *
 * out:     *out_len > 0 bytes, *out_hole; a host that cannot tell says "data" to the end
 * returns: 0 or an errno
 */
int endpoint_status(struct endpoint *endpoint, uint64_t offset, uint64_t len, uint64_t *out_len,
                    gboolean *out_hole);

#endif
