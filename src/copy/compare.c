/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calling thread walks over both images at once and cuts the disk into chunks in which neither
 * changes its nature, as stock does: errors name the chunk. Jobs of up to a megabyte are read by
 * both of a worker's readers and compared while they are hot; a side that reads as zeros is not
 * read, the other one is looked at for zeros.
 */
#include "src/copy/compare.h"

#include <string.h>

#include "compat/progress.h"
#include "src/copy/feed.h"
#include "src/copy/pool.h"
#include "src/copy/reader.h"
#include "src/copy/zero.h"

#define JOB_BYTES     (1u << 19)
#define JOB_BYTES_MAX (2u << 20)
#define PACKED_BYTES  (256u << 10) /* jobs that are decoded: their bytes are in memory twice */
#define REQUEST_BYTES (2u << 20)   /* stock's, by which errors are told */
#define SECTOR        512u

struct job {
    guint64 start, length;
    GArray *pieces[2]; /* of struct piece, NULL: zeros */
};

/* One image, as far as it has been walked. */
struct side {
    struct extents *it;
    guint64 size;
    struct extent extent; /* what is left of the current one; length 0: none */
};

struct compare {
    const struct compare_options *options;
    struct side sides[2];
    guint64 size;       /* of the longer one */
    guint64 unit_bytes; /* what either side compresses as one */
    guint64 job_bytes;  /* at least a unit */
    struct pool *pool;
    struct reader_pair {
        struct reader *readers[2];
    } * workers;
    guint nr_workers;
    struct job *job; /* being filled, not pushed yet */

    /* Under the pool's lock. */
    struct compare_event event;
};

/* ---- events ---- */

static void tell(struct compare *compare, struct compare_event event)
{
    pool_lock(compare->pool);
    if (compare->event.outcome == COMPARE_SAME || event.offset < compare->event.offset) {
        g_clear_error(&compare->event.error);
        compare->event = event;
    } else {
        g_clear_error(&event.error);
    }
    pool_unlock(compare->pool);
}

/* Whether something was told about a place before `offset`: what lies there does not matter. */
static gboolean is_decided(struct compare *compare, guint64 offset)
{
    gboolean decided;

    pool_lock(compare->pool);
    decided = compare->event.outcome != COMPARE_SAME && compare->event.offset <= offset;
    pool_unlock(compare->pool);
    return decided;
}

/* ---- jobs ---- */

static void job_free(struct job *job)
{
    for (guint side = 0; side < 2; side++) {
        if (job->pieces[side] != NULL) {
            g_array_unref(job->pieces[side]);
        }
    }
    g_free(job);
}

static gboolean read_side(struct compare *compare, struct reader_pair *w, const struct job *job,
                          guint side, const guint8 **out)
{
    GArray *pieces = job->pieces[side];
    struct read_fault fault;
    const struct piece *piece;

    *out = NULL;
    if (pieces == NULL) {
        return TRUE;
    }
    if (w->readers[side] == NULL) {
        w->readers[side] = reader_new(compare->job_bytes, 1, &compare->options->cell);
    }
    *out = reader_fill(w->readers[side], 0, (struct piece *)pieces->data, pieces->len, &fault);
    if (*out != NULL) {
        return TRUE;
    }
    piece = &g_array_index(pieces, struct piece, fault.piece);
    tell(compare, (struct compare_event){
                      .outcome = fault.error ? COMPARE_BROKEN : COMPARE_READ_FAILED,
                      .offset = piece->start - (piece->start - piece->run_start) % REQUEST_BYTES,
                      .side = side,
                      .error_number = fault.error_number,
                      .error = fault.error});
    return FALSE;
}

/* Whether [at, at + length) is the same on both sides; a side without bytes reads as zeros. */
static gboolean same_bytes(const guint8 *a, const guint8 *b, gsize at, gsize length)
{
    const guint8 *only = a != NULL ? a : b;

    if (a != NULL && b != NULL) {
        return memcmp(a + at, b + at, length) == 0;
    }
    return only == NULL || zero_is(only + at, length);
}

/* The first sector in which the two differ; length if there is none. NULL stands for zeros. */
static guint64 first_difference(const guint8 *a, const guint8 *b, guint64 length)
{
    guint64 at = 0;

    if (same_bytes(a, b, 0, length)) {
        return length;
    }
    for (; at < length; at += SECTOR) {
        if (!same_bytes(a, b, at, MIN(SECTOR, length - at))) {
            break;
        }
    }
    return at;
}

