/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/create_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/graph/protocol.h"

#define DEVICE_PREFIX "host_device:"
#define FILE_PREFIX   "file:"
#define ZERO_BYTES    (1u << 20)
#define SECTOR_BYTES  512u

const char *create_file_path(const char *name)
{
    if (g_str_has_prefix(name, FILE_PREFIX))
        return name + strlen(FILE_PREFIX);
    if (g_str_has_prefix(name, DEVICE_PREFIX))
        return name + strlen(DEVICE_PREFIX);
    return name;
}

static gboolean is_device_path(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

/* The protocol whose targets are not made but must be there; NULL: files are made. */
static const char *existing_protocol(const char *name, const char *protocol)
{
    const struct driver *driver;

    if (protocol != NULL)
        return protocol;
    if (g_str_has_prefix(name, DEVICE_PREFIX) ||
        (create_file_path(name) == name && is_device_path(name)))
        return "host_device";
    driver = driver_of_name(name, NULL);
    return driver != NULL && strcmp(driver->name, "nbd") == 0 ? driver->name : NULL;
}

static struct endpoint *open_existing(const char *name, const char *protocol,
                                      const struct cache_mode *cache, GError **error)
{
    gboolean device = strcmp(protocol, "host_device") == 0;
    struct endpoint *endpoint =
        device ? endpoint_open(AT_FDCWD, create_file_path(name), FALSE,
                               ENDPOINT_WRITE | ENDPOINT_ONLY_DEVICE, cache, error)
               : leaf_open_protocol(name, protocol, ENDPOINT_WRITE, cache, error);
    if (endpoint == NULL)
        g_prefix_error(error,
                       profile_get()->id == PROFILE_7_2
                           ? "Protocol driver '%s' does not support image creation, and "
                             "opening the image failed: "
                           : "Protocol driver '%s' does not support creating new images, "
                             "so an existing image must be selected as the target; however, "
                             "opening the given target as an existing image failed: ",
                       protocol);
    return endpoint;
}

/* Wishes to the file system; where it has no such thing, stock says nothing either. */
static void set_attributes(int fd, const struct create_file *options)
{
    int flags;
    if (options->nocow && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    if (options->extent_size_hint_bytes) {
        struct fsxattr attributes;
        if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
            attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
            attributes.fsx_extsize = (uint32_t)options->extent_size_hint_bytes;
            /* a hint that nobody asked for may go unheard */
            if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes) != 0 && options->have_extent_size_hint)
                report_warning("Failed to set extent size hint: %s", g_strerror(errno));
        }
    }
}

struct endpoint *create_file_open(const char *name, const char *protocol,
                                  const struct create_file *options, gboolean no_flush,
                                  gboolean *out_made, GError **error)
{
    const char *path = create_file_path(name);
    struct cache_mode cache = no_flush ? CACHE_UNSAFE : CACHE_WRITEBACK;
    gboolean existed = access(path, F_OK) == 0;

    *out_made = FALSE;
    protocol = existing_protocol(name, protocol);
    if (protocol != NULL)
        return open_existing(name, protocol, &cache, error);
    struct endpoint *endpoint =
        endpoint_open(AT_FDCWD, path, FALSE, ENDPOINT_CREATE, &cache, error);
    if (endpoint == NULL)
        return NULL;
    if (strcmp(endpoint_protocol(endpoint), "file") == 0 && endpoint_fd(endpoint) >= 0)
        set_attributes(endpoint_fd(endpoint), options);
    *out_made = !existed;
    return endpoint;
}

static gboolean is_device(struct endpoint *endpoint)
{
    return strcmp(endpoint_protocol(endpoint_below(endpoint)), "file") != 0;
}

gboolean create_file_is_block(struct endpoint *endpoint)
{
    return is_device(endpoint) && !endpoint_is_character(endpoint_below(endpoint));
}

