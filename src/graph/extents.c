/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the virtual disk holds, run by run.
 *
 * The cell flattens the chain into records; they are fetched in batches that grow, checked as a
 * whole before any is used, and refined by the file's own holes where the format asks for it. A raw
 * image without a cell is one record made here.
 */
#include <string.h>

#include "src/graph/image.h"

#define FIRST_BATCH 128u
#define MAX_BATCH   8192u

struct extents {
    struct image *image;
    unsigned layers;    /* as asked for: 0 means all */
    unsigned nr_layers; /* of the chain */
    uint64_t position;  /* virtual offset of the next extent */
    uint64_t end;

    struct cell_extent *batch;
    uint32_t batch_size, nr, next; /* allocated, filled, next to be taken */
    uint64_t fetched;              /* virtual offset after the last record of the batch */
    GError *failed;                /* to be reported once the batch is used up */

    struct cell_extent record; /* the one being refined; length 0: none */

    uint64_t opaque_start, opaque_end; /* the last opaque run, as far as it is known */
    unsigned opaque_depth;
};

static unsigned count_layers(const struct image *image)
{
    unsigned nr = 0;

    for (; image != NULL; image = image->backing) {
        nr++;
    }
    return nr;
}

struct extents *extents_new(struct image *image, uint64_t start, uint64_t length, unsigned layers)
{
    struct extents *it = g_new0(struct extents, 1);
    uint64_t size = image_virtual_size(image);

    it->image = image_view(image);
    it->layers = layers;
    it->nr_layers = count_layers(it->image);
    it->position = it->fetched = MIN(start, size);
    it->end = it->position + MIN(length, size - it->position);
    it->batch_size = FIRST_BATCH;
    return it;
}

void extents_free(struct extents *it)
{
    if (it != NULL) {
        g_clear_error(&it->failed);
        g_free(it->batch);
        g_free(it);
    }
}

uint64_t extents_position(const struct extents *it)
{
    return it->position;
}

static struct image *layer_at(const struct extents *it, unsigned depth)
{
    struct image *image = it->image;

    while (depth-- > 0) {
        image = image->backing;
    }
    return image;
}

/* ---- batches ---- */

static gboolean has_blob(void *user, uint32_t blob)
{
    return image_blob(user, blob) != NULL;
}

static gboolean take_batch(struct extents *it, uint32_t nr, uint64_t next, GError **error)
{
    unsigned nr_layers = it->layers == 0 ? it->nr_layers : MIN(it->layers, it->nr_layers);

    if (nr > it->batch_size) {
        return wire_refuse(error, "more extents than asked for");
    }
    if (!cell_take_records(it->image->graph->cell, it->batch, nr, sizeof(*it->batch), error) ||
        !wire_check_extents(it->batch, nr, it->fetched, next, nr_layers, has_blob, it->image,
                            error)) {
        return FALSE;
    }
    it->nr = nr;
    it->next = 0;
    it->fetched = next;
    return TRUE;
}

static gboolean fetch(struct extents *it, GError **error)
{
    Abi__MapRequest request = ABI__MAP_REQUEST__INIT;
    ProtobufCMessage *message;
    const Abi__MapReply *reply;
    uint64_t next;
    uint32_t nr;
    gboolean ok;

    if (it->batch != NULL) {
        it->batch_size = MIN(it->batch_size * 4, MAX_BATCH);
    }
    it->batch = g_renew(struct cell_extent, it->batch, it->batch_size);
    request.node = image_node(it->image);
    request.start = it->fetched;
    request.length = it->end - it->fetched;
    request.max_records = it->batch_size;
    request.layers = it->layers;
    if (!cell_call(it->image->graph->cell, CELL_METHOD_MAP, &request.base, NULL, 0, 0,
                   &abi__map_reply__descriptor, &message, error)) {
        return FALSE;
    }
    reply = (const Abi__MapReply *)message;
    for (size_t i = 0; i < MIN(reply->n_event, it->nr_layers); i++) {
        g_autoptr(GError) event = NULL;

        if (!wire_check_error(reply->event[i], it->image->filename, &event)) {
            image_report_damage(event);
        }
    }
    ok = wire_decode_map(reply, it->image->filename, request.start, request.length, &nr, &next,
                         &it->failed, error) &&
         take_batch(it, nr, next, error);
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}

/* A raw image without a cell, all of it. */
static void make_raw_record(struct extents *it)
{
    it->record = (struct cell_extent){
        .start = it->position,
        .length = it->end - it->position,
        .offset = it->position,
        .blob = CELL_NO_BLOB,
        .kind = CELL_EXTENT_DATA,
        .flags = CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_RECURSE,
    };
    if (it->image->unknown_content) {
        it->record.kind = CELL_EXTENT_HOLE;
        it->record.flags = 0;
    }
    it->fetched = it->end;
}

/* Gets the next record into it->record. 1, 0 at the end, -1 on error. */
static int next_record(struct extents *it, GError **error)
{
    if (it->position == it->end) {
        return 0;
    }
    if (it->image->blob == CELL_NO_BLOB) {
        make_raw_record(it);
        return 1;
    }
    while (it->next == it->nr) {
        if (it->failed != NULL) {
            g_propagate_error(error, g_steal_pointer(&it->failed));
            return -1;
        }
        if (!fetch(it, error)) {
            return -1;
        }
    }
    it->record = it->batch[it->next++];
    return 1;
}