static void run_job(void *user, unsigned worker, void *data, guint64 number)
{
    struct compare *compare = user;
    struct job *job = data;
    const guint8 *bytes[2];

    if (!is_decided(compare, job->start) &&
        read_side(compare, &compare->workers[worker], job, 0, &bytes[0]) &&
        read_side(compare, &compare->workers[worker], job, 1, &bytes[1])) {
        guint64 at = first_difference(bytes[0], bytes[1], job->length);

        if (at < job->length) {
            tell(compare,
                 (struct compare_event){.outcome = COMPARE_DIFFERS, .offset = job->start + at});
        }
    }
    job_free(job);
}

static void push_job(struct compare *compare)
{
    struct job *job = g_steal_pointer(&compare->job);

    if (job == NULL) {
        return;
    }
    while (!pool_push(compare->pool, job)) {
        pool_wait(compare->pool);
    }
}

/* Jobs end on multiples of this. */
static guint64 job_grid(const struct compare *compare, const struct piece pieces[2])
{
    gboolean packed = pieces[0].kind == PIECE_COMPRESSED || pieces[1].kind == PIECE_COMPRESSED;

    return packed ? MAX(PACKED_BYTES, compare->unit_bytes) : compare->job_bytes;
}

/* Whether a piece can follow the last one of that side in the same job. */
static gboolean fits(const struct compare *compare, const struct piece pieces[2])
{
    const struct job *job = compare->job;
    guint64 grid = job_grid(compare, pieces);

    if (job->start + job->length != pieces[0].start ||
        pieces[0].start / grid != job->start / grid) {
        return FALSE;
    }
    for (guint side = 0; side < 2; side++) {
        if ((job->pieces[side] == NULL) != (pieces[side].kind == PIECE_ZERO)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Adds what both sides hold at the same place, cut where jobs end and where requests would. */
static void add_pieces(struct compare *compare, struct piece pieces[2])
{
    while (pieces[0].length > 0) {
        guint64 start = pieces[0].start;
        guint64 grid = job_grid(compare, pieces);
        guint64 to_job = grid - start % grid;
        guint64 to_request = REQUEST_BYTES - (start - pieces[0].run_start) % REQUEST_BYTES;
        guint64 length = MIN(pieces[0].length, MIN(to_job, to_request));

        if (compare->job != NULL && !fits(compare, pieces)) {
            push_job(compare);
        }
        if (compare->job == NULL) {
            compare->job = g_new0(struct job, 1);
            compare->job->start = start;
        }
        for (guint side = 0; side < 2; side++) {
            struct piece head = pieces[side];

            if (length < head.length) {
                head = piece_cut(&pieces[side], length);
            } else {
                pieces[side].length = 0;
            }
            if (head.kind != PIECE_ZERO) {
                if (compare->job->pieces[side] == NULL) {
                    compare->job->pieces[side] = g_array_new(FALSE, FALSE, sizeof(struct piece));
                }
                g_array_append_val(compare->job->pieces[side], head);
            }
        }
        compare->job->length += length;
    }
}

/* ---- walking ---- */

/* Makes the side's current extent valid; behind its end it is zeros. */
static gboolean fetch(struct compare *compare, guint index, guint64 at)
{
    struct side *side = &compare->sides[index];
    GError *error = NULL;
    int got = 0;

    if (side->extent.length > 0) {
        return TRUE;
    }
    if (at < side->size) {
        got = extents_next(side->it, &side->extent, &error);
    }
    if (got < 0) {
        tell(compare,
             (struct compare_event){
                 .outcome = COMPARE_STATUS_FAILED, .offset = at, .side = index, .error = error});
        return FALSE;
    }
    if (got == 0) {
        side->extent = (struct extent){
            .start = at, .length = compare->size - at, .kind = CELL_EXTENT_HOLE, .zero = TRUE};
    }
    return TRUE;
}

static gboolean is_last(const struct compare *compare, const struct extent *extent)
{
    return extent->length >= compare->size - extent->start;
}

/*
 * Whether a strict comparison takes the two for the same. Compressed data has no offset; one that
 * is the last of its disk is another than one that is not.
 */
static gboolean same_status(const struct compare *compare, const struct extent *a,
                            const struct extent *b)
{
    gboolean a_offset = a->has_offset && a->kind != CELL_EXTENT_COMPRESSED;
    gboolean b_offset = b->has_offset && b->kind != CELL_EXTENT_COMPRESSED;

    return a->data == b->data && a->zero == b->zero && a->present == b->present &&
           a_offset == b_offset && is_last(compare, a) == is_last(compare, b);
}

/* Compares one chunk; FALSE: nothing behind it matters. */
static gboolean walk_chunk(struct compare *compare, guint64 at, guint64 *out_length)
{
    struct side *sides = compare->sides;
    struct piece pieces[2];
    guint64 length;

    if (!fetch(compare, 0, at) || !fetch(compare, 1, at)) {
        return FALSE;
    }
    length = MIN(sides[0].extent.length, sides[1].extent.length);
    if (compare->options->strict && !same_status(compare, &sides[0].extent, &sides[1].extent)) {
        tell(compare, (struct compare_event){.outcome = COMPARE_STATUS_DIFFERS, .offset = at});
        return FALSE;
    }
    for (guint side = 0; side < 2; side++) {
        pieces[side] = piece_from_head(&sides[side].extent, at, length);
    }
    if (pieces[0].kind == PIECE_ZERO && pieces[1].kind == PIECE_ZERO) {
        push_job(compare);
    } else {
        add_pieces(compare, pieces);
    }
    *out_length = length;
    return !is_decided(compare, at);
}

/* Waits until everything before `at` is compared; FALSE: something was told about it. */
static gboolean settle(struct compare *compare, guint64 at)
{
    push_job(compare);
    pool_run_alone(compare->pool);
    while (pool_wait(compare->pool)) {
    }
    return !is_decided(compare, at);
}

/* What progress shows is settled first: a difference before it ends the line. */
static gboolean show_progress(struct compare *compare, guint64 at, guint64 *shown)
{
    double step = (double)compare->size * PROGRESS_STEP_COMPARE / 100.0;

    if (compare->options->progress && (double)(at - *shown) >= step) {
        *shown = at;
        if (!settle(compare, at)) {
            return FALSE;
        }
        progress_update(at, compare->size);
    }
    return TRUE;
}

static void walk(struct compare *compare)
{
    guint64 common = MIN(compare->sides[0].size, compare->sides[1].size);
    guint64 at = 0, shown = 0, length;
    gboolean in_tail = FALSE;

    while (at < compare->size) {
        if (at >= common && !in_tail) {
            in_tail = TRUE;
            if (!settle(compare, at)) {
                return;
            }
            compare->options->before_tail(compare->options->user);
        }
        if (!walk_chunk(compare, at, &length)) {
            break;
        }
        at += length;
        if (!show_progress(compare, at, &shown)) {
            break;
        }
    }
    if (settle(compare, at) && compare->options->progress && compare->size > 0) {
        progress_update(1, 1);
    }
}

void compare_run(struct image *const images[2], const struct compare_options *options,
                 struct compare_event *event)
{
    struct compare compare = {.options = options, .nr_workers = MAX(options->workers, 1)};

    for (guint i = 0; i < 2; i++) {
        guint64 unit = image_cluster_size(images[i]);

        compare.unit_bytes = MAX(compare.unit_bytes, MIN(unit, JOB_BYTES_MAX));
        compare.sides[i].size = image_virtual_size(images[i]);
        compare.sides[i].it = extents_new(images[i], 0, compare.sides[i].size, 0);
        compare.size = MAX(compare.size, compare.sides[i].size);
    }
    compare.job_bytes = MAX(JOB_BYTES, compare.unit_bytes);
    compare.workers = g_new0(struct reader_pair, compare.nr_workers);
    compare.pool = pool_new(compare.nr_workers, 4 * compare.nr_workers, run_job, &compare);
    walk(&compare);
    pool_free(compare.pool);
    for (guint i = 0; i < compare.nr_workers; i++) {
        reader_free(compare.workers[i].readers[0]);
        reader_free(compare.workers[i].readers[1]);
    }
    g_free(compare.workers);
    extents_free(compare.sides[0].it);
    extents_free(compare.sides[1].it);
    *event = compare.event;
}
