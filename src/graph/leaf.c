/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file at the bottom of a layer: one that the user named, with the raw windows over it, or one
 * that an image named, as policy has it opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/graph/layer.h"

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
        return endpoint_new_null(name->null_bytes);
    }
    return endpoint_open(AT_FDCWD, name->path, FALSE, flags | name->endpoint_flags, &name->cache,
                         error);
}

static gboolean has_slice(const struct slice *slice)
{
    return slice->have_offset || slice->have_size;
}

struct endpoint *leaf_open(const struct name *name, unsigned flags, GPtrArray *files,
                           GError **error)
{
    struct endpoint *endpoint = open_protocol(name, flags, error);

    for (guint i = name->nodes->len; i-- > 0 && endpoint != NULL;) {
        const struct name_node *node = g_ptr_array_index(name->nodes, i);

        if (has_slice(&node->slice)) {
            endpoint = apply_slice(endpoint, &node->slice, error);
        }
        if (files != NULL && endpoint != NULL) {
            g_ptr_array_insert(files, 0, image_file_new(node->driver, node->display, endpoint));
        }
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
