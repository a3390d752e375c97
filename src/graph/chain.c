/* SPDX-License-Identifier: Apache-2.0 */
#include "src/graph/chain.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/wording.h"
#include "src/graph/layer.h"
#include "src/graph/paths.h"

/* ---- by name ---- */

static gboolean same_place(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];

    return realpath(a, real_a) != NULL && realpath(b, real_b) != NULL &&
           strcmp(real_a, real_b) == 0;
}

/* Whether `name`, said of the image `above`, is the backing file it has. */
static gboolean is_meant(const struct image *above, const char *name)
{
    const char *stored = image_backing_name(above);
    g_autofree char *full = image_backing_path(above);
    g_autofree char *combined = NULL;

    if (full == NULL || strcmp(full, above->backing->filename) != 0) {
        return strcmp(name, above->backing->filename) == 0; /* the user named it */
    }
    if (path_has_protocol(name) || path_has_protocol(stored)) {
        return strcmp(name, stored) == 0 || strcmp(name, full) == 0;
    }
    combined = path_combine(endpoint_path(above->endpoint), name);
    return same_place(combined, full);
}

struct image *image_find_backing(struct image *image, const char *name, unsigned *out_depth)
{
    *out_depth = 1;
    for (; image->backing != NULL; image = image->backing, ++*out_depth) {
        if (is_meant(image, name)) {
            return image->backing;
        }
    }
    return NULL;
}

/* ---- for writing ---- */

/* The same file as the endpoint's, by its descriptor; windows over it are made anew. */
static struct endpoint *reopen(struct endpoint *endpoint, const struct cache_mode *cache,
                               GError **error)
{
    uint64_t offset = 0;
    struct endpoint *below = endpoint_unslice(endpoint, &offset);
    struct endpoint *file, *window;
    char path[64];

    if (endpoint_fd(below) < 0) {
        return endpoint_ref(endpoint);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", endpoint_fd(below));
    file = endpoint_open_named(AT_FDCWD, path, endpoint_path(below), FALSE,
                               ENDPOINT_WRITE | ENDPOINT_FROM_IMAGE, cache, error);
    if (file == NULL || below == endpoint) {
        return file;
    }
    window = endpoint_new_slice(file, offset, endpoint_size(endpoint));
    endpoint_unref(file);
    return window;
}

static gboolean lock_for_writing(struct image *layer, GError **error)
{
    struct image_open_options options = {.read_write = TRUE};
    struct layer how = {
        .graph = layer->graph, .options = &options, .endpoint = layer->endpoint, .writable = TRUE};

    return layer_take_locks(&how, layer->format, FALSE, error);
}

struct image *image_reopen_writable(struct image *layer, const struct cache_mode *cache,
                                    GError **error)
{
    /* Whatever is below is locked by the chain. */
    struct image_open_options options = {.read_write = TRUE,
                                         .reopened = TRUE,
                                         .force_share = TRUE,
                                         .cache = *cache,
                                         .key_secret = layer->key_secret,
                                         .encrypt_secret = layer->encrypt_secret};
    g_autoptr(Endpoint) endpoint = reopen(layer->endpoint, cache, error);
    struct image *image;

    if (endpoint == NULL || !lock_for_writing(layer, error)) {
        return NULL;
    }
    image = image_open_endpoint(endpoint, layer->filename, layer->format, &options, error);
    if (image != NULL) {
        image->probed = layer->probed;
    }
    return image;
}

uint32_t image_share(struct image *image, struct endpoint *endpoint)
{
    return dialogue_add_blob(image->graph, endpoint);
}
