/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `convert -n`: what is going to be written is noted in the target's bitmaps before the first of it
 * is. See src/plan/dirty_ranges.h.
 */
#include "compat/wording.h"
#include "src/cmd/convert.h"
#include "src/plan/dirty_ranges.h"

/* The pieces of the copy, as the bitmaps see them. */
struct told {
    struct feed *feed;
    guint64 at, size;  /* bytes: where the last one ended, the end of the sources */
    guint64 unit;      /* bytes that are written as one */
    gboolean no_zeros; /* those are not written */
};

/*
 * As piece_next_fn. A source that cannot be understood fails in the copy, with its words, or is
 * passed over there: here all that follows counts as written.
 */
static int told_next(void *user, struct piece *out, GError **error)
{
    struct told *told = user;
    guint64 end;
    int got = feed_next(told->feed, out, error);

    if (got < 0) {
        g_clear_error(error);
        *out = (struct piece){.start = told->at, .length = told->size - told->at};
        out->kind = PIECE_DATA;
        told->at = told->size;
        return out->length > 0;
    }
    if (got == 0 || told->at >= told->size) {
        return 0;
    }
    end = out->start + out->length;
    told->at = end;
    if (out->kind == PIECE_ZERO && told->no_zeros) {
        out->kind = PIECE_SKIP;
    }
    out->start -= out->start % told->unit;
    end = MIN(end + (told->unit - end % told->unit) % told->unit, told->size);
    out->length = MAX(end, out->start + 1) - out->start;
    return 1;
}

gboolean convert_tell_bitmaps(const struct options *opt, struct feed *feed,
                              struct convert_target *target)
{
    struct told told = {
        .feed = feed,
        .size = feed_size(feed),
        .unit = opt->compress ? MAX(image_cluster_size(target->image), 1) : 1,
        .no_zeros = opt->target_is_zero,
    };
    GError *error = NULL;
    gboolean stored;

    if (!dirty_ranges_store(target->image, told_next, &told, &stored, &error)) {
        report_gerror(error);
        g_error_free(error);
        return FALSE;
    }
    return !stored || convert_reopen_target(opt, target);
}
