/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster that is written to is placed once and remembered, with the offset of its bytes. Whoever
 * meets one that another thread is just placing waits until its bytes are complete.
 */
#include "src/copy/bench_disk.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/copy/bench_cipher.h"
#include "src/copy/bench_stream.h"
#include "src/copy/copy.h"
#include "src/copy/lookup.h"
#include "src/copy/reader.h"
#include "src/copy/target_codec.h"
#include "src/copy/target_image.h"

#define READERS_MAX  8u
#define READER_BYTES (2u << 20)

/* What is known of a cluster: where it is, or one of these. */
#define CLUSTER_BUSY   1u
#define CLUSTER_FAILED 2u

/* Where it is: the sector behind its offset, then its blob. */
#define SECTOR    512u
#define BLOB_BITS 12u
#define BLOB_MASK ((1u << BLOB_BITS) - 1)

_Static_assert(CELL_BLOBS_MAX <= BLOB_MASK + 1, "a blob fits");

struct bench_disk {
    struct image *image;
    struct endpoint *plain;      /* raw: the file, else NULL */
    struct lookup *lookup;       /* else */
    struct target *target;       /* planned writes; NULL: none */
    struct bench_stream *stream; /* writes of compressed grains; NULL: none */
    struct pool *pool;

    /* Under the pool's lock. */
    GHashTable *clusters; /* index -> what is known */

    GRWLock sectors; /* see bench_cipher.h */
    struct cell_config cell;
    GMutex readers_lock;
    GCond reader_free;
    struct reader *readers[READERS_MAX];
    gboolean reader_busy[READERS_MAX];
    guint nr_readers;
};

static gboolean open_target(struct bench_disk *disk, GError **error)
{
    struct target_image_options options = {.bitmaps_told = TRUE};

    if (!target_is_stream(disk->image, &options.compressed, error)) {
        return FALSE;
    }
    disk->target = target_new_image(disk->image, &options, error);
    if (disk->target != NULL && options.compressed) {
        disk->stream = bench_stream_new(disk->target);
    }
    return disk->target != NULL;
}

struct bench_disk *bench_disk_new(struct image *image, gboolean write,
                                  const struct cell_config *cell, GError **error)
{
    struct bench_disk *disk = g_new0(struct bench_disk, 1);

    disk->image = image;
    disk->cell = *cell;
    disk->nr_readers = pool_default_workers(READERS_MAX, COPY_WORKER_ADDRESSES);
    g_mutex_init(&disk->readers_lock);
    g_cond_init(&disk->reader_free);
    g_rw_lock_init(&disk->sectors);
    if (image_cell(image) == NULL) {
        disk->plain = image_endpoint(image);
        return disk;
    }
    disk->lookup = lookup_new(image);
    disk->clusters = g_hash_table_new(NULL, NULL);
    if (write && !open_target(disk, error)) {
        bench_disk_free(disk);
        return NULL;
    }
    return disk;
}

void bench_disk_free(struct bench_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    for (guint i = 0; i < disk->nr_readers; i++) {
        reader_free(disk->readers[i]);
    }
    bench_stream_free(disk->stream);
    target_free(disk->target);
    lookup_free(disk->lookup);
    g_clear_pointer(&disk->clusters, g_hash_table_unref);
    g_mutex_clear(&disk->readers_lock);
    g_cond_clear(&disk->reader_free);
    g_rw_lock_clear(&disk->sectors);
    g_free(disk);
}

guint64 bench_disk_size(const struct bench_disk *disk)
{
    return image_virtual_size(disk->image);
}

void bench_disk_attach(struct bench_disk *disk, struct pool *pool)
{
    disk->pool = pool;
    if (disk->lookup != NULL) {
        lookup_attach(disk->lookup, pool);
    }
    if (disk->target != NULL) {
        target_attach(disk->target, pool);
    }
}

static gboolean is_inside(const struct bench_disk *disk, guint64 offset, gsize len)
{
    guint64 size = bench_disk_size(disk);

    return len <= size && offset <= size - len;
}

/* The errno of what a target failed with; what a cell said is told. */
static int take_fault(struct target_fault *fault)
{
    int error_number = fault->error_number;

    if (fault->error != NULL) {
        int told = error_number == 0 ? image_report_damage(fault->error) : 0;

        error_number = told != 0 ? told : error_number;
        g_clear_error(&fault->error);
    }
    return error_number != 0 ? error_number : EIO;
}

/* ---- reading ---- */

