/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges become a bitmap of their own, in memory, which the image's bitmaps are merged with.
 */
#include "src/plan/dirty_ranges.h"

#include "src/graph/bitmaps.h"
#include "src/graph/chain.h"
#include "src/plan/bitmap.h"

#define GRANULARITY_MAX (1u << 31)
#define BITS_BYTES_MAX  (4u << 20)

struct bits {
    guint8 *bytes;
    guint64 length; /* bytes */
    guint64 granularity;
};

/* As fine as the finest of those that record changes, unless that is too much. */
static struct bits bits_for(guint64 disk_bytes, const struct image_bitmaps *bitmaps)
{
    struct bits bits = {.granularity = GRANULARITY_MAX};

    for (guint i = 0; i < bitmaps->list->len; i++) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i);

        bits.granularity = MIN(bits.granularity, bitmap->granularity);
    }

    while (bits.granularity < GRANULARITY_MAX &&
           disk_bytes / bits.granularity / 8 >= BITS_BYTES_MAX) {
        bits.granularity *= 2;
    }
    bits.length = disk_bytes / bits.granularity / 8 + 1;
    bits.bytes = g_malloc0(bits.length);
    return bits;
}

static gboolean collect(struct bits *bits, dirty_next_fn next, void *user, GError **error)
{
    struct piece piece;
    int got;

    while ((got = next(user, &piece, error)) > 0) {
        guint64 last = (piece.start + piece.length - 1) / bits->granularity;

        for (guint64 i = piece.start / bits->granularity; piece.kind != PIECE_SKIP && i <= last;
             i++) {
            bits->bytes[i / 8] |= (guint8)(1u << i % 8);
        }
    }
    return got == 0;
}

static Abi__BitmapAction merge_into(const struct image_bitmap *bitmap, const struct bits *bits,
                                    guint64 disk_bytes)
{
    Abi__BitmapAction action = ABI__BITMAP_ACTION__INIT;
    gsize len;

    action.verb = ABI__BITMAP_VERB__BITMAP_MERGE;
    action.name.data = (uint8_t *)g_bytes_get_data(bitmap->name, &len);
    action.name.len = len;
    action.source = ABI__BITMAP_SOURCE__BITMAP_SOURCE_BLOB;
    action.source_granularity = (uint32_t)bits->granularity;
    action.source_size = disk_bytes;
    return action;
}

static gboolean merge(struct image *image, const struct bits *bits, GArray *actions, GError **error)
{
    g_autofree Abi__BitmapAction **pointers = g_new0(Abi__BitmapAction *, actions->len);
    g_autoptr(Endpoint) blob = endpoint_new_buffer(bits->bytes, bits->length);
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;
    struct bitmap_outcome outcome;

    for (guint i = 0; i < actions->len; i++) {
        pointers[i] = &g_array_index(actions, Abi__BitmapAction, i);
    }
    request.action = pointers;
    request.n_action = actions->len;
    request.blob = image_share(image, blob);
    request.blob_size = bits->length;
    if (!bitmap_plan(image, &request, &outcome, error)) {
        return FALSE;
    }
    if (outcome.failure != NULL) {
        g_propagate_error(error, outcome.failure);
        return FALSE;
    }
    return bitmap_apply(image, error);
}

gboolean dirty_ranges_store(struct image *image, dirty_next_fn next, void *user,
                            gboolean *out_stored, GError **error)
{
    g_autoptr(ImageBitmaps) bitmaps = image_bitmaps_new(image, error);
    g_autoptr(GArray) actions = g_array_new(FALSE, FALSE, sizeof(Abi__BitmapAction));
    guint64 disk_bytes = image_virtual_size(image);
    struct bits bits;
    gboolean ok;

    *out_stored = FALSE;
    if (bitmaps == NULL) {
        return FALSE;
    }
    bits = bits_for(disk_bytes, bitmaps);
    for (guint i = 0; i < bitmaps->list->len; i++) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i);

        if (bitmap->enabled && !bitmap->in_use) {
            Abi__BitmapAction action = merge_into(bitmap, &bits, disk_bytes);

            g_array_append_val(actions, action);
        }
    }
    *out_stored = actions->len > 0;
    ok = !*out_stored || (collect(&bits, next, user, error) && merge(image, &bits, actions, error));
    g_free(bits.bytes);
    return ok;
}
