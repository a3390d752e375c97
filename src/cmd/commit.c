/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `commit`: what an overlay holds goes into one of its backing files.
 *
 * The chain is read in one cell, the backing file is written in another. Only what the layers above
 * it hold is copied, by the copy engine; then, unless told otherwise, the overlay is emptied by a
 * plan of its cell.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/progress.h"
#include "compat/wording.h"
#include "guest/abi/error.h"
#include "guest/abi/error_plan.h"
#include "src/cmd/cmd.h"
#include "src/copy/copy.h"
#include "src/copy/feed.h"
#include "src/copy/layers_feed.h"
#include "src/copy/probe_start.h"
#include "src/copy/target_codec.h"
#include "src/copy/target_image.h"
#include "src/graph/chain.h"
#include "src/plan/apply.h"
#include "src/plan/create_file.h"
#include "src/plan/dirty_ranges.h"
#include "src/plan/image_plan.h"
#include "src/wire/decode.h"

#define REQUEST_BYTES (1u << 20)
#define WORKERS_MAX   8u
#define NODE_NAME     "#block100" /* as in bitmap.c */

/* Room beyond the disk for tables: the most they can take, far beyond what they should. */
#define TABLES_LIMIT(size) ((size) / 8 + ((uint64_t)1 << 30))

struct commit {
    const struct options *opt;
    struct image *top;
    struct image *base; /* a layer of the chain */
    unsigned depth;     /* of base: layers above it */
};

static gboolean fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return FALSE;
}

static gboolean fail_job(int error_number)
{
    report_error("Block job failed: %s", g_strerror(error_number));
    return FALSE;
}

/* ---- the backing file ---- */

static gboolean find_base(struct commit *commit, const char *name)
{
    const char *base = commit->opt->base;

    commit->depth = 1;
    if (base == NULL) {
        commit->base = image_backing(commit->top);
        if (commit->base == NULL) {
            report_error("Image does not have a backing file");
        }
    } else {
        commit->base = image_find_backing(commit->top, base, &commit->depth);
        if (commit->base == NULL) {
            report_error("Did not find '%s' in the backing chain of '%s'", base, name);
        }
    }
    return commit->base != NULL;
}

static gboolean grow(struct image *target, uint64_t size_bytes, GError **error)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;

    if (strcmp(image_format(target), "raw") == 0) {
        if (apply_explains()) {
            fprintf(stderr, "plan: file size %" G_GUINT64_FORMAT "\n", size_bytes);
            return TRUE;
        }
        return create_file_set_size(image_endpoint(target), size_bytes, PREALLOC_OFF, error);
    }
    request.node = image_node(target);
    request.size = size_bytes;
    return image_plan_run(target, CELL_METHOD_RESIZE, &request.base,
                          size_bytes + TABLES_LIMIT(size_bytes), error);
}

/* Stock's job knows no more than an errno of why the base did not grow. */
static gboolean reword_growth(GError **error)
{
    int number = apply_errno(*error);

    switch (wire_error_code(*error)) {
    case GUEST_ERR_PLAN_ZERO_V2:
    case GUEST_ERR_PLAN_V2_SNAPSHOTS:
        number = ENOTSUP;
        break;
    case GUEST_ERR_PLAN_L1_TOO_LARGE:
        number = EFBIG;
        break;
    default:
        break;
    }
    if (number != 0) {
        g_clear_error(error);
        wording_fail(error, "Block job failed: %s", g_strerror(number));
    }
    return FALSE;
}

/* Opens the base for writing, as large as the top is: a cell that has grown an image is spent. */
static struct image *open_target(const struct commit *commit, GError **error)
{
    const struct cache_mode *cache = &commit->opt->cache_mode;
    uint64_t size_bytes = image_virtual_size(commit->top);
    struct image *target = image_reopen_writable(commit->base, cache, error);
    gboolean ok;

    if (target == NULL) {
        return NULL;
    }
    if (size_bytes <= image_virtual_size(target)) {
        if (image_check_size_kept(target, error)) {
            return target;
        }
        image_free(target);
        return NULL;
    }
    ok = grow(target, size_bytes, error) || reword_growth(error);
    if (apply_explains() && ok) {
        return target;
    }
    image_free(target);
    return ok ? image_reopen_writable(commit->base, cache, error) : NULL;
}

/* ---- copying ---- */

static gboolean report_fault(const struct copy_fault *fault)
{
    int error_number = fault->error_number;

    if (fault->stage == COPY_STATUS && error_number == 0 && fault->error != NULL) {
        error_number = image_report_damage(fault->error);
    }
    if (error_number == 0) {
        report_gerror(fault->error);
        return FALSE;
    }
    return fail_job(error_number);
}

static gboolean run_copy(const struct commit *commit, struct copy_feed *pieces,
                         struct layers_feed *feed, struct target *target)
{
    struct copy_options options = {
        .workers = pool_default_workers(WORKERS_MAX, COPY_WORKER_ADDRESSES),
        .sparse_bytes = 1, /* zeros are told, not looked for */
        .trust_source = TRUE,
        .source_spent = !commit->opt->drop,
        .rate_bytes = commit->opt->have_rate_limit ? commit->opt->rate_limit_bytes : 0,
        .chunk_bytes = REQUEST_BYTES,
        .codec = CELL_CODEC_VMDK_GRAIN, /* what a target takes that compresses unasked */
    };
    struct copy_fault fault = {0};
    GError *error = NULL;
    gboolean ok = TRUE;

