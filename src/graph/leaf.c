/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file at the bottom of a layer: one that the user named, with the raw windows over it, or one
 * that an image named, as policy has it opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "compat/driver.h"
#include "compat/wording.h"
#include "src/copy/image_endpoint.h"
#include "src/graph/keys.h"
#include "src/graph/layer.h"
#include "src/graph/protocol.h"
#include "src/io/blkdebug.h"

#define SECTOR 512u

uint64_t leaf_size(struct endpoint *endpoint)
{
    uint64_t size = endpoint_size(endpoint);

    return size > INT64_MAX - SECTOR ? size : (size + SECTOR - 1) / SECTOR * SECTOR;
}

static int open_directory(const char *path)
{
    int fd;

    do {
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens what an image names, in the way that policy gave. */
static struct endpoint *open_way(const struct policy_way *way, const struct wire_ref *ref,
                                 unsigned flags, const struct cache_mode *cache, GError **error)
{
    GError *cause = NULL;
    struct endpoint *endpoint;
    int dir_fd = AT_FDCWD;

    flags |= ENDPOINT_FROM_IMAGE;
    if (way->directory != NULL) {
        dir_fd = open_directory(way->directory);
        if (dir_fd < 0) {
            wording_set_open_errno(error, way->display, errno);
            return NULL;
        }
    }
    endpoint = endpoint_open_named(dir_fd, way->path, way->display, way->directory != NULL, flags,
                                   cache, &cause);
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    if (endpoint == NULL && way->directory != NULL && endpoint_errno(cause) == EXDEV) {
        g_clear_error(&cause);
        policy_refuse_escape(ref, error);
    } else if (endpoint == NULL) {
        g_propagate_error(error, cause);
    }
    return endpoint;
}

/* Puts a slice over an endpoint, with raw's complaints. Takes over and gives back a reference. */
static struct endpoint *apply_slice(struct endpoint *endpoint, const struct slice *slice,
                                    GError **error)
{
    uint64_t available = leaf_size(endpoint);
    uint64_t offset = slice->have_offset ? slice->offset_bytes : 0;
    uint64_t size;
    struct endpoint *window;

    if (offset > available) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Offset (%" G_GUINT64_FORMAT ") cannot be greater than size of the "
                    "containing file (%" G_GUINT64_FORMAT ")",
                    offset, available);
        endpoint_unref(endpoint);
        return NULL;
    }
    size = slice->have_size ? slice->size_bytes : available - offset;
    if (slice->have_size && size > available - offset) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "The sum of offset (%" G_GUINT64_FORMAT ") and size (%" G_GUINT64_FORMAT
                    ") has to be smaller or equal to the  actual size of the containing file "
                    "(%" G_GUINT64_FORMAT ")",
                    offset, size, available);
        endpoint_unref(endpoint);
        return NULL;
    }
    if (slice->have_size && size % SECTOR != 0) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Specified size is not multiple of 512");
        endpoint_unref(endpoint);
        return NULL;
    }
    window = endpoint_new_slice(endpoint, offset, size);
    endpoint_unref(endpoint);
    return window;
}

static struct endpoint *open_protocol(const struct name *name, unsigned flags, GError **error)
{
    if (name->leaf == LEAF_NULL) {
        return endpoint_new_null(name->null_bytes, name->null_latency_nsecs);
    }
    if (name->leaf == LEAF_NBD) {
        return endpoint_new_nbd(name->nbd, flags, &name->cache, error);
    }
    return endpoint_open(AT_FDCWD, name->path, FALSE, flags | name->endpoint_flags, &name->cache,
                         error);
}

struct endpoint *leaf_open_protocol(const char *text, const char *driver, unsigned flags,
                                    const struct cache_mode *cache, GError **error)
{
    struct name_request request = {.text = text, .format = driver, .cache = *cache};
    g_autoptr(Name) name = name_parse(&request, error);

    return name != NULL ? open_protocol(name, flags, error) : NULL;
}

/* The disk of an image that lies below another. */
static struct endpoint *open_disk(struct name *name, unsigned flags,
                                  const struct image_open_options *options, GError **error)
{
    struct image_open_options inner = *options;
    struct image *image;

    inner.read_write = (flags & ENDPOINT_WRITE) != 0;
    inner.for_check = inner.native_aio = FALSE;
    inner.format = inner.key_secret = inner.encrypt_secret = NULL;
    image = image_open_tree(name, &inner, error);
    return image != NULL ? endpoint_new_image(image, inner.read_write, error) : NULL;
}

static gboolean has_slice(const struct slice *slice)
{
    return slice->have_offset || slice->have_size;
}

/* Puts a node over what is below it. Takes over a reference and gives back another. */
static struct endpoint *put_node(const struct name_node *node, struct endpoint *below,
                                 struct endpoint *raw, GError **error)
{
    const struct throttle_group *group =
        node->throttle_group != NULL ? keys_find_throttle(node->throttle_group) : NULL;
    struct endpoint *over;

