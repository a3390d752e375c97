/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files and devices: which kind it is, with which flags, and stock's sentence when it
 * fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/io/beneath.h"
#include "src/io/endpoint_ops.h"
#include "src/io/locks.h"

#define CREATE_MODE 0644

struct open_request {
    int dir_fd;
    const char *path;
    const char *display;
    gboolean beneath;
    unsigned flags;
    struct cache_mode cache;
};

/* What an image names may steer a terminal; what the user typed is the user's own affair. */
static char *shown_name(const struct open_request *request)
{
    if ((request->flags & ENDPOINT_FROM_IMAGE) == 0) {
        return g_strdup(request->display);
    }
    return wording_escape_span((const uint8_t *)request->display, strlen(request->display));
}

/* Keeps the sentence of `cause` and puts the errno into the code. */
static void set_error(GError **error, GError *cause, int saved_errno)
{
    g_set_error_literal(error, ENDPOINT_ERROR, saved_errno, cause->message);
    g_error_free(cause);
}

static void set_errno(GError **error, const struct open_request *request, int saved_errno)
{
    g_autofree char *shown = shown_name(request);
    GError *cause = NULL;

    if ((request->flags & ENDPOINT_CREATE) != 0) {
        wording_set_create_errno(&cause, shown, saved_errno);
    } else {
        wording_set_open_errno(&cause, shown, saved_errno);
    }
    set_error(error, cause, saved_errno);
}

static int open_flags(const struct open_request *request, gboolean direct)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    flags |= (request->flags & ENDPOINT_WRITE) != 0 ? O_RDWR : O_RDONLY;
    flags |= (request->flags & ENDPOINT_CREATE) != 0 ? O_CREAT : 0;
    flags |= request->cache.writethrough ? O_DSYNC : 0;
    flags |= direct ? O_DIRECT : 0;
    return flags;
}

static int open_path(const struct open_request *request, int flags)
{
    int fd;

    if (request->beneath) {
        return open_beneath(request->dir_fd, request->path, flags & ~O_CREAT);
    }
    do {
        fd = openat(request->dir_fd, request->path, flags, CREATE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/*
 * Files that an image names are looked at before they are opened: opening some devices does things.
 */
static gboolean harmless_to_open(const struct open_request *request, GError **error)
{
    struct stat st;
    int fd;
    int err;

    if ((request->flags & ENDPOINT_FROM_IMAGE) == 0) {
        return TRUE;
    }
    fd = open_path(request, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        set_errno(error, request, errno);
        return FALSE;
    }
    err = fstat(fd, &st) != 0 ? errno : 0;
    close(fd);
    if (err == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode)) {
        err = EACCES;
    }
    if (err != 0) {
        set_errno(error, request, err);
        return FALSE;
    }
    return TRUE;
}

static gboolean pick_kind(const struct open_request *request, const struct stat *st,
                          const struct endpoint_ops **out, GError **error)
{
    g_autofree char *shown = shown_name(request);

    if (S_ISREG(st->st_mode)) {
        *out = &file_ops;
    } else if (S_ISBLK(st->st_mode) ||
               (S_ISCHR(st->st_mode) && (request->flags & ENDPOINT_FROM_IMAGE) == 0)) {
        *out = &host_device_ops;
    } else {
        *out = NULL;
    }
    if (*out != &host_device_ops && (request->flags & ENDPOINT_ONLY_DEVICE) != 0) {
        g_set_error(error, ENDPOINT_ERROR, EINVAL,
                    "'host_device' driver requires '%s' to be either a character or block device",
                    shown);
        return FALSE;
    }
    if (*out == NULL || (*out != &file_ops && (request->flags & ENDPOINT_ONLY_FILE) != 0)) {
        g_set_error(error, ENDPOINT_ERROR, EINVAL,
                    "'file' driver requires '%s' to be a regular file", shown);
        return FALSE;
    }
    return TRUE;
}

/* A second descriptor for what is not aligned; it must be the same file, not one of that name. */
static gboolean open_buffered(struct endpoint *endpoint, const struct open_request *request,
                              GError **error)
{
    int fd = open_path(request, open_flags(request, FALSE) & ~O_CREAT);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        set_errno(error, request, errno);
        if (fd >= 0) {
            close(fd);
        }
        return FALSE;
    }
    endpoint->buffered_fd = fd;
    if (st.st_dev != endpoint->dev || st.st_ino != endpoint->ino) {
        set_errno(error, request, ESTALE);
        return FALSE;
    }
    return TRUE;
}

static void clear_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0) {
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
}

