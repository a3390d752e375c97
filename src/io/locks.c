/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-range locks. See locks.h for what each byte means (as observed of qemu-img 7.2 with strace).
 */
#include "src/io/locks.h"

#include <errno.h>
#include <fcntl.h>

#include "compat/wording.h"

#define USED_BASE      100
#define UNSHARED_BASE  200
#define NR_PERMISSIONS 4

static const char *const names[NR_PERMISSIONS] = {
    "consistent read",
    "write",
    "write unchanged",
    "resize",
};

static int set_byte(int fd, off_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Whether another open file description holds a lock on the byte. */
static gboolean byte_is_held(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void locks_drop_fd(int fd)
{
    struct flock lock = {
        .l_type = F_UNLCK,
        .l_whence = SEEK_SET,
        .l_start = USED_BASE,
        .l_len = UNSHARED_BASE + NR_PERMISSIONS - USED_BASE,
    };

    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

static gboolean take_bytes(int fd, off_t base, unsigned mask, GError **error)
{
    for (unsigned i = 0; i < NR_PERMISSIONS; i++) {
        int err = (mask & (1u << i)) != 0 ? set_byte(fd, base + i, F_RDLCK) : 0;

        if (err != 0) {
            g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Failed to lock byte %u",
                        (unsigned)base + i);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean nobody_objects(int fd, const char *path, unsigned used, unsigned unshared,
                               GError **error)
{
    for (unsigned i = 0; i < NR_PERMISSIONS; i++) {
        if ((used & (1u << i)) != 0 && byte_is_held(fd, UNSHARED_BASE + i)) {
            wording_set_lock(error, FALSE, names[i], path);
            return FALSE;
        }
    }
    for (unsigned i = 0; i < NR_PERMISSIONS; i++) {
        if ((unshared & (1u << i)) != 0 && byte_is_held(fd, USED_BASE + i)) {
            wording_set_lock(error, TRUE, names[i], path);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean locks_take_fd(int fd, const char *path, unsigned used, unsigned unshared, GError **error)
{
    locks_drop_fd(fd);
    if (take_bytes(fd, USED_BASE, used, error) && take_bytes(fd, UNSHARED_BASE, unshared, error) &&
        nobody_objects(fd, path, used, unshared, error)) {
        return TRUE;
    }
    locks_drop_fd(fd);
    return FALSE;
}

gboolean locks_take(struct endpoint *endpoint, unsigned used, unsigned unshared, GError **error)
{
    g_autofree char *shown = endpoint_shown_path(endpoint);
    int fd = endpoint_fd(endpoint);

    return fd < 0 || locks_take_fd(fd, shown, used, unshared, error);
}