    if (node->kind == NODE_RAW && has_slice(&node->slice)) {
        return apply_slice(below, &node->slice, error);
    }
    if (node->kind == NODE_BLKDEBUG) {
        over = endpoint_new_blkdebug(below, node->rules, (uint32_t)node->alignment);
    } else if (node->kind == NODE_BLKVERIFY) {
        over = endpoint_new_blkverify(below, raw);
    } else if (group != NULL && throttle_group_limits(group)) {
        over = endpoint_new_throttle(below, group);
    } else {
        return below;
    }
    endpoint_unref(below);
    return over;
}

/* What a filter asks of the node below it; a filter is never the last. */
static gboolean check_filter(const struct name *name, guint level, unsigned flags, GError **error)
{
    const struct name_node *node = g_ptr_array_index(name->nodes, level);
    const struct name_node *below;
    const char *driver;

    if (node->kind == NODE_FILTER && strcmp(node->driver, "copy-on-read") == 0) {
        /* It writes although everybody above only reads. */
        return (flags & ENDPOINT_WRITE) != 0 || wording_fail(error, "Block node is read-only");
    }
    if (node->kind != NODE_FILTER || strcmp(node->driver, "compress") != 0) {
        return TRUE;
    }
    below = g_ptr_array_index(name->nodes, level + 1);
    driver = below->driver != NULL ? below->driver : "file";
    return driver_find(driver)->can_compress ||
           wording_fail(error, "Compression is not supported for underlying format: %s", driver);
}

static void describe(const struct name_node *node, struct endpoint *endpoint, GPtrArray *files,
                     GPtrArray *raw_files)
{
    struct image_file *file = image_file_new(node->driver, node->display, endpoint);

    file->key = node->key;
    file->disk = node->kind == NODE_DISK ? endpoint_image(endpoint) : NULL;
    file->over = node->kind != NODE_RAW && node->kind != NODE_PROTOCOL && node->kind != NODE_DISK;
    file->watched = node->kind == NODE_BLKDEBUG || node->kind == NODE_BLKVERIFY;
    file->raw = raw_files != NULL ? g_ptr_array_ref(raw_files) : NULL;
    g_ptr_array_insert(files, 0, file);
}

/* One node and all below it; the endpoint and, if wanted, its description. */
static struct endpoint *open_node(const struct name *name, guint level, unsigned flags,
                                  const struct image_open_options *options, GPtrArray *files,
                                  GError **error)
{
    const struct name_node *node = g_ptr_array_index(name->nodes, level);
    g_autoptr(GPtrArray) raw_files = NULL;
    g_autoptr(Endpoint) raw = NULL;
    struct endpoint *endpoint;

    if (node->kind == NODE_BLKVERIFY) {
        raw_files = g_ptr_array_new_with_free_func(image_file_free);
        raw = open_node(node->other, 0, flags, options, raw_files, error);
        if (raw == NULL) {
            return NULL;
        }
    }
    if (node->kind == NODE_PROTOCOL) {
        endpoint = open_protocol(name, flags, error);
    } else if (node->kind == NODE_DISK) {
        endpoint = open_disk(node->other, flags, options, error);
    } else {
        endpoint = open_node(name, level + 1, flags, options, files, error);
        if (endpoint != NULL && !check_filter(name, level, flags, error)) {
            endpoint_unref(endpoint);
            return NULL;
        }
        endpoint = endpoint != NULL ? put_node(node, endpoint, raw, error) : NULL;
    }
    if (endpoint != NULL && node->late != NULL) {
        g_propagate_error(error, g_error_copy(node->late));
        endpoint_unref(endpoint);
        return NULL;
    }
    if (endpoint != NULL && files != NULL) {
        describe(node, endpoint, files, raw_files);
    }
    return endpoint;
}

struct endpoint *leaf_open(const struct name *name, unsigned flags,
                           const struct image_open_options *options, GPtrArray *files,
                           GError **error)
{
    struct endpoint *endpoint;

    endpoint = open_node(name, 0, flags, options, files, error);
    if (endpoint != NULL && name->late != NULL) {
        g_propagate_error(error, g_error_copy(name->late));
        endpoint_unref(endpoint);
        return NULL;
    }
    if (endpoint != NULL && has_slice(&name->slice)) {
        endpoint = apply_slice(endpoint, &name->slice, error);
    }
    return endpoint;
}

struct endpoint *leaf_open_reference(struct image *parent, const struct wire_ref *ref,
                                     unsigned flags, const struct image_open_options *options,
                                     char **out_display, GError **error)
{
    struct policy_way way;
    struct endpoint *endpoint;

    if (!policy_decide(parent->graph->policy, ref, endpoint_path(parent->endpoint), &way, error)) {
        return NULL;
    }
    endpoint = open_way(&way, ref, flags, &options->cache, error);
    if (endpoint != NULL && ref->has_slice) {
        struct slice slice = {
            .have_offset = TRUE,
            .have_size = ref->slice_size != 0,
            .offset_bytes = ref->slice_offset,
            .size_bytes = ref->slice_size,
        };

        endpoint = apply_slice(endpoint, &slice, error);
    }
    *out_display = g_steal_pointer(&way.display);
    policy_way_clear(&way);
    return endpoint;
}