static guint borrow_reader(struct bench_disk *disk)
{
    guint index;

    g_mutex_lock(&disk->readers_lock);
    for (index = 0;; index++) {
        if (index == disk->nr_readers) {
            g_cond_wait(&disk->reader_free, &disk->readers_lock);
            index = 0;
        }
        if (!disk->reader_busy[index]) {
            break;
        }
    }
    disk->reader_busy[index] = TRUE;
    if (disk->readers[index] == NULL) {
        disk->readers[index] = reader_new(READER_BYTES, 1, &disk->cell);
    }
    g_mutex_unlock(&disk->readers_lock);
    return index;
}

static void return_reader(struct bench_disk *disk, guint index)
{
    g_mutex_lock(&disk->readers_lock);
    disk->reader_busy[index] = FALSE;
    g_cond_signal(&disk->reader_free);
    g_mutex_unlock(&disk->readers_lock);
}

static int read_in_cell(struct bench_disk *disk, struct piece piece, guint8 *buf)
{
    guint index = borrow_reader(disk);
    int err = 0;

    for (gboolean last = FALSE; err == 0 && !last;) {
        struct piece part;
        struct read_fault fault;
        void *bytes;

        last = piece.length <= READER_BYTES;
        part = last ? piece : piece_cut(&piece, READER_BYTES);
        bytes = reader_fill(disk->readers[index], 0, &part, 1, &fault);
        if (bytes != NULL) {
            memcpy(buf, bytes, part.length);
            buf += part.length;
        } else {
            err = fault.error_number != 0 ? fault.error_number : EIO;
            g_clear_error(&fault.error);
        }
    }
    return_reader(disk, index);
    return err;
}

static int read_piece(struct bench_disk *disk, const struct piece *piece, guint8 *buf)
{
    switch (piece->kind) {
    case PIECE_DATA:
        return endpoint_pread(piece->endpoint, piece->offset, buf, piece->length);
    case PIECE_COMPRESSED:
    case PIECE_ENCRYPTED:
        return read_in_cell(disk, *piece, buf);
    case PIECE_BAD:
        return piece->error_number != 0 ? piece->error_number : EIO;
    default:
        memset(buf, 0, piece->length);
        return 0;
    }
}

/* Reads what the image held before the benchmark wrote to it. */
static int read_mapped(struct bench_disk *disk, guint64 offset, guint8 *buf, gsize len)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    int err = lookup_pieces(disk->lookup, offset, len, pieces);

    for (guint i = 0; i < pieces->len && err == 0; i++) {
        const struct piece *piece = &g_array_index(pieces, struct piece, i);

        err = read_piece(disk, piece, buf);
        buf += piece->length;
    }
    return err;
}

int bench_disk_read(struct bench_disk *disk, guint64 offset, void *buf, gsize len)
{
    if (!is_inside(disk, offset, len)) {
        return EIO;
    }
    return disk->plain != NULL ? endpoint_pread(disk->plain, offset, buf, len)
                               : read_mapped(disk, offset, buf, len);
}

/* ---- writing ---- */

static guint64 unit_of(const struct bench_disk *disk)
{
    return target_shape(disk->target)->unit_bytes;
}

/* Lock held. */
static gsize known(const struct bench_disk *disk, guint64 cluster, gboolean *out_known)
{
    gpointer value = NULL;

    *out_known =
        g_hash_table_lookup_extended(disk->clusters, GSIZE_TO_POINTER(cluster), NULL, &value);
    return GPOINTER_TO_SIZE(value);
}

/* The place of a cluster that has one. */
static struct cell_place place_of(gsize value)
{
    return (struct cell_place){.offset = (((guint64)value >> BLOB_BITS) - 1) * SECTOR,
                               .blob = value & BLOB_MASK};
}

static void set_known(struct bench_disk *disk, guint64 cluster, gsize value)
{
    g_hash_table_insert(disk->clusters, GSIZE_TO_POINTER(cluster), GSIZE_TO_POINTER(value));
}

/* Writes bytes of the disk from `start` on to where a place has them. */
static int write_part(struct bench_disk *disk, const struct cell_place *place, guint64 start,
                      const void *buf, gsize len)
{
    const struct target_shape *shape = target_shape(disk->target);
    guint64 at = place->offset + (start - place->start);

    return bench_cipher_write(shape->cipher, &disk->sectors, target_blob(disk->target, place), at,
                              shape->cipher_by_place ? at : start, buf, len);
}

/*
 * Clusters that this thread is to place: [start, end) in bytes of the disk, whole units but for the
 * disk's end.
 */
