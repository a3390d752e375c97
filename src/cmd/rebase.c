/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `rebase`: another backing file under an overlay, which shows the same afterwards.
 *
 * First what the overlay would lose is copied into it, by the copy engine, which compares the old
 * backing file with the new one; then a plan of the cell changes the header. Whatever stops it, the
 * disk reads the same. With -u only the header is changed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/driver.h"
#include "compat/exit_status.h"
#include "compat/profile.h"
#include "compat/progress.h"
#include "compat/wording.h"
#include "guest/abi/error.h"
#include "guest/abi/error_plan.h"
#include "src/cmd/cmd.h"
#include "src/copy/copy.h"
#include "src/copy/rebase_feed.h"
#include "src/copy/target_codec.h"
#include "src/copy/target_image.h"
#include "src/graph/chain.h"
#include "src/graph/paths.h"
#include "src/plan/apply.h"
#include "src/plan/dirty_ranges.h"
#include "src/plan/image_plan.h"
#include "src/plan/parent_id.h"
#include "src/wire/decode.h"

#define REQUEST_BYTES (2u << 20)
#define WORKERS_MAX   8u

struct rebase {
    const struct options *opt;
    struct image_open_options how; /* the overlay was opened */
    struct image *overlay;
    struct image *backing;   /* the new one; NULL: none, or -u */
    struct parent_id parent; /* of the new one, for formats that write it down */
};

static gboolean fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return FALSE;
}

/* ---- the header ---- */

static const char *new_name(const struct rebase *rebase)
{
    const char *name = rebase->opt->backing_file;

    return name != NULL && *name != '\0' ? name : NULL;
}

/* In stock's words, which differ with what was asked for. */
static gboolean report_change(const struct rebase *rebase, const char *reason)
{
    const char *name = rebase->opt->backing_file;

    report_error("Could not change the backing file to '%s': %s", name != NULL ? name : "(null)",
                 reason);
    progress_update(1, 1); /* stock tells the end of the copy first */
    return FALSE;
}

static gboolean report_refusal(const struct rebase *rebase, GError *error)
{
    g_autoptr(GError) owned = error;

    if (wire_error_code(error) == GUEST_ERR_NOT_SUPPORTED) {
        return report_change(rebase, g_strerror(ENOTSUP));
    }
    return report_change(rebase, error->message);
}

static void fill_request(const struct rebase *rebase, Abi__BackingRequest *request)
{
    const char *name = new_name(rebase), *format = rebase->opt->backing_fmt;

    request->node = image_node(rebase->overlay);
    request->has_backing = name != NULL;
    request->parent_guid.data = (uint8_t *)rebase->parent.guid;
    request->parent_guid.len = rebase->parent.len;
    request->parent_time_sec = rebase->parent.time_sec;
    if (name != NULL) {
        request->name.data = (uint8_t *)name;
        request->name.len = strlen(name);
        request->format.data = (uint8_t *)format;
        request->format.len = strlen(format);
    }
}

/* Even with -u: without it the overlay would not know its parent. Other formats the cell refuses.
 */
static gboolean look_at_parent(struct rebase *rebase)
{
    const char *format = image_format(rebase->overlay);
    GError *error = NULL;

    return new_name(rebase) == NULL || !parent_id_wanted(format) ||
           strcmp(rebase->opt->backing_fmt, format) != 0 ||
           parent_id_read(format, endpoint_path(image_endpoint(rebase->overlay)), new_name(rebase),
                          rebase->opt->backing_fmt, &rebase->parent, &error) ||
           report_refusal(rebase, error);
}

/* What can be known to fail in the end is not begun. */
static gboolean check_header(struct rebase *rebase)
{
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    GError *error = NULL;

    if (new_name(rebase) != NULL && rebase->opt->backing_fmt == NULL) {
        return report_change(rebase, "backing format must be specified");
    }
    if (image_cell(rebase->overlay) == NULL) {
        return report_change(rebase, g_strerror(ENOTSUP));
    }
    if (!look_at_parent(rebase)) {
        return FALSE;
    }
    fill_request(rebase, &request);
    request.check_only = TRUE;
    return image_plan_start(rebase->overlay, CELL_METHOD_BACKING, &request.base, &error) ||
           report_refusal(rebase, error);
}

