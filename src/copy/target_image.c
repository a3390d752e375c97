/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kind of target an image is, and what of it may be written.
 */
#include "src/copy/target_image.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"

/* The endpoints of the image itself that may be written: not those of its backing files. */
static struct apply_target *writable_blobs(struct image *image, guint *out_nr)
{
    GArray *out = g_array_new(FALSE, TRUE, sizeof(struct apply_target));

    for (uint32_t blob = 0; blob < CELL_BLOBS_MAX; blob++) {
        struct endpoint *endpoint = image_blob(image, blob);

        if (endpoint == NULL) {
            break;
        }
        if (endpoint_writable(endpoint)) {
            struct apply_target target = {.blob = blob, .endpoint = endpoint};

            g_array_append_val(out, target);
        }
    }
    *out_nr = out->len;
    return (struct apply_target *)g_array_free(out, FALSE);
}

/* A file that was just made reads as zeros; a device holds what it held before. */
static struct target *new_raw(struct image *image, const struct target_image_options *options)
{
    struct endpoint *endpoint = image_endpoint(image);
    gboolean fresh = options->fresh && strcmp(endpoint_protocol(endpoint), "file") == 0;

    return target_new_raw(endpoint, image_virtual_size(image), fresh || options->reads_zero);
}

/* Encrypts with the cipher of an image that was unlocked. */
static gboolean encrypt(struct target *target, const struct image *image, GError **error)
{
    const struct crypto_spec *spec = image_cipher(image);
    struct sector_cipher *cipher;

    if (spec == NULL) {
        return TRUE;
    }
    cipher = sector_cipher_new(spec);
    if (cipher == NULL) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, g_strerror(ENOMEM));
        return FALSE;
    }
    target_set_cipher(target, cipher, image_cipher_by_place(image));
    return TRUE;
}

static struct target *new_target(struct image *image, const struct target_image_options *options,
                                 GError **error)
{
    g_autofree struct apply_target *blobs = NULL;
    struct target_writer_options writer = {
        .cell = image_cell(image),
        .node = image_node(image),
        .size_bytes = image_virtual_size(image),
        .fresh = options->fresh,
        .compressed = options->compressed,
        .reads_zero = options->reads_zero,
        .keep_zeros = options->keep_zeros,
        .bitmaps_told = options->bitmaps_told,
        .same_disk = options->same_disk,
    };

    if (writer.cell == NULL) {
        return new_raw(image, options);
    }
    if (strcmp(image_format(image), "luks") == 0) {
        return target_new_encrypted(image_endpoint(image), image_virtual_size(image),
                                    image_payload_bytes(image));
    }
    blobs = writable_blobs(image, &writer.nr_blobs);
    writer.blobs = blobs;
    return target_new_writer(&writer, error);
}

struct target *target_new_image(struct image *image, const struct target_image_options *options,
                                GError **error)
{
    struct target *target;

    image = image_view(image);
    target = new_target(image, options, error);

    if (target != NULL && !encrypt(target, image, error)) {
        target_free(target);
        return NULL;
    }
    return target;
}