struct claim {
    guint64 start, end;
};

/*
 * Lock held. Waits until the cluster at `at` has its place, or claims it and those that follow it
 * up to `end` as far as nobody has placed them.
 *
 * returns: 0 with *out_place, that of the cluster; or with a claim that is
 *          not empty; or an errno
 */
static int find_cluster(struct bench_disk *disk, guint64 at, guint64 end,
                        struct cell_place *out_place, struct claim *claim)
{
    guint64 unit = unit_of(disk), cluster = at / unit;
    gboolean is_known;
    gsize value;

    while ((value = known(disk, cluster, &is_known)) == CLUSTER_BUSY && is_known) {
        pool_wait_answer(disk->pool);
    }
    if (is_known) {
        *out_place = place_of(value);
        out_place->start = cluster * unit;
        return value == CLUSTER_FAILED ? ECANCELED : 0;
    }
    claim->start = cluster * unit;
    while (!is_known && cluster * unit < end) {
        set_known(disk, cluster++, CLUSTER_BUSY);
        (void)known(disk, cluster, &is_known);
    }
    claim->end = MIN(cluster * unit, bench_disk_size(disk));
    return 0;
}

/* What is known of the cluster that lies `done` bytes into a place. */
static gsize known_place(const struct cell_place *place, guint64 done)
{
    return ((place->offset + done) / SECTOR + 1) << BLOB_BITS | place->blob;
}

/* The claim is over: its clusters are where the places say, or nowhere. */
static void settle(struct bench_disk *disk, const struct claim *claim, const GArray *places)
{
    guint64 unit = unit_of(disk);

    pool_lock(disk->pool);
    for (guint64 at = claim->start; places == NULL && at < claim->end; at += unit) {
        set_known(disk, at / unit, CLUSTER_FAILED);
    }
    for (guint i = 0; places != NULL && i < places->len; i++) {
        const struct cell_place *place = &g_array_index(places, struct cell_place, i);

        for (guint64 done = 0; done < place->length; done += unit) {
            set_known(disk, (place->start + done) / unit, known_place(place, done));
        }
    }
    pool_unlock(disk->pool);
    pool_answer(disk->pool);
}

/* The place that holds an offset. */
static const struct cell_place *place_at(const GArray *places, guint64 at)
{
    guint i = 0;

    while (i + 1 < places->len && g_array_index(places, struct cell_place, i + 1).start <= at) {
        i++;
    }
    return &g_array_index(places, struct cell_place, i);
}

/* Whether a cluster got another place than it had, so that its bytes must be brought along. */
static int has_moved(struct bench_disk *disk, const struct cell_place *place, guint64 start,
                     guint64 end, gboolean *out_moved)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    int err = lookup_pieces(disk->lookup, start, end - start, pieces);
    const struct piece *piece = err == 0 ? &g_array_index(pieces, struct piece, 0) : NULL;

    *out_moved = piece == NULL || pieces->len != 1 ||
                 (piece->kind != PIECE_DATA && piece->kind != PIECE_ENCRYPTED) ||
                 piece->endpoint != target_blob(disk->target, place) ||
                 piece->offset != place->offset + (start - place->start);
    return err;
}

static int copy_rest(struct bench_disk *disk, const struct cell_place *place, guint64 start,
                     guint64 end)
{
    g_autofree guint8 *buf = NULL;
    int err;

    if (start >= end) {
        return 0;
    }
    buf = g_malloc(end - start);
    err = read_mapped(disk, start, buf, end - start);
    if (err != 0) {
        return err;
    }
    return write_part(disk, place, start, buf, end - start);
}

/* The bytes of a cluster outside [offset, end), where it has moved. */
static int bring_along(struct bench_disk *disk, const GArray *places, guint64 cluster,
                       guint64 offset, guint64 end)
{
    guint64 start = cluster * unit_of(disk);
    guint64 stop = MIN(start + unit_of(disk), bench_disk_size(disk));
    const struct cell_place *place = place_at(places, start);
    gboolean moved;
    int err;

    if (start >= offset && stop <= end) {
        return 0;
    }
    err = has_moved(disk, place, start, stop, &moved);
    if (err != 0 || !moved) {
        return err;
    }
    err = copy_rest(disk, place, start, MAX(offset, start));
    return err != 0 ? err : copy_rest(disk, place, MIN(end, stop), stop);
}

