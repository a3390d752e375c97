/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `convert`: convert.c runs it, convert_target.c makes and opens the target.
 */
#ifndef INSTAR_SRC_CMD_CONVERT_H
#define INSTAR_SRC_CMD_CONVERT_H

#include "compat/argv.h"
#include "compat/create_opts.h"
#include "src/copy/feed.h"
#include "src/copy/target.h"
#include "src/graph/bitmaps.h"
#include "src/graph/graph.h"

/* The target of a convert, until convert_target_clear. */
struct convert_target {
    const char *name;               /* as typed */
    const struct create_opts *opts; /* with which it was made, NULL: it was there */
    struct image *image;
    struct target *target;
    enum cell_codec codec; /* for -c */
    gboolean has_backing;
    gboolean refuses_compression; /* -c with an external data file */
};

void convert_target_clear(struct convert_target *target);

/*
 * Checks what -O, -o, -b, -F and -c ask for, as far as it can be known before anything is made.
 *
 * out:     *out_opts, NULL with -n
 * returns: FALSE with stock's sentence
 */
gboolean convert_check_target(const struct invocation *inv, unsigned nr_sources,
                              struct create_opts **out_opts, GError **error);

/*
 * Makes the target, unless it exists already (-n), and opens it.
 *
 * in:      opts: from convert_check_target; size_bytes: of all sources
 * out:     *out: without an image when only a plan was asked for
 * returns: FALSE, with the error reported
 */
gboolean convert_open_target(const struct invocation *inv, struct create_opts *opts,
                             uint64_t size_bytes, struct convert_target *out);

/* Makes the opened image the target of a copy; FALSE, with the error reported. */
gboolean convert_start_target(const struct options *opt, struct convert_target *target);

/*
 * Closes the target, and opens it as an image only: what the cell knew of it before it was written
 * to does not count any more.
 */
gboolean convert_reopen_target(const struct options *opt, struct convert_target *target);

/* ---- convert_dirty.c ---- */

/*
 * Notes in the bitmaps of a target that was there before what the copy is going to write; it may be
 * opened anew.
 *
 * in:      feed: of the copy, at its start
 * returns: FALSE, with the error reported
 */
gboolean convert_tell_bitmaps(const struct options *opt, struct feed *feed,
                              struct convert_target *target);

/* ---- convert_bitmaps.c ---- */

/*
 * Finds the source's bitmaps, as far as stock looks at them before it makes the target.
 *
 * out:     *out: NULL without --bitmaps
 * returns: FALSE, with the error reported
 */
gboolean convert_find_bitmaps(const struct options *opt, const GPtrArray *sources,
                              struct image_bitmaps **out);

/* Whether the target can hold bitmaps; FALSE, with the error reported. */
gboolean convert_check_bitmaps_fit(const struct convert_target *target);

/*
 * Makes the bitmaps in the target, whose data has been written. Those before one that fails stay.
 *
 * returns: FALSE, with the error reported
 */
gboolean convert_copy_bitmaps(const struct options *opt, struct image_bitmaps *bitmaps,
                              struct convert_target *target);

#endif
