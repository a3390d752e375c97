/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cutter looks one piece ahead. It stands on a unit boundary whenever a job ends, so a job that
 * begins inside a long run of nothing begins on a unit too, and only units that really mix what is
 * copied with what is not are read from the target.
 */
#include "src/copy/cut.h"

struct cutter {
    struct cut_rules rules;
    struct piece piece; /* the one being cut; length 0: fetch the next */
    struct piece ahead; /* the one after it, when have_ahead */
    gboolean have_ahead, ended;
    guint64 position;
};

struct cutter *cutter_new(const struct cut_rules *rules)
{
    struct cutter *cutter = g_new0(struct cutter, 1);

    cutter->rules = *rules;
    return cutter;
}

void cutter_free(struct cutter *cutter)
{
    g_free(cutter);
}

void job_free(struct job *job)
{
    if (job != NULL) {
        if (job->pieces != NULL) {
            g_array_unref(job->pieces);
        }
        if (job->others != NULL) {
            g_array_unref(job->others);
        }
        g_free(job);
    }
}

guint64 cutter_position(const struct cutter *cutter)
{
    return cutter->position;
}

/* Whether two pieces are the same nothing: such neighbours are one run. */
static gboolean continues(const struct piece *a, const struct piece *b)
{
    return a->kind == b->kind && (a->kind == PIECE_SKIP || a->kind == PIECE_ZERO);
}

/* Makes cutter->piece valid: 1, 0 at the end, -1. */
static int fetch(struct cutter *cutter, GError **error)
{
    if (cutter->piece.length > 0) {
        return 1;
    }
    if (cutter->have_ahead) {
        cutter->piece = cutter->ahead;
        cutter->have_ahead = FALSE;
    } else {
        int got = cutter->ended ? 0 : cutter->rules.next(cutter->rules.user, &cutter->piece, error);

        if (got <= 0) {
            cutter->piece.length = 0;
            cutter->ended = TRUE;
            return got;
        }
    }
    cutter->position = cutter->piece.start;
    while (!cutter->ended &&
           (cutter->piece.kind == PIECE_SKIP || cutter->piece.kind == PIECE_ZERO)) {
        int got = cutter->rules.next(cutter->rules.user, &cutter->ahead, error);

        if (got < 0) {
            cutter->position = cutter->piece.start + cutter->piece.length;
            return got;
        }
        cutter->ended = got == 0;
        cutter->have_ahead = got > 0;
        if (got == 0 || !continues(&cutter->piece, &cutter->ahead)) {
            break;
        }
        cutter->piece.length += cutter->ahead.length;
        cutter->piece.run_end = cutter->ahead.run_end;
        cutter->have_ahead = FALSE;
    }
    return 1;
}

/* Whether whole units of this piece need no job, or one of their own. */
static gboolean is_bare(const struct cutter *cutter, const struct piece *piece)
{
    const struct cut_rules *rules = &cutter->rules;

    return piece->kind == PIECE_SKIP ||
           (piece->kind == PIECE_ZERO && (rules->drop_zeros || rules->zero_ranges));
}

/* The first `length` bytes of the current piece. */
static struct piece take(struct cutter *cutter, guint64 length)
{
    struct piece head = cutter->piece;

    if (length < head.length) {
        head = piece_cut(&cutter->piece, length);
    } else {
        cutter->piece.length = 0;
    }
    cutter->position = head.start + head.length;
    return head;
}

static struct job *job_new(guint64 start, gboolean zero)
{
    struct job *job = g_new0(struct job, 1);

    job->start = start;
    job->zero = zero;
    if (!zero) {
        job->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    }
    return job;
}