/* Writes [offset, end) as far as the places hold it. */
static int write_places(struct bench_disk *disk, const GArray *places, guint64 offset, guint64 end,
                        const guint8 *buf)
{
    int err = 0;

    for (guint i = 0; i < places->len && err == 0; i++) {
        const struct cell_place *place = &g_array_index(places, struct cell_place, i);
        guint64 from = MAX(offset, place->start), to = MIN(end, place->start + place->length);

        if (from < to) {
            err = write_part(disk, place, from, buf + (from - offset), to - from);
        }
    }
    return err;
}

/* Places what was claimed and writes [offset, end) of it. */
static int write_claimed(struct bench_disk *disk, const struct claim *claim, guint64 offset,
                         guint64 end, const guint8 *buf)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
    struct cell_place run = {
        .start = claim->start, .length = claim->end - claim->start, .kind = CELL_PLACE_DATA};
    guint64 first = claim->start / unit_of(disk), last = (claim->end - 1) / unit_of(disk);
    struct target_fault fault;
    int err = 0;

    g_array_append_val(places, run);
    if (!target_room(disk->target, places, &fault)) {
        err = take_fault(&fault);
    }
    if (err == 0) {
        err = bring_along(disk, places, first, offset, end);
    }
    if (err == 0 && last != first) {
        err = bring_along(disk, places, last, offset, end);
    }
    if (err == 0) {
        err = write_places(disk, places, offset, end, buf);
    }
    if (err == 0) {
        target_done(disk->target, (const struct cell_place *)places->data, places->len);
    }
    settle(disk, claim, err == 0 ? places : NULL);
    return err;
}

/* Where offset x is at x, or so far behind it, nothing needs a place. */
static int write_sorted(struct bench_disk *disk, guint64 offset, const guint8 *buf, gsize len)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(struct cell_place));
    struct cell_place run = {.start = offset, .length = len, .kind = CELL_PLACE_DATA};
    struct target_fault fault;

    g_array_append_val(places, run);
    return target_room(disk->target, places, &fault)
               ? write_places(disk, places, offset, offset + len, buf)
               : take_fault(&fault);
}