/* What stock calls that which has the size it has. */
static const char *things_of(struct endpoint *endpoint)
{
    return strcmp(endpoint_protocol(endpoint_below(endpoint)), "nbd") == 0 ? "NBD nodes"
                                                                           : "device files";
}

static gboolean fail(GError **error, const char *sentence, int number)
{
    g_set_error(error, COMPAT_ERROR, number == EFBIG ? COMPAT_ERROR_LARGE : COMPAT_ERROR_SYSTEM,
                "%s: %s", sentence, g_strerror(number));
    return FALSE;
}

static int write_zeros(struct endpoint *endpoint, uint64_t offset, uint64_t len)
{
    g_autofree uint8_t *zeros = g_malloc0(ZERO_BYTES);
    int err = 0;
    while (len != 0 && err == 0) {
        size_t n = (size_t)MIN(len, ZERO_BYTES);
        err = endpoint_pwrite(endpoint, offset, zeros, n);
        offset += n;
        len -= n;
    }
    return err;
}

/* How much of a device is cleared: older versions do not ask what its sectors are. */
static uint64_t first_sector(struct endpoint *endpoint)
{
    int bytes = 0;

    if (profile_get()->id < PROFILE_11_1 || ioctl(endpoint_fd(endpoint), BLKSSZGET, &bytes) != 0 ||
        bytes < (int)SECTOR_BYTES)
        return SECTOR_BYTES;
    return (uint64_t)bytes;
}

/* A device has its size; what an older image left in its first sector must not be found again. */
static gboolean resize_device(struct endpoint *endpoint, uint64_t size_bytes, GError **error)
{
    uint64_t capacity = endpoint_size(endpoint);
    if (size_bytes > capacity) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Cannot grow %s",
                    things_of(endpoint));
        return FALSE;
    }
    int err = write_zeros(endpoint, 0, MIN(capacity, first_sector(endpoint)));
    return err == 0 || fail(error, "Failed to clear the new image's first sector", err);
}

static gboolean set_size(struct endpoint *endpoint, uint64_t size_bytes,
                         enum prealloc_mode preallocation, GError **error)
{
    uint64_t old = endpoint_size(endpoint);
    int err = 0;
    if (size_bytes > G_MAXINT64)
        return fail(error, "Could not resize file", EINVAL);
    if (preallocation == PREALLOC_FALLOC && size_bytes > old) {
        err = endpoint_allocate(endpoint, old, size_bytes - old);
        if (err)
            return fail(error, "Could not preallocate new data", err);
    }
    if (preallocation == PREALLOC_FULL && size_bytes > old) {
        err = write_zeros(endpoint, old, size_bytes - old);
        if (err)
            return fail(error, "Could not write zeros for preallocation", err);
        err = endpoint_flush(endpoint);
        if (err)
            return fail(error, "Could not flush file to disk", err);
    }
    err = endpoint_truncate(endpoint, size_bytes);
    return err == 0 || fail(error, "Could not resize file", err);
}

gboolean create_file_resize(struct endpoint *endpoint, uint64_t size_bytes,
                            enum prealloc_mode preallocation, GError **error)
{
    return is_device(endpoint) ? resize_device(endpoint, size_bytes, error)
                               : set_size(endpoint, size_bytes, preallocation, error);
}

gboolean create_file_set_size(struct endpoint *endpoint, uint64_t size_bytes,
                              enum prealloc_mode preallocation, GError **error)
{
    if (!is_device(endpoint))
        return set_size(endpoint, size_bytes, preallocation, error);
    if (preallocation != PREALLOC_OFF) {
        static const char *const words[] = {"off", "metadata", "falloc", "full"};
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Preallocation mode '%s' unsupported for this non-regular file",
                    words[preallocation]);
        return FALSE;
    }
    if (size_bytes == endpoint_size(endpoint))
        return TRUE;
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Cannot resize %s", things_of(endpoint));
    return FALSE;
}
