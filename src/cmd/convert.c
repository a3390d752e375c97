/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `convert`: sources are opened and concatenated, the target is made or taken, and src/copy moves
 * the bytes. The order of checks is stock's.
 */
#include "src/cmd/convert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/progress.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/copy/copy.h"
#include "src/copy/feed.h"
#include "src/graph/snapshot.h"
#include "src/plan/apply.h"

#define MIB           (1u << 20)
#define SPARSE_BYTES  4096u      /* -S, when not given */
#define REQUEST_BYTES (2u * MIB) /* stock's, by which errors and progress are told */

static gboolean fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return FALSE;
}

/* ---- sources ---- */

static gboolean open_sources(const struct invocation *inv, GPtrArray *sources)
{
    const struct options *opt = &inv->opt;

    for (guint i = 0; i + 1 < inv->operands->len; i++) {
        struct image_open_options options = {
            .filename = g_ptr_array_index(inv->operands, i),
            .image_opts = opt->image_opts,
            .format = opt->format,
            .force_share = opt->force_share,
            .exclusive_source = TRUE,
            .cache = opt->src_cache_mode,
        };
        GError *error = NULL;
        struct image *image = image_open(&options, &error);

        if (image == NULL) {
            wording_prefix_open(&error, options.filename);
            return fail(error);
        }
        g_ptr_array_add(sources, image);
    }
    return TRUE;
}

static gboolean load_snapshot(const struct options *opt, GPtrArray *sources)
{
    GError *error = NULL;

    if (opt->snapshot == NULL) {
        return TRUE;
    }
    if (opt->snapshot_id == NULL && opt->snapshot_name == NULL && sources->len > 1) {
        report_error("No support for concatenating multiple snapshot");
        return FALSE;
    }
    gboolean plain = opt->snapshot_id == NULL && opt->snapshot_name == NULL;

    if (image_load_snapshot(g_ptr_array_index(sources, 0), plain ? opt->snapshot : NULL,
                            opt->snapshot_id, opt->snapshot_name, &error)) {
        return TRUE;
    }
    g_prefix_error(&error, "Failed to load snapshot: ");
    return fail(error);
}

/* ---- copying ---- */

static void report_fault(const struct copy_fault *fault)
{
    int saved_errno = fault->error_number;

    if (fault->error != NULL && saved_errno == 0 && fault->stage == COPY_STATUS) {
        saved_errno = image_report_damage(fault->error);
    }
    switch (fault->stage) {
    case COPY_STATUS:
        wording_report_status_error(FALSE, fault->offset, saved_errno);
        break;
    case COPY_READ:
    case COPY_READ_AGAINST:
        wording_report_read_error(FALSE, fault->offset, saved_errno);
        break;
    case COPY_WRITE:
        wording_report_write_error(fault->offset, saved_errno);
        break;
    case COPY_OTHER:
        if (saved_errno != 0) {
            wording_report_write_error(fault->offset, saved_errno);
        } else {
            report_gerror(fault->error);
        }
        break;
    }
}

static gboolean fill_options(const struct options *opt, const GPtrArray *sources,
                             const struct convert_target *target, struct copy_options *out,
                             GError **error)
{
    *out = (struct copy_options){
        .workers = pool_default_workers(opt->parallel, COPY_WORKER_ADDRESSES),
        .sparse_bytes = opt->have_sparse_size ? opt->sparse_size_bytes : SPARSE_BYTES,
        .out_of_order = opt->oob_writes && target->codec != CELL_CODEC_VMDK_GRAIN,
        .salvage = opt->salvage,
        .quiet = opt->quiet,
        .refuse_data = target->refuses_compression,
        .offload = opt->copy_range,
        .share = !opt->have_sparse_size && !opt->salvage && !opt->have_rate_limit,
        .codec = target->codec,
        .rate_bytes = opt->have_rate_limit ? opt->rate_limit_bytes : 0,
        .chunk_bytes = target_shape(target->target)->compresses
                           ? target_shape(target->target)->unit_bytes
                           : REQUEST_BYTES,
    };
    for (guint i = 0; i < sources->len; i++) {
        out->source_unit = MAX(out->source_unit, image_cluster_size(g_ptr_array_index(sources, i)));
    }
    return cell_config_from_environment(&out->cell, error);
}