/* ---- one extent ---- */

/* Shows the file behind a raw window, as far as the extent lies inside the window. */
static void see_through_slices(struct extent *extent)
{
    uint64_t size = endpoint_size(extent->endpoint);

    if (extent->offset <= size && extent->length <= size - extent->offset) {
        extent->endpoint = endpoint_unslice(extent->endpoint, &extent->offset);
    }
}

/*
 * Cuts the extent to one run of the file. In a raw image a hole is no data; in other formats the
 * image says "data", and that it reads as zeros is learnt from the file.
 */
static gboolean refine(struct extent *extent, gboolean raw, GError **error)
{
    uint64_t run;
    gboolean hole;
    int err = endpoint_status(extent->endpoint, extent->offset, extent->length, &run, &hole);

    if (err != 0) {
        g_set_error(error, ENDPOINT_ERROR, err, "%s", g_strerror(err));
        return FALSE;
    }
    extent->length = run;
    if (hole) {
        extent->kind = CELL_EXTENT_ZERO;
        extent->zero = TRUE;
        extent->data = !raw;
    }
    return TRUE;
}

/* blkdebug and blkverify right below a format do not tell it where holes are. */
static gboolean is_watched(const struct image *layer)
{
    return layer->files->len > 0 && ((const struct image_file *)layer->files->pdata[0])->watched;
}

/* A node over the file is what a format names as its file. */
static void name_file(const struct image *layer, struct extent *extent)
{
    const struct image_file *file = layer->files->len > 0 ? layer->files->pdata[0] : NULL;

    if (file != NULL && file->over) {
        extent->file_name = file->display;
    }
}

static gboolean fill(struct extents *it, struct extent *out, GError **error)
{
    const struct cell_extent *record = &it->record;
    struct image *layer = layer_at(it, record->depth);
    gboolean raw = layer->blob == CELL_NO_BLOB || strcmp(layer->format, "raw") == 0;

    memset(out, 0, sizeof(*out));
    out->start = record->start;
    out->length = record->length;
    out->depth = record->depth;
    out->kind = record->kind;
    out->codec = record->codec;
    out->comp_len = record->comp_len;
    out->unit_len = record->unit_len;
    out->skip = record->skip;
    out->present = record->kind != CELL_EXTENT_HOLE;
    out->zero = record->kind == CELL_EXTENT_ZERO ||
                (record->kind == CELL_EXTENT_HOLE && !layer->unknown_content);
    out->data = record->kind >= CELL_EXTENT_DATA;
    out->rejected = (record->flags & CELL_EXTENT_REJECTED) != 0;
    out->broken = (record->flags & CELL_EXTENT_BROKEN) != 0;
    out->has_offset = (record->flags & CELL_EXTENT_HAS_OFFSET) != 0;
    if ((record->flags & CELL_EXTENT_OPAQUE) != 0) {
        out->opaque = out->present = out->data = TRUE;
        out->zero = out->has_offset = FALSE;
    }
    if (out->has_offset || out->data) {
        out->offset = record->offset;
        out->endpoint =
            record->blob == CELL_NO_BLOB ? layer->endpoint : image_blob(layer, record->blob);
    }
    if (record->kind == CELL_EXTENT_ENCRYPTED) {
        out->cipher = layer->open.cipher;
        out->iv_offset =
            (layer->open.cipher_by_place ? record->offset : record->start) + layer->open.iv_base;
        if (out->cipher == NULL) {
            return wire_refuse(error, "encrypted extent of a plain image");
        }
    }
    if (record->blob != CELL_NO_BLOB && record->blob == layer->blob) {
        name_file(layer, out);
    }
    if (record->kind == CELL_EXTENT_DATA && (record->flags & CELL_EXTENT_RECURSE) != 0 &&
        (raw || !is_watched(layer)) && !refine(out, raw, error)) {
        return FALSE;
    }
    if (out->has_offset) {
        see_through_slices(out);
    }
    return TRUE;
}

/* What a format does not tell apart is one run: errors are reported in pieces of it. */
static void find_run(struct extents *it, struct extent *extent)
{
    extent->run_start = extent->start;
    if (!extent->opaque) {
        return;
    }
    if (it->opaque_end != extent->start || it->opaque_depth != extent->depth) {
        it->opaque_start = extent->start;
        it->opaque_depth = extent->depth;
    }
    it->opaque_end = extent->start + extent->length;
    extent->run_start = it->opaque_start;
}

static void advance(struct extents *it, uint64_t length)
{
    it->position += length;
    it->record.start += length;
    it->record.offset += length;
    it->record.length -= length;
    it->record.skip += it->record.kind == CELL_EXTENT_COMPRESSED ? (uint32_t)length : 0;
}

int extents_next(struct extents *it, struct extent *out, GError **error)
{
    if (it->record.length == 0) {
        int got = next_record(it, error);

        if (got <= 0) {
            return got;
        }
    }
    if (!fill(it, out, error)) {
        return -1;
    }
    find_run(it, out);
    advance(it, out->length);
    return 1;
}