static int write_planned(struct bench_disk *disk, guint64 offset, const guint8 *buf, gsize len)
{
    guint64 unit = unit_of(disk), end = offset + len;

    for (guint64 at = offset, stop; at < end; at = stop) {
        struct claim claim = {0, 0};
        struct cell_place place = {0};
        int err;

        pool_lock(disk->pool);
        err = find_cluster(disk, at, end, &place, &claim);
        pool_unlock(disk->pool);
        if (err == 0 && claim.end != 0) {
            stop = MIN(end, claim.end);
            err = write_claimed(disk, &claim, at, stop, buf + (at - offset));
        } else {
            stop = MIN(end, (at / unit + 1) * unit);
            err = err != 0 ? err : write_part(disk, &place, at, buf + (at - offset), stop - at);
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

int bench_disk_write(struct bench_disk *disk, guint64 offset, const void *buf, gsize len)
{
    if (!is_inside(disk, offset, len)) {
        return EIO;
    }
    if (disk->stream != NULL) {
        struct target_fault fault;

        return bench_stream_write(disk->stream, offset, buf, len, &fault) ? 0 : take_fault(&fault);
    }
    if (disk->plain != NULL) {
        return endpoint_pwrite(disk->plain, offset, buf, len);
    }
    return strcmp(image_format(disk->image), "luks") == 0 ? write_sorted(disk, offset, buf, len)
                                                          : write_planned(disk, offset, buf, len);
}

/* Reads what was written to a cluster, `at` and what follows in it. */
static int read_place(struct bench_disk *disk, gsize value, guint64 at, guint8 *buf, gsize len)
{
    const struct target_shape *shape = target_shape(disk->target);
    struct cell_place place = place_of(value);
    struct piece piece = {
        .start = at,
        .length = len,
        .offset = place.offset + at % unit_of(disk),
        .endpoint = target_blob(disk->target, &place),
        .cipher = image_cipher(disk->image),
        .kind = image_cipher(disk->image) != NULL ? PIECE_ENCRYPTED : PIECE_DATA,
    };

    piece.iv_offset = shape->cipher_by_place ? piece.offset : at;
    return value <= CLUSTER_FAILED ? EIO : read_piece(disk, &piece, buf);
}

int bench_disk_read_back(struct bench_disk *disk, guint64 offset, void *buf, gsize len)
{
    guint64 unit, end = offset + len;
    int err = 0;

    if (disk->target == NULL || disk->stream != NULL || !is_inside(disk, offset, len)) {
        return bench_disk_read(disk, offset, buf, len);
    }
    unit = unit_of(disk);
    for (guint64 at = offset, stop; at < end && err == 0; at = stop) {
        guint8 *piece = (guint8 *)buf + (at - offset);
        gboolean is_known;
        gsize value;

        stop = MIN(end, (at / unit + 1) * unit);
        pool_lock(disk->pool);
        value = known(disk, at / unit, &is_known);
        pool_unlock(disk->pool);
        err = is_known ? read_place(disk, value, at, piece, stop - at)
                       : read_mapped(disk, at, piece, stop - at);
    }
    return err;
}

/* ---- requests for the kernel ---- */

/* Where a write goes whose clusters all have their place, side by side in one file. */
static gboolean locate_write(struct bench_disk *disk, guint64 offset, gsize len,
                             struct endpoint **endpoint, guint64 *at)
{
    guint64 unit = unit_of(disk), end = offset + len, first = offset / unit * unit;
    struct cell_place place = {0};
    gsize value;
    gboolean ok = TRUE, is_known;

    pool_lock(disk->pool);
    for (guint64 start = first; ok && start < end; start += unit) {
        value = known(disk, start / unit, &is_known);
        ok = is_known && value > CLUSTER_FAILED;
        if (ok && start == first) {
            place = place_of(value);
        }
        ok = ok && value == known_place(&place, start - first);
    }
    pool_unlock(disk->pool);
    *endpoint = ok ? target_blob(disk->target, &place) : NULL;
    *at = place.offset + (offset - first);
    return *endpoint != NULL;
}

static gboolean locate_read(struct bench_disk *disk, guint64 offset, gsize len,
                            struct endpoint **endpoint, guint64 *at)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    const struct piece *piece;

    if (lookup_pieces(disk->lookup, offset, len, pieces) != 0 || pieces->len != 1) {
        return FALSE;
    }
    piece = &g_array_index(pieces, struct piece, 0);
    *endpoint = piece->endpoint;
    *at = piece->offset;
    return piece->kind == PIECE_DATA;
}

gboolean bench_disk_locate(struct bench_disk *disk, guint64 offset, gsize len, gboolean write,
                           struct endpoint **endpoint, guint64 *at)
{
    if (len == 0 || !is_inside(disk, offset, len)) {
        return FALSE;
    }
    if (disk->plain != NULL) {
        *endpoint = disk->plain;
        *at = offset;
    } else if (write) {
        if (disk->stream != NULL || target_shape(disk->target)->cipher != NULL ||
            !locate_write(disk, offset, len, endpoint, at)) {
            return FALSE;
        }
    } else if (!locate_read(disk, offset, len, endpoint, at)) {
        return FALSE;
    }
    /* What reaches past the end of a file, or of a window onto one, is the endpoint's affair. */
    if (len > endpoint_size(*endpoint) || *at > endpoint_size(*endpoint) - len) {
        return FALSE;
    }
    *endpoint = endpoint_unslice(*endpoint, at);
    return endpoint_fd(*endpoint) >= 0 && (*at | len) % endpoint_alignment(*endpoint) == 0;
}

/* ---- flushing, and the feeder's part ---- */

int bench_disk_flush(struct bench_disk *disk)
{
    int err = 0;

    if (disk->target == NULL) {
        return endpoint_flush(image_endpoint(disk->image));
    }
    for (uint32_t blob = 0; err == 0 && blob < CELL_BLOBS_MAX; blob++) {
        struct endpoint *endpoint = image_blob(disk->image, blob);

        if (endpoint == NULL) {
            break;
        }
        err = endpoint_writable(endpoint) ? endpoint_flush(endpoint) : 0;
    }
    return err;
}

int bench_disk_serve(struct bench_disk *disk)
{
    struct target_fault fault;

    if (disk->lookup != NULL) {
        lookup_serve(disk->lookup);
    }
    if (disk->target != NULL && !target_serve(disk->target, 0, &fault)) {
        bench_disk_abandon(disk);
        return take_fault(&fault);
    }
    return 0;
}

void bench_disk_abandon(struct bench_disk *disk)
{
    if (disk->lookup != NULL) {
        lookup_abandon(disk->lookup);
    }
    if (disk->target != NULL) {
        target_abandon(disk->target);
    }
}

int bench_disk_finish(struct bench_disk *disk)
{
    struct target_fault fault;

    if (disk->target == NULL) {
        return bench_disk_flush(disk);
    }
    return target_finish(disk->target, &fault) ? 0 : take_fault(&fault);
}