static struct feed *make_feed(const struct options *opt, GPtrArray *sources,
                              const struct convert_target *target)
{
    struct image *backing = image_backing(target->image);

    return feed_new(&(struct feed_options){
        .sources = (struct image *const *)sources->pdata,
        .nr_sources = sources->len,
        .target = opt->no_create || target->has_backing ? target->image : NULL,
        .target_size = image_virtual_size(target->image),
        .top_layer_only = target->has_backing,
        .backing_size = backing != NULL ? image_virtual_size(backing) : G_MAXUINT64,
        .salvage = opt->salvage,
    });
}

/* What is there already is told first what is going to be written. */
static gboolean start_target(const struct options *opt, GPtrArray *sources,
                             struct convert_target *target)
{
    struct feed *feed = opt->no_create ? make_feed(opt, sources, target) : NULL;
    gboolean ok = feed == NULL || convert_tell_bitmaps(opt, feed, target);

    if (feed != NULL) {
        feed_free(feed);
    }
    return ok && convert_start_target(opt, target);
}

static gboolean copy(const struct options *opt, GPtrArray *sources, struct convert_target *target)
{
    struct feed *feed = make_feed(opt, sources, target);
    struct copy_feed source = {.next = feed_next, .rest = feed_rest, .user = feed};
    struct copy_options options;
    struct copy_fault fault = {0};
    GError *error = NULL;
    gboolean ok;

    if (!fill_options(opt, sources, target, &options, &error)) {
        feed_free(feed);
        return fail(error);
    }
    ok = (!opt->progress && !opt->salvage) ||
         copy_survey(&source, target->target, &options, &options.total_bytes, &fault);
    feed_rewind(feed);
    ok = ok && copy_run(&source, target->target, &options, &fault);
    if (!ok) {
        report_fault(&fault);
        g_clear_error(&fault.error);
    }
    feed_free(feed);
    return ok;
}

/* ---- the verb ---- */

static guint64 total_size(const GPtrArray *sources)
{
    struct feed *feed = feed_new(&(struct feed_options){
        .sources = (struct image *const *)sources->pdata, .nr_sources = sources->len});
    guint64 size = feed_size(feed);

    feed_free(feed);
    return size;
}

static gboolean convert(const struct invocation *inv, GPtrArray *sources, int *exit_status)
{
    const struct options *opt = &inv->opt;
    struct convert_target target = {0};
    struct create_opts *opts = NULL;
    g_autoptr(ImageBitmaps) bitmaps = NULL;
    GError *error = NULL;
    guint64 size;
    gboolean ok;

    if (!open_sources(inv, sources) || !load_snapshot(opt, sources)) {
        return FALSE;
    }
    size = total_size(sources);
    if (!convert_check_target(inv, sources->len, &opts, &error)) {
        return fail(error);
    }
    if (opt->target_is_zero && opt->backing_file != NULL) {
        /* Stock says so and succeeds all the same, having done nothing. */
        report_error("Cannot use --target-is-zero when the destination image has a backing file");
        *exit_status = EXIT_STATUS_OK;
        return FALSE;
    }
    ok = convert_find_bitmaps(opt, sources, &bitmaps) &&
         convert_open_target(inv, opts, size, &target);
    if (ok && target.image == NULL) {
        fprintf(stderr, "plan: copy %" G_GUINT64_FORMAT " bytes\n", size);
    } else if (ok) {
        ok = start_target(opt, sources, &target) && copy(opt, sources, &target) &&
             (bitmaps == NULL || convert_copy_bitmaps(opt, bitmaps, &target));
        /* Stock fails without a word where there was nothing that could have failed with one. */
        ok = ok && !target.refuses_compression;
    }
    convert_target_clear(&target);
    create_opts_free(opts);
    return ok;
}

int cmd_convert(const struct invocation *inv)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
    int exit_status = EXIT_STATUS_ERROR;

    progress_begin(inv->opt.progress, PROGRESS_STEP_CONVERT);
    progress_start();
    if (convert(inv, sources, &exit_status)) {
        exit_status = EXIT_STATUS_OK;
        progress_complete();
    }
    progress_end();
    return exit_status;
}
