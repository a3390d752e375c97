/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `dd`: a run of blocks of one image becomes a new image. Unlike `convert` it has no mind for
 * zeros: all of the run is written as data, as stock does.
 */
#include <errno.h>
#include <stdio.h>

#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/copy/copy.h"
#include "src/copy/feed.h"
#include "src/copy/target_image.h"
#include "src/plan/apply.h"
#include "src/plan/create_image.h"

#define SECTOR        512u
#define REQUEST_BYTES (2u << 20)
#define WORKERS_MAX   8u

static gboolean fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return FALSE;
}

static guint64 whole_sectors(guint64 bytes)
{
    return bytes / SECTOR * SECTOR + (bytes % SECTOR != 0 ? SECTOR : 0);
}

/* ---- which bytes ---- */

/* What is copied: [start, start + length) of the source. */
struct run {
    guint64 start, length; /* bytes */
    gboolean beyond;       /* skip= leads past the end */
};

/*
 * count= is where the input ends, not how much is copied; skip= is measured against that end.
 */
static struct run choose_run(const struct options *opt, guint64 size)
{
    struct run run = {0};
    guint64 limit = G_MAXINT64 / opt->dd_bs_bytes;

    if (opt->have_dd_count && opt->dd_count <= limit) {
        size = MIN(size, opt->dd_count * opt->dd_bs_bytes);
    }
    if (opt->dd_skip > limit || opt->dd_skip * opt->dd_bs_bytes > size) {
        run.beyond = TRUE;
        return run;
    }
    run.start = opt->dd_skip * opt->dd_bs_bytes;
    run.length = size - run.start;
    return run;
}

/* ---- the source as pieces ---- */

struct run_feed {
    struct run run;
    struct extents *extents;
    guint64 position; /* bytes given, up to the last sector's end */
};

/* piece_next_fn. What lies behind the source's end, in its last sector, is zeros. */
static int next_piece(void *user, struct piece *out, GError **error)
{
    struct run_feed *feed = user;
    guint64 end = whole_sectors(feed->run.length);
    struct extent extent;
    int got = extents_next(feed->extents, &extent, error);

    if (got > 0) {
        piece_from_extent(&extent, extent.start - feed->run.start, out);
        feed->position = out->start + out->length;
        return 1;
    }
    if (got < 0 || feed->position == end) {
        return got;
    }
    *out = (struct piece){.start = feed->position,
                          .length = end - feed->position,
                          .run_start = feed->position,
                          .run_end = end,
                          .kind = PIECE_ZERO};
    feed->position = end;
    return 1;
}

/* ---- the target ---- */

static struct create_opts *check_target(const struct options *opt, GError **error)
{
    struct create_request request = {.format = opt->out_format, .filename = opt->dd_of};

    /* Stock leaves the name out here, and here alone. */
    if (opt->out_format != NULL && driver_find(opt->out_format) == NULL) {
        wording_fail(error, "Unknown file format");
        return NULL;
    }
    return create_opts_new(&request, error);
}

static gboolean create_target(const struct options *opt, struct create_opts *opts, guint64 size)
{
    GError *error = NULL;

    create_opts_set_size(opts, size);
    if (create_image(opts, opt->dd_of, FALSE, &error)) {
        return TRUE;
    }
    report_gerror_prefixed(error, "%s: error while creating output image: ", opt->dd_of);
    g_error_free(error);
    return FALSE;
}

static struct image *open_image(const char *name, const char *format, gboolean image_opts,
                                gboolean read_write, gboolean force_share)
{
    struct image_open_options options = {
        .filename = name,
        .image_opts = image_opts,
        .format = format,
        .read_write = read_write,
        .may_resize = TRUE,
        .force_share = force_share,
        .cache = CACHE_WRITEBACK,
    };
    GError *error = NULL;
    struct image *image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, name);
        fail(error);
    }
    return image;
}

/* ---- copying ---- */

static void report_fault(const struct copy_fault *fault)
{
    int error_number = fault->error_number;

    if (fault->stage == COPY_STATUS && error_number == 0 && fault->error != NULL) {
        error_number = image_report_damage(fault->error);
    }
    if (error_number == 0) {
        report_gerror(fault->error);
    } else if (fault->stage == COPY_STATUS || fault->stage == COPY_READ) {
        report_error("error while reading from input image file: %s", g_strerror(error_number));
    } else {
        report_error("error while writing to output image file: %s", g_strerror(error_number));
    }
}

static gboolean copy_blocks(struct image *source, struct run run, struct target *target)
{
    struct run_feed feed = {.run = run};
    struct copy_feed pieces = {.next = next_piece, .user = &feed};
    struct copy_options options = {
        .workers = pool_default_workers(WORKERS_MAX, COPY_WORKER_ADDRESSES),
        .chunk_bytes = REQUEST_BYTES,
    };
    struct copy_fault fault = {0};
    GError *error = NULL;
    gboolean ok;

    if (!cell_config_from_environment(&options.cell, &error)) {
        return fail(error);
    }
    feed.extents = extents_new(source, run.start, run.length, 0);
    ok = copy_run(&pieces, target, &options, &fault);
    extents_free(feed.extents);
    if (!ok) {
        report_fault(&fault);
        g_clear_error(&fault.error);
    }
    return ok;
}

static gboolean fill_target(const struct options *opt, struct image *source, struct run run,
                            struct image *image)
{
    GError *error = NULL;
    struct target *target =
        target_new_image(image, &(struct target_image_options){.fresh = TRUE}, &error);
    gboolean ok;

    if (target == NULL) {
        return fail(error);
    }
    if (run.beyond) {
        report_error("%s: cannot skip to specified offset", opt->dd_if);
    }
    ok = copy_blocks(source, run, target);
    target_free(target);
    return ok;
}

static gboolean dd(const struct options *opt, struct image *source)
{
    struct run run = choose_run(opt, whole_sectors(image_virtual_size(source)));
    GError *error = NULL;
    struct create_opts *opts = check_target(opt, &error);
    struct image *image;
    gboolean ok;

    if (opts == NULL) {
        return fail(error);
    }
    ok = create_target(opt, opts, run.length);
    create_opts_free(opts);
    if (!ok) {
        return FALSE;
    }
    if (apply_explains()) {
        fprintf(stderr, "plan: copy %" G_GUINT64_FORMAT " bytes\n", run.length);
        return TRUE;
    }
    image = open_image(opt->dd_of, opt->out_format != NULL ? opt->out_format : "raw", FALSE, TRUE,
                       FALSE);
    ok = image != NULL && fill_target(opt, source, run, image);
    if (image != NULL) {
        image_free(image);
    }
    return ok;
}

int cmd_dd(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct image *source =
        open_image(opt->dd_if, opt->format, opt->image_opts, FALSE, opt->force_share);
    gboolean ok;

    if (source == NULL) {
        return EXIT_STATUS_ERROR;
    }
    ok = dd(opt, source);
    image_free(source);
    return ok ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