/* Finds what the job's pieces are compared with. */
static gboolean fill_others(struct cutter *cutter, struct job *job, GError **error)
{
    if (cutter->rules.against == NULL) {
        return TRUE;
    }
    job->others = g_array_new(FALSE, FALSE, sizeof(struct piece));
    for (guint i = 0; i < job->pieces->len; i++) {
        struct piece piece = g_array_index(job->pieces, struct piece, i);

        if (piece.kind == PIECE_SKIP) {
            g_array_append_val(job->others, piece);
        } else if (!cutter->rules.against(cutter->rules.user, piece.start, piece.length,
                                          job->others, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Replaces SKIP pieces of the job by what the target holds there. */
static gboolean fill_rests(struct cutter *cutter, struct job *job, GError **error)
{
    g_autoptr(GArray) old = NULL;
    gboolean any = FALSE;

    for (guint i = 0; i < job->pieces->len; i++) {
        any |= g_array_index(job->pieces, struct piece, i).kind == PIECE_SKIP;
    }
    if (!any) {
        return TRUE;
    }
    old = job->pieces;
    job->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    for (guint i = 0; i < old->len; i++) {
        struct piece piece = g_array_index(old, struct piece, i);

        if (piece.kind == PIECE_SKIP && cutter->rules.rest != NULL) {
            if (!cutter->rules.rest(cutter->rules.user, piece.start, piece.length, job->pieces,
                                    error)) {
                return FALSE;
            }
            continue;
        }
        piece.kind = piece.kind == PIECE_SKIP ? PIECE_ZERO : piece.kind;
        g_array_append_val(job->pieces, piece);
    }
    return TRUE;
}

/* Where a job that holds [start, at) ends if what follows has to be decoded. */
static guint64 packed_end(const struct cut_rules *rules, guint64 start, guint64 at)
{
    guint64 end = (start / rules->packed_bytes + 1) * rules->packed_bytes;
    guint64 unit = rules->unit_bytes;

    return MAX(end, (at + unit - 1) / unit * unit);
}

/* Collects pieces up to the next multiple of job_bytes, or to a unit where something bare begins.
 */
static int cut_data(struct cutter *cutter, struct job **out, GError **error)
{
    const struct cut_rules *rules = &cutter->rules;
    guint64 start = cutter->piece.start;
    guint64 end = (start / rules->job_bytes + 1) * rules->job_bytes;
    struct job *job = job_new(start, FALSE);
    guint64 at = start;
    int got = 1;

    while (at < end && (got = fetch(cutter, error)) > 0) {
        guint64 most = end - at;
        struct piece piece;

        if (cutter->piece.kind == PIECE_COMPRESSED) {
            end = MIN(end, packed_end(rules, start, at));
            if (at == end) {
                break;
            }
            most = end - at;
        }
        if (is_bare(cutter, &cutter->piece)) {
            guint64 into = at % rules->unit_bytes;

            if (into == 0 && cutter->piece.length >= rules->unit_bytes) {
                break;
            }
            most = MIN(most, rules->unit_bytes - into);
        }
        piece = take(cutter, MIN(most, cutter->piece.length));
        at += piece.length;
        g_array_append_val(job->pieces, piece);
    }
    job->length = at - start;
    if (got < 0 || !fill_others(cutter, job, error) || !fill_rests(cutter, job, error)) {
        job_free(job);
        return -1;
    }
    *out = job;
    return 1;
}

int cutter_next(struct cutter *cutter, struct job **out, GError **error)
{
    const struct cut_rules *rules = &cutter->rules;
    int got;

    while ((got = fetch(cutter, error)) > 0) {
        guint64 whole = cutter->piece.length / rules->unit_bytes * rules->unit_bytes;
        struct piece piece;

        /* The end of the disk ends a unit. */
        if (cutter->ended && !cutter->have_ahead) {
            whole = cutter->piece.length;
        }
        if (!is_bare(cutter, &cutter->piece) || whole == 0) {
            return cut_data(cutter, out, error);
        }
        piece = take(cutter, whole);
        if (piece.kind == PIECE_ZERO && !rules->drop_zeros) {
            *out = job_new(piece.start, TRUE);
            (*out)->length = piece.length;
            return 1;
        }
    }
    return got;
}
