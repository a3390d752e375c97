/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/bench_stream.h"

#include <errno.h>
#include <string.h>

#include "src/copy/compress.h"

struct bench_stream {
    struct target *target;
    guint64 unit; /* bytes of a grain */

    /* One grain is compressed at a time. */
    GMutex lock;
    struct compressor *compressor;
    guint8 *whole, *packed;
};

struct bench_stream *bench_stream_new(struct target *target)
{
    struct bench_stream *stream = g_new0(struct bench_stream, 1);

    stream->target = target;
    stream->unit = target_shape(target)->unit_bytes;
    g_mutex_init(&stream->lock);
    stream->whole = g_malloc0(stream->unit);
    stream->packed = g_malloc(compressor_bound(stream->unit, stream->unit));
    stream->compressor = compressor_new(CELL_CODEC_VMDK_GRAIN, stream->unit);
    if (stream->compressor == NULL) {
        g_clear_pointer(&stream, bench_stream_free);
    }
    return stream;
}

void bench_stream_free(struct bench_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    compressor_free(stream->compressor);
    g_free(stream->whole);
    g_free(stream->packed);
    g_mutex_clear(&stream->lock);
    g_free(stream);
}

static gboolean fail(struct target_fault *fault, int error_number)
{
    *fault = (struct target_fault){.error_number = error_number};
    return error_number == 0;
}

/* Compresses a grain, of which `len` bytes are given and the rest lies behind the disk's end. */
static guint8 *pack(struct bench_stream *stream, guint64 offset, const guint8 *buf, gsize len,
                    gsize *out_len)
{
    guint8 *packed;

    g_mutex_lock(&stream->lock);
    memcpy(stream->whole, buf, len);
    memset(stream->whole + len, 0, stream->unit - len);
    *out_len = compress_unit(stream->compressor, offset, stream->whole, stream->packed);
    packed = g_memdup2(stream->packed, *out_len);
    g_mutex_unlock(&stream->lock);
    return packed;
}

static gboolean write_grain(struct bench_stream *stream, guint64 offset, const guint8 *buf,
                            gsize len, struct target_fault *fault)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
    struct cell_place run = {.start = offset, .length = len, .kind = CELL_PLACE_COMPRESSED};
    gsize packed_len;
    g_autofree guint8 *packed = pack(stream, offset, buf, len, &packed_len);
    int err;

    run.comp_len = (guint32)packed_len;
    g_array_append_val(places, run);
    if (!target_room(stream->target, places, fault)) {
        return FALSE;
    }
    run = g_array_index(places, struct cell_place, 0);
    err = places->len == 1
              ? endpoint_pwrite(target_blob(stream->target, &run), run.offset, packed, packed_len)
              : EINVAL;
    if (err == 0) {
        target_done(stream->target, &run, 1);
    }
    return fail(fault, err);
}

gboolean bench_stream_write(struct bench_stream *stream, guint64 offset, const guint8 *buf,
                            gsize len, struct target_fault *fault)
{
    guint64 end = offset + len;
    gboolean ok = TRUE;

    if (offset % stream->unit != 0 ||
        (len % stream->unit != 0 && end != target_shape(stream->target)->size_bytes)) {
        return fail(fault, EINVAL);
    }
    while (ok && offset < end) {
        gsize part = MIN(stream->unit, end - offset);

        ok = write_grain(stream, offset, buf, part, fault);
        offset += part;
        buf += part;
    }
    return ok;
}