/* What stock holds while it creates a file; the locks go with the truncation. */
static gboolean truncate_created(const struct open_request *request, int fd, GError **error)
{
    GError *cause = NULL;
    int err = 0;

    if ((request->flags & ENDPOINT_NO_LOCK) == 0 &&
        !locks_take_fd(fd, request->display, PERMISSION_WRITE | PERMISSION_RESIZE,
                       PERMISSION_RESIZE, &cause)) {
        set_error(error, cause, EAGAIN);
        return FALSE;
    }
    if (ftruncate(fd, 0) != 0) {
        err = errno;
    }
    if ((request->flags & ENDPOINT_NO_LOCK) == 0) {
        locks_drop_fd(fd);
    }
    if (err != 0) {
        set_errno(error, request, err);
        return FALSE;
    }
    return TRUE;
}

static gboolean find_size(struct endpoint *endpoint, const struct open_request *request,
                          const struct stat *st, GError **error)
{
    int err = 0;

    if (endpoint->ops == &file_ops) {
        endpoint->size_bytes = endpoint->touched_to = (uint64_t)st->st_size;
        reserve_begin(endpoint, st);
    } else {
        err = host_device_size(endpoint->fd, &endpoint->size_bytes);
    }
    if (err != 0) {
        set_errno(error, request, err);
    }
    return err == 0;
}

/* A device that may only be read is opened for writing all the same. */
static gboolean device_takes_writes(int fd, GError **error)
{
    int read_only = 0;

    if (ioctl(fd, BLKROGET, &read_only) != 0 || !read_only) {
        return TRUE;
    }
    g_set_error(error, ENDPOINT_ERROR, EACCES, "The device is not writable: %s",
                g_strerror(EACCES));
    return FALSE;
}

static struct endpoint *open_request_run(const struct open_request *request, GError **error)
{
    g_autoptr(Endpoint) endpoint = NULL;
    const struct endpoint_ops *ops;
    struct stat st;
    int fd;

    if (!harmless_to_open(request, error)) {
        return NULL;
    }
    fd = open_path(request, open_flags(request, request->cache.direct));
    if (fd < 0 && errno == EINVAL && request->cache.direct) {
        g_set_error(error, ENDPOINT_ERROR, EINVAL,
                    "Could not open '%s': filesystem does not support O_DIRECT", request->display);
        return NULL;
    }
    if (fd < 0) {
        set_errno(error, request, errno);
        return NULL;
    }
    endpoint = endpoint_alloc(&file_ops, request->display);
    endpoint->fd = endpoint->buffered_fd = fd;
    endpoint->cache = request->cache;
    endpoint->from_image = (request->flags & ENDPOINT_FROM_IMAGE) != 0;
    endpoint->writable = (request->flags & ENDPOINT_WRITE) != 0;
    if (fstat(fd, &st) != 0) {
        set_errno(error, request, errno);
        return NULL;
    }
    if (!pick_kind(request, &st, &ops, error)) {
        return NULL;
    }
    endpoint->ops = ops;
    if (endpoint->writable && S_ISBLK(st.st_mode) && !device_takes_writes(fd, error)) {
        return NULL;
    }
    endpoint->dev = st.st_dev;
    endpoint->ino = st.st_ino;
    clear_nonblock(fd);
    if ((request->flags & ENDPOINT_CREATE) != 0 && ops == &file_ops) {
        if (!truncate_created(request, fd, error)) {
            return NULL;
        }
        st.st_size = 0;
    }
    if (!find_size(endpoint, request, &st, error)) {
        return NULL;
    }
    if (request->cache.direct) {
        endpoint->alignment = descriptor_direct_alignment(fd);
        if (endpoint->writable && !open_buffered(endpoint, request, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&endpoint);
}

struct endpoint *endpoint_open_named(int dir_fd, const char *path, const char *display,
                                     gboolean beneath, unsigned flags,
                                     const struct cache_mode *cache, GError **error)
{
    struct open_request request = {
        .dir_fd = dir_fd,
        .path = path,
        .display = display,
        .beneath = beneath,
        .flags = flags,
    };

    if ((flags & ENDPOINT_CREATE) != 0) {
        request.flags |= ENDPOINT_WRITE;
    }
    if (cache != NULL) {
        request.cache = *cache;
    }
    return open_request_run(&request, error);
}

struct endpoint *endpoint_open(int dir_fd, const char *path, gboolean beneath, unsigned flags,
                               const struct cache_mode *cache, GError **error)
{
    return endpoint_open_named(dir_fd, path, path, beneath, flags, cache, error);
}