    for (struct image *layer = commit->top; layer != NULL; layer = image_backing(layer)) {
        options.source_unit = MAX(options.source_unit, image_cluster_size(layer));
    }
    if (!cell_config_from_environment(&options.cell, &error)) {
        return fail(error);
    }
    if (commit->opt->progress) {
        ok = copy_survey(pieces, target, &options, &options.total_bytes, &fault);
        layers_feed_rewind(feed);
    }
    ok = ok && copy_run(pieces, target, &options, &fault);
    if (!ok) {
        report_fault(&fault);
        g_clear_error(&fault.error);
    }
    return ok;
}

static gboolean copy(const struct commit *commit, struct image *image)
{
    struct layers_feed *feed = layers_feed_new(commit->top, commit->depth, image);
    struct copy_feed pieces = {.next = layers_feed_next, .rest = layers_feed_rest, .user = feed};
    struct target_image_options options = {
        .keep_zeros = TRUE, .bitmaps_told = TRUE, .same_disk = TRUE};
    GError *error = NULL;
    struct target *target = NULL;
    gboolean ok = target_is_stream(image, &options.compressed, &error);

    if (ok) {
        target = target_new_image(image, &options, &error);
        ok = target != NULL && run_copy(commit, &pieces, feed, target);
    }

    if (target == NULL) {
        fail(error);
    } else {
        target_free(target);
    }
    layers_feed_free(feed);
    return ok;
}

/* A raw image that was only guessed to be raw must not become something else. */
static gboolean check_start(const struct commit *commit, const struct image *target)
{
    GError *error = NULL;
    gboolean raw;

    if (!image_was_probed(target) || strcmp(image_format(target), "raw") != 0) {
        return TRUE;
    }
    if (!probe_start(commit->top, &raw, &error)) {
        return fail(error);
    }
    return raw || fail_job(EPERM);
}

/* What is going to be written is noted in the base's bitmaps first; *image may be opened anew. */
static gboolean tell_bitmaps(const struct commit *commit, struct image **image)
{
    struct layers_feed *feed = layers_feed_new(commit->top, commit->depth, *image);
    GError *error = NULL;
    gboolean stored;
    gboolean ok = dirty_ranges_store(*image, layers_feed_next, feed, &stored, &error);

    layers_feed_free(feed);
    if (ok && stored) {
        image_free(*image);
        *image = image_reopen_writable(commit->base, &commit->opt->cache_mode, &error);
    }
    return (ok && *image != NULL) || fail(error);
}

/* Stock's driver cannot open one anew for writing, and so nothing is committed to it. */
static gboolean check_base(const struct commit *commit)
{
    const char *format = image_format(commit->base);

    if (strcmp(format, "parallels") != 0) {
        return TRUE;
    }
    report_error("Block format '%s' used by node '" NODE_NAME "' does not support reopening files",
                 format);
    return FALSE;
}

static gboolean write_base(const struct commit *commit)
{
    GError *error = NULL;
    struct image *target = open_target(commit, &error);
    gboolean ok;

    if (target == NULL) {
        if (wire_error_code(error) != GUEST_ERR_PLAN_RESIZE_FORMAT) {
            return fail(error);
        }
        g_error_free(error);
        return fail_job(ENOTSUP);
    }
    ok = check_start(commit, target);
    if (apply_explains()) {
        fprintf(stderr, "plan: commit to %s\n", image_filename(target));
    } else {
        ok = ok && tell_bitmaps(commit, &target) && copy(commit, target);
    }
    if (target != NULL) {
        image_free(target);
    }
    return ok;
}

/* ---- afterwards ---- */

/* A format that cannot be emptied is left as it is, as in stock. */
static gboolean empty_top(struct image *top)
{
    Abi__EmptyRequest request = ABI__EMPTY_REQUEST__INIT;
    uint64_t size_bytes = endpoint_size(image_endpoint(top));
    GError *error = NULL;

    request.node = image_node(top);
    if (image_plan_run(top, CELL_METHOD_EMPTY, &request.base, TABLES_LIMIT(size_bytes), &error)) {
        return TRUE;
    }
    if (wire_error_code(error) != GUEST_ERR_NOT_SUPPORTED) {
        return fail(error);
    }
    g_error_free(error);
    return TRUE;
}

static gboolean commit_image(struct commit *commit, const char *name)
{
    if (!find_base(commit, name) || !check_base(commit) || !write_base(commit)) {
        return FALSE;
    }
    progress_update(1, 1);
    return commit->opt->drop || empty_top(commit->top);
}

int cmd_commit(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = TRUE,
        .cache = opt->cache_mode,
    };
    GError *error = NULL;
    g_autoptr(Image) image = image_open(&options, &error);
    struct commit commit = {.opt = opt};
    gboolean ok;

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        fail(error);
        return EXIT_STATUS_ERROR;
    }
    commit.top = image_is_bytes(image) ? image_view(image) : image;
    progress_begin(opt->progress, PROGRESS_STEP_COMMIT);
    progress_start();
    ok = commit_image(&commit, options.filename);
    progress_end();
    if (ok && !opt->quiet && !apply_explains()) {
        puts("Image committed.");
    }
    return ok ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
