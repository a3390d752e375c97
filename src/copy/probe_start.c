/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/probe_start.h"

#include <string.h>

#include "compat/wording.h"
#include "src/copy/feed.h"
#include "src/copy/reader.h"
#include "src/graph/chain.h"

#define START_BYTES 2048u /* what stock protects */

static gboolean read_start(struct image *image, GArray *pieces, guint64 length, guint8 *out,
                           GError **error)
{
    struct cell_config cell;
    struct read_fault fault = {0};
    struct reader *reader;
    const void *bytes;

    if (!cell_config_from_environment(&cell, error)) {
        return FALSE;
    }
    reader = reader_new(START_BYTES, 1, &cell);
    bytes = reader_fill(reader, 0, (const struct piece *)pieces->data, pieces->len, &fault);
    if (bytes != NULL) {
        memcpy(out, bytes, length);
    } else if (fault.error != NULL) {
        g_propagate_error(error, fault.error);
    } else {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not read '%s': %s",
                    image_filename(image), g_strerror(fault.error_number));
    }
    reader_free(reader);
    return bytes != NULL;
}

gboolean probe_start(struct image *image, gboolean *out_raw, GError **error)
{
    guint64 length = MIN(image_virtual_size(image), START_BYTES);
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    g_autoptr(Extents) it = extents_new(image, 0, length, 0);
    struct image_open_options options = {.no_io = TRUE, .force_share = TRUE};
    g_autoptr(Endpoint) file = NULL;
    guint8 bytes[START_BYTES] = {0};
    struct image *guess;
    struct extent extent;
    int got;

    while ((got = extents_next(it, &extent, error)) > 0) {
        struct piece piece;

        piece_from_extent(&extent, extent.start, &piece);
        g_array_append_val(pieces, piece);
    }
    if (got < 0 || !read_start(image, pieces, length, bytes, error)) {
        return FALSE;
    }
    file = endpoint_new_buffer(bytes, sizeof(bytes));
    guess = image_open_endpoint(file, image_filename(image), NULL, &options, NULL);
    *out_raw = guess != NULL && strcmp(image_format(guess), "raw") == 0;
    if (guess != NULL) {
        image_free(guess);
    }
    return TRUE;
}
