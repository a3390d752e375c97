/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openat2 with RESOLVE_BENEATH, or a walk that follows no links where the kernel (or a syscall
 * filter around us) does not offer it.
 */
#include "src/io/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>

static int open_by_kernel(int dir_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do {
        /* EAGAIN: a component was renamed meanwhile */
        fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return (int)fd;
}

static int open_by_walk(int dir_fd, const char *path, int flags)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    int at = dir_fd;
    int fd = -1;
    int saved_errno;

    if (*path == '/') {
        errno = EXDEV;
        return -1;
    }
    for (size_t i = 0; parts[i] != NULL; i++) {
        gboolean last = parts[i + 1] == NULL;

        if (strcmp(parts[i], "..") == 0) {
            fd = -1;
            errno = EXDEV;
        } else {
            const char *name = *parts[i] == '\0' ? "." : parts[i];

            fd = openat(at, name,
                        last ? flags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        saved_errno = errno;
        if (at != dir_fd) {
            close(at);
        }
        errno = saved_errno;
        if (fd < 0) {
            return -1;
        }
        at = fd;
    }
    return fd;
}

int open_beneath(int dir_fd, const char *path, int flags)
{
    int fd = open_by_kernel(dir_fd, path, flags | O_CLOEXEC);

    /* EPERM is how some syscall filters refuse what they do not know. */
    if (fd < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
        fd = open_by_walk(dir_fd, path, flags | O_CLOEXEC);
    }
    return fd;
}
