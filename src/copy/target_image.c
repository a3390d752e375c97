/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kind of target an image is, and what of it may be written.
 */
#include "src/copy/target_image.h"

#include <string.h>

#define BLOBS_MAX 16u

/* The endpoints of the image itself that may be written: not those of its backing files. */
static unsigned writable_blobs(struct image *image, struct apply_target *out)
{
    unsigned nr = 0;

    for (uint32_t blob = 0; nr < BLOBS_MAX; blob++) {
        struct endpoint *endpoint = image_blob(image, blob);

        if (endpoint == NULL) {
            break;
        }
        if (endpoint_writable(endpoint)) {
            out[nr++] = (struct apply_target){.blob = blob, .endpoint = endpoint};
        }
    }
    return nr;
}

/* A file that was just made reads as zeros; a device holds what it held before. */
static struct target *new_raw(struct image *image, const struct target_image_options *options)
{
    struct endpoint *endpoint = image_endpoint(image);
    gboolean fresh = options->fresh && strcmp(endpoint_protocol(endpoint), "file") == 0;

    return target_new_raw(endpoint, image_virtual_size(image), fresh || options->reads_zero);
}

struct target *target_new_image(struct image *image, const struct target_image_options *options,
                                GError **error)
{
    struct apply_target blobs[BLOBS_MAX];
    struct target_writer_options writer = {
        .cell = image_cell(image),
        .node = image_node(image),
        .size_bytes = image_virtual_size(image),
        .fresh = options->fresh,
        .compressed = options->compressed,
        .reads_zero = options->reads_zero,
        .keep_zeros = options->keep_zeros,
        .blobs = blobs,
    };

    if (writer.cell == NULL) {
        return new_raw(image, options);
    }
    writer.nr_blobs = writable_blobs(image, blobs);
    return target_new_writer(&writer, error);
}
