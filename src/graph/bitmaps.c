/* SPDX-License-Identifier: Apache-2.0 */
#include "src/graph/bitmaps.h"

#include <errno.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "guest/abi/cell.pb-c.h"
#include "guest/abi/plan.pb-c.h"
#include "src/graph/ask.h"
#include "src/graph/layer.h"

#define GRANULARITY_MIN 512u
#define GRANULARITY_MAX (1u << 31)
#define NAME_BYTES_MAX  1023u

/* ---- which there are ---- */

static void free_bitmap(gpointer data)
{
    struct image_bitmap *bitmap = data;

    g_bytes_unref(bitmap->name);
    g_free(bitmap->shown);
    g_free(bitmap);
}

static gboolean add_bitmap(struct image_bitmaps *bitmaps, const Abi__Bitmap *from, GError **error)
{
    uint64_t granularity = from->granularity, size = image_virtual_size(bitmaps->image);
    struct image_bitmap *bitmap;

    if (granularity < GRANULARITY_MIN || granularity > GRANULARITY_MAX ||
        (granularity & (granularity - 1)) != 0 || from->name.len > NAME_BYTES_MAX) {
        return wire_refuse(error, "bitmap");
    }
    bitmap = g_new0(struct image_bitmap, 1);
    bitmap->name = g_bytes_new(from->name.data, from->name.len);
    bitmap->shown = wording_escape_span(from->name.data, from->name.len);
    bitmap->granularity = (uint32_t)granularity;
    bitmap->in_use = from->in_use != 0;
    bitmap->enabled = from->auto_ != 0;
    bitmap->offset = bitmaps->length;
    bitmap->length = (size / granularity + (size % granularity != 0) + 7) / 8;
    bitmaps->length += bitmap->length;
    g_ptr_array_add(bitmaps->list, bitmap);
    return TRUE;
}

static gboolean add_bitmaps(struct image_bitmaps *bitmaps, Abi__Bitmap *const *list, size_t nr,
                            GError **error)
{
    if (nr > WIRE_BITMAPS_MAX) {
        return wire_refuse(error, "number of bitmaps");
    }
    for (size_t i = 0; i < nr; i++) {
        if (!add_bitmap(bitmaps, list[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean take_list(struct image_bitmaps *bitmaps, const Abi__InfoReply *reply,
                          GError **error)
{
    if (!wire_check_error(reply->error, image_filename(bitmaps->image), error)) {
        return FALSE;
    }
    if (reply->qcow2 != NULL) {
        bitmaps->supported = reply->qcow2->version >= 3;
        bitmaps->persistent = TRUE;
        return add_bitmaps(bitmaps, reply->qcow2->bitmap, reply->qcow2->n_bitmap, error);
    }
    /* Stock reads those of Parallels, but keeps them for the time it runs alone. */
    if (reply->parallels != NULL) {
        bitmaps->supported = profile_get()->id >= PROFILE_10_0;
        return add_bitmaps(bitmaps, reply->parallels->bitmap, reply->parallels->n_bitmap, error);
    }
    return TRUE;
}

struct image_bitmaps *image_bitmaps_new(struct image *image, GError **error)
{
    g_autoptr(ImageBitmaps) bitmaps = g_new0(struct image_bitmaps, 1);
    Abi__InfoReply *reply;
    gboolean ok;

    bitmaps->image = image;
    bitmaps->list = g_ptr_array_new_with_free_func(free_bitmap);
    if (image_cell(image) == NULL) {
        return g_steal_pointer(&bitmaps);
    }
    reply = image_ask_info(image, error);
    if (reply == NULL) {
        return NULL;
    }
    ok = take_list(bitmaps, reply, error);
    abi__info_reply__free_unpacked(reply, NULL);
    return ok ? g_steal_pointer(&bitmaps) : NULL;
}

void image_bitmaps_free(struct image_bitmaps *bitmaps)
{
    if (bitmaps != NULL) {
        g_ptr_array_unref(bitmaps->list);
        g_clear_error(&bitmaps->error);
        g_free(bitmaps);
    }
}

const struct image_bitmap *image_bitmaps_find(const struct image_bitmaps *bitmaps, const char *name)
{
    for (guint i = 0; i < bitmaps->list->len; i++) {
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, i);
        gsize len;
        const char *have = g_bytes_get_data(bitmap->name, &len);

        if (len == strlen(name) && memcmp(have, name, len) == 0) {
            return bitmap;
        }
    }
    return NULL;
}

/* ---- their bits ---- */

/* Bytes of one bitmap, from its image's cell. */
static gboolean fetch(struct image_bitmaps *bitmaps, const struct image_bitmap *bitmap,
                      uint64_t offset, void *buf, size_t len)
{
    Abi__BitmapReadRequest request = ABI__BITMAP_READ_REQUEST__INIT;
    struct cell *cell = image_cell(bitmaps->image);
    ProtobufCMessage *reply;
    gsize name_len;
    gboolean ok;

    request.node = image_node(bitmaps->image);
    request.name.data = (uint8_t *)g_bytes_get_data(bitmap->name, &name_len);
    request.name.len = name_len;
    request.offset = offset;
    request.length = len;
    if (!cell_call(cell, CELL_METHOD_BITMAP_READ, &request.base, NULL, 0, 0,
                   &abi__status_reply__descriptor, &reply, &bitmaps->error)) {
        return FALSE;
    }
    ok = wire_check_error(((const Abi__StatusReply *)reply)->error, image_filename(bitmaps->image),
                          &bitmaps->error);
    protobuf_c_message_free_unpacked(reply, NULL);
    if (ok) {
        memcpy(buf, cell_window(cell, 0, len), len);
    }
    return ok;
}

/* The bitmap whose bits lie at an offset among those of all. */
static const struct image_bitmap *bitmap_at(const struct image_bitmaps *bitmaps, uint64_t offset)
{
    guint low = 0, high = bitmaps->list->len;

    while (low < high) {
        guint mid = low + (high - low) / 2;
        const struct image_bitmap *bitmap = g_ptr_array_index(bitmaps->list, mid);

        if (bitmap->offset + bitmap->length > offset) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low < bitmaps->list->len ? g_ptr_array_index(bitmaps->list, low) : NULL;
}

/* A cell_read_fn: pieces no longer than the window, each of one bitmap. */
static int read_bits(void *user, uint64_t offset, void *buf, size_t len)
{
    struct image_bitmaps *bitmaps = user;
    uint8_t *at = buf;

    while (len > 0) {
        const struct image_bitmap *bitmap = bitmap_at(bitmaps, offset);
        uint64_t from = bitmap != NULL ? offset - bitmap->offset : 0;
        size_t nr = bitmap != NULL ? MIN(len, bitmap->length - from) : len;

        nr = MIN(nr, cell_window_size(image_cell(bitmaps->image)));
        if (bitmaps->error != NULL || bitmap == NULL || !fetch(bitmaps, bitmap, from, at, nr)) {
            return EIO;
        }
        offset += nr;
        at += nr;
        len -= nr;
    }
    return 0;
}

uint32_t image_bitmaps_share(struct image_bitmaps *bitmaps, struct image *target)
{
    struct graph *graph = target->graph;
    uint32_t blob = cell_add_blob(graph->cell, bitmaps->length, read_bits, bitmaps);

    if (blob >= graph->blobs->len) {
        g_ptr_array_set_size(graph->blobs, (gint)blob + 1);
    }
    return blob;
}
