/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of endpoint provides, and the state that all kinds share. Only files of src/io, and
 * the kind that src/copy adds, include this.
 */
#ifndef INSTAR_SRC_IO_ENDPOINT_OPS_H
#define INSTAR_SRC_IO_ENDPOINT_OPS_H

#include <sys/stat.h>

#include "src/io/endpoint.h"

/*
 * Verbs return 0 or an errno and may be called from several threads at once. endpoint.c has
 * checked that [offset, offset + len) does not overflow and that len is not 0.
 */
struct endpoint_ops {
    const char *protocol;

    /* Both transfer everything; pread has zeros past the end. */
    int (*pread)(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len);
    int (*pwritev)(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov, int iovcnt,
                   size_t len);

    /* EOPNOTSUPP makes endpoint.c write zeros. */
    int (*zero)(struct endpoint *endpoint, uint64_t offset, uint64_t len, gboolean unmap);

    int (*discard)(struct endpoint *endpoint, uint64_t offset, uint64_t len);
    int (*allocate)(struct endpoint *endpoint, uint64_t offset, uint64_t len);
    int (*truncate)(struct endpoint *endpoint, uint64_t size_bytes);
    int (*flush)(struct endpoint *endpoint);
    void (*write_back)(struct endpoint *endpoint, uint64_t offset, uint64_t len); /* may be NULL */
    void (*forget)(struct endpoint *endpoint, uint64_t offset, uint64_t len);     /* may be NULL */

    /* The run at offset, which lies inside the file; *out_len may exceed what was asked. */
    int (*status)(struct endpoint *endpoint, uint64_t offset, uint64_t *out_len,
                  gboolean *out_hole);

    gboolean (*allocated)(struct endpoint *endpoint, uint64_t *out_bytes);
    struct endpoint *(*below)(struct endpoint *endpoint); /* what holds the bytes at last */
    void (*free)(struct endpoint *endpoint);              /* what the kind added; may be NULL */
};

/* Whether blocks are asked for ahead of a file's long writes. */
enum reserving {
    RESERVE_NEVER,
    RESERVE_UNKNOWN, /* what file system it is was not asked yet */
    RESERVE_BLOCKS,
};

struct endpoint {
    const struct endpoint_ops *ops;
    int refs; /* atomic */
    char *path;
    gboolean from_image; /* an image chose the path */
    gboolean writable;
    struct cache_mode cache;
    uint32_t alignment;

    /* Grows under `lock`; read without it where an old value does no harm. */
    uint64_t size_bytes;
    GMutex lock;

    /* The last answer of status, valid while known. Under `lock`. */
    gboolean run_known, run_hole;
    uint64_t run_start, run_end;

    /* file and host_device */
    int fd;          /* -1: none */
    int buffered_fd; /* O_DIRECT endpoints: for what is not aligned; else the same as fd */
    dev_t dev;
    ino_t ino;
    gboolean no_punch, no_zero_range; /* the kernel said so once */
    uint64_t touched_to;              /* behind it nothing was ever written: zeros. Only grows */
    int reserves;                     /* atomic, enum reserving: for reserve.c */
    gboolean sparse;                  /* most of it was a hole when it was opened */
    uint64_t reserved_to;             /* blocks are there up to here. Under `lock` */

    void *private_data;
};

struct endpoint *endpoint_alloc(const struct endpoint_ops *ops, const char *path);

/* One over another, with its path, size and abilities; it is not referenced. */
struct endpoint *endpoint_alloc_over(const struct endpoint_ops *ops, struct endpoint *base);

/* The size, as other threads may have changed it. */
uint64_t endpoint_load_size(const struct endpoint *endpoint);
void endpoint_store_size(struct endpoint *endpoint, uint64_t size_bytes);

/* Over a descriptor (descriptor.c): transfers that are continued, bounced where O_DIRECT asks. */
int descriptor_pread(struct endpoint *endpoint, uint64_t offset, void *buf, size_t len);
int descriptor_pwritev(struct endpoint *endpoint, uint64_t offset, const struct iovec *iov,
                       int iovcnt, size_t len);
int descriptor_flush(struct endpoint *endpoint);
void descriptor_write_back(struct endpoint *endpoint, uint64_t offset, uint64_t len);
int descriptor_fallocate(struct endpoint *endpoint, int mode, uint64_t offset, uint64_t len);
uint32_t descriptor_direct_alignment(int fd);

/*
 * Blocks ahead of long writes (reserve.c), which gain speed and change nothing else: once after
 * opening a regular file; before a write inside it; before one that grows it, `lock` held; and
 * before it is closed.
 */
void reserve_begin(struct endpoint *endpoint, const struct stat *st);
void reserve_inside(struct endpoint *endpoint, uint64_t offset, uint64_t len);
void reserve_growth(struct endpoint *endpoint, uint64_t offset, uint64_t len);
void reserve_end(struct endpoint *endpoint);

extern const struct endpoint_ops file_ops;
extern const struct endpoint_ops host_device_ops;

/* Sizes a device; 0 for one that has no size. Returns 0 or an errno. */
int host_device_size(int fd, uint64_t *out_bytes);

#endif