static gboolean change_header(const struct rebase *rebase)
{
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    GError *error = NULL;

    fill_request(rebase, &request);
    return image_plan_run(rebase->overlay, CELL_METHOD_BACKING, &request.base,
                          image_cluster_size(rebase->overlay), &error) ||
           report_refusal(rebase, error);
}

/* ---- the copy ---- */

static void report_fault(const struct copy_fault *fault)
{
    int error_number = fault->error_number;

    if (fault->stage == COPY_STATUS && error_number == 0 && fault->error != NULL) {
        error_number = image_report_damage(fault->error);
    }
    if (error_number == 0) {
        report_gerror(fault->error);
    } else if (fault->stage == COPY_STATUS) {
        report_error("error while reading image metadata: %s", g_strerror(error_number));
    } else if (fault->stage == COPY_READ) {
        report_error("error while reading from old backing file");
    } else if (fault->stage == COPY_READ_AGAINST) {
        report_error("error while reading from new backing file");
    } else {
        report_error("Error while writing to COW image: %s", g_strerror(error_number));
    }
}

static gboolean fill_options(const struct rebase *rebase, const struct target *target,
                             struct copy_options *out, GError **error)
{
    struct image *const tops[] = {rebase->overlay, rebase->backing};

    *out = (struct copy_options){
        .workers = pool_default_workers(WORKERS_MAX, 2 * COPY_WORKER_ADDRESSES),
        .sparse_bytes = 1, /* zeros are recorded as such, whole units of them */
        .refuse_data =
            rebase->opt->compress && target_shape(target)->data != image_endpoint(rebase->overlay),
        .chunk_bytes = REQUEST_BYTES,
    };
    for (guint i = 0; i < G_N_ELEMENTS(tops); i++) {
        for (struct image *layer = tops[i]; layer != NULL; layer = image_backing(layer)) {
            out->source_unit = MAX(out->source_unit, image_cluster_size(layer));
        }
    }
    return (!rebase->opt->compress || target_find_codec(rebase->overlay, &out->codec, error)) &&
           cell_config_from_environment(&out->cell, error);
}

static gboolean run_copy(const struct rebase *rebase, struct rebase_feed *feed,
                         struct target *target)
{
    struct copy_feed pieces = {.next = rebase_feed_next,
                               .rest = rebase_feed_rest,
                               .against = rebase_feed_against,
                               .user = feed};
    struct copy_options options;
    struct copy_fault fault = {0};
    GError *error = NULL;
    gboolean ok = TRUE;

    if (!fill_options(rebase, target, &options, &error)) {
        return fail(error);
    }
    if (rebase->opt->progress) {
        ok = copy_survey(&pieces, target, &options, &options.total_bytes, &fault);
        rebase_feed_rewind(feed);
    }
    ok = ok && copy_run(&pieces, target, &options, &fault);
    if (!ok) {
        report_fault(&fault);
        g_clear_error(&fault.error);
    }
    return ok;
}

static gboolean open_overlay(struct rebase *rebase)
{
    GError *error = NULL;

    rebase->overlay = image_open(&rebase->how, &error);
    if (rebase->overlay == NULL) {
        wording_prefix_open(&error, rebase->how.filename);
        return fail(error);
    }
    return TRUE;
}

/*
 * What may be written is noted in the overlay's bitmaps first, before it is known what differs; the
 * overlay may be opened anew.
 */
static gboolean tell_bitmaps(struct rebase *rebase)
{
    struct rebase_feed *feed = rebase_feed_new(rebase->overlay, rebase->backing);
    GError *error = NULL;
    gboolean stored;
    gboolean ok = dirty_ranges_store(rebase->overlay, rebase_feed_next, feed, &stored, &error);

    rebase_feed_free(feed);
    if (!ok) {
        return fail(error);
    }
    if (stored) {
        image_free(rebase->overlay);
        return open_overlay(rebase);
    }
    return TRUE;
}

static gboolean copy_lost(struct rebase *rebase)
{
    struct target_image_options options = {
        .compressed = rebase->opt->compress,
        .keep_zeros = TRUE,
        .bitmaps_told = TRUE,
        .same_disk = TRUE,
    };
    struct rebase_feed *feed;
    GError *error = NULL;
    struct target *target;
    gboolean ok;

    if (apply_explains()) {
        fprintf(stderr, "plan: copy what differs\n");
        return TRUE;
    }
    if (!tell_bitmaps(rebase)) {
        return FALSE;
    }
    target = target_new_image(rebase->overlay, &options, &error);
    if (target == NULL) {
        return fail(error);
    }
    feed = rebase_feed_new(rebase->overlay, rebase->backing);
    ok = run_copy(rebase, feed, target);
    rebase_feed_free(feed);
    target_free(target);
    return ok;
}

/* ---- the new backing file ---- */

/* A relative name is relative to the overlay. */
static gboolean open_backing(struct rebase *rebase)
{
    const struct options *opt = rebase->opt;
    const char *name = new_name(rebase);
    g_autofree char *full = NULL;
    struct image_open_options options = {
        .format = opt->backing_fmt,
        .force_share = opt->force_share,
        .cache = opt->src_cache_mode,
    };
    GError *error = NULL;
    unsigned depth;

    if (name == NULL) {
        return TRUE;
    }
    full = path_has_protocol(name)
               ? g_strdup(name)
               : path_combine(endpoint_path(image_endpoint(rebase->overlay)), name);
    options.filename = full;
    options.reopened = image_find_backing(rebase->overlay, name, &depth) != NULL;
    rebase->backing = image_open(&options, &error);
    if (rebase->backing == NULL) {
        report_gerror_prefixed(error, "Could not open new backing file '%s': ", name);
        g_error_free(error);
        return FALSE;
    }
    return TRUE;
}

/* ---- the verb ---- */

static gboolean check_options(const struct rebase *rebase)
{
    const struct options *opt = rebase->opt;
    const struct driver *driver = driver_find(image_format(rebase->overlay));

    if (opt->compress && (driver == NULL || !driver->can_compress)) {
        report_error("Compression not supported for this file format");
        return FALSE;
    }
    if (opt->backing_fmt != NULL && driver_find(opt->backing_fmt) == NULL) {
        report_error("Invalid format name: '%s'", opt->backing_fmt);
        return FALSE;
    }
    /* Since 10.0 stock asks the driver for its cluster size; this one has no answer. */
    if (profile_get()->id >= PROFILE_10_0 &&
        strcmp(image_format(rebase->overlay), "parallels") == 0) {
        report_error("could not get block driver info");
        return FALSE;
    }
    return TRUE;
}

static gboolean rebase_image(struct rebase *rebase)
{
    gboolean ok = check_options(rebase) && (rebase->opt->unsafe || open_backing(rebase)) &&
                  check_header(rebase) && (rebase->opt->unsafe || copy_lost(rebase));

    if (rebase->backing != NULL) {
        image_free(rebase->backing);
    }
    if (!ok || !change_header(rebase)) {
        return FALSE;
    }
    progress_update(1, 1);
    return TRUE;
}

int cmd_rebase(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct rebase rebase = {
        .opt = opt,
        .how = {.filename = g_ptr_array_index(inv->operands, 0),
                .image_opts = opt->image_opts,
                .format = opt->format,
                .read_write = TRUE,
                .no_backing = opt->unsafe,
                .cache = opt->cache_mode},
    };
    gboolean ok;

    progress_begin(opt->progress, PROGRESS_STEP_REBASE);
    progress_start();
    ok = open_overlay(&rebase) && rebase_image(&rebase);
    if (rebase.overlay != NULL) {
        image_free(rebase.overlay);
    }
    progress_end();
    return ok ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
