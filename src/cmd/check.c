/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `check`: whether an image's metadata is sound.
 *
 * Findings go to stderr while they are made, the totals to stdout at the end. After a repair the
 * image is looked at once more, and the totals are those of that look.
 */
#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/json.h"
#include "compat/wording.h"
#include "guest/abi/error.h"
#include "src/cmd/cmd.h"
#include "src/graph/graph.h"
#include "src/plan/apply.h"
#include "src/plan/image_plan.h"
#include "src/plan/repair.h"
#include "src/wire/decode.h"

/* A repaired extent of an image of several files may get this much longer. */
#define EXTENT_ROOM ((uint64_t)2 << 40)

/* One look, with or without repairs. */
static gboolean look(struct image *image, enum repair_mode repair, struct check_result *result,
                     GError **error)
{
    struct repair_target target = {
        .cell = image_cell(image),
        .node = image_node(image),
        .blob = image_own_blob(image),
        .endpoint = image_endpoint(image),
        .filename = image_filename(image),
        .fix_leaks = repair != REPAIR_NONE,
        .fix_errors = repair == REPAIR_ALL,
    };
    struct image_plan_files files = {0};
    gboolean ok;

    if (target.fix_errors && image_extent(image, 0) != NULL)
        image_plan_files_init(&files, image, EXTENT_ROOM);
    target.files = files.targets;
    ok = repair_check(&target, result, error);
    g_clear_pointer(&files.targets, g_array_unref);
    return ok;
}

/* An image of several files is opened as a whole. */
static gboolean open_again(struct image **image, const struct image_open_options *options,
                           GError **error)
{
    if (image_extent(*image, 0) == NULL)
        return image_reopen(*image, error);
    g_clear_pointer(image, image_free);
    *image = image_open(options, error);
    return *image != NULL;
}

/* What was repaired is reported, and the image looked at again. */
static gboolean look_again(struct image **image, const struct options *opt,
                           const struct image_open_options *options, struct check_result *result,
                           GError **error)
{
    struct check_result again = {.filename = options->filename};
    gboolean ok;

    if (!opt->quiet && opt->output != OUTPUT_JSON) {
        human_check_repaired(stdout, result->leaks_fixed, result->corruptions_fixed);
    }
    ok = open_again(image, options, error) && look(*image, REPAIR_NONE, &again, error);
    again.leaks_fixed = result->leaks_fixed;
    again.corruptions_fixed = result->corruptions_fixed;
    *result = again;
    if (ok) {
        result->format = image_format(*image);
    }
    return ok;
}

/* Reports why there is no result; returns the exit code. */
static int report_failure(const GError *error)
{
    switch (wire_error_code(error)) {
    case GUEST_ERR_CHECKS_NOT_SUPPORTED:
        wording_report_check_unsupported();
        return EXIT_STATUS_CHECK_UNSUPPORTED;
    case GUEST_ERR_TOO_MUCH_WORK:
        report_gerror(error);
        break;
    default:
        break;
    }
    int number = apply_errno(error);

    report_error("Check failed: %s", g_strerror(number ? number : image_report_damage(error)));
    return EXIT_STATUS_ERROR;
}

static int check_image(struct image **image, const struct options *opt,
                       const struct image_open_options *options)
{
    struct check_result result = {.filename = options->filename, .format = image_format(*image)};
    g_autoptr(GError) error = NULL;
    gboolean ok;

    if (image_cell(*image) == NULL) {
        wording_report_check_unsupported(); /* raw */
        return EXIT_STATUS_CHECK_UNSUPPORTED;
    }
    ok = look(*image, opt->repair, &result, &error);
    if (ok && (result.leaks_fixed || result.corruptions_fixed)) {
        ok = look_again(image, opt, options, &result, &error);
    }
    if (!ok) {
        return report_failure(error);
    }
    if (!opt->quiet && opt->output == OUTPUT_JSON) {
        json_check(stdout, &result);
    } else if (!opt->quiet) {
        human_check(stdout, &result);
    }
    if (result.check_errors > 0) {
        report_error("Check failed");
    }
    return exit_status_check(&result);
}

int cmd_check(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = opt->repair != REPAIR_NONE,
        .force_share = opt->force_share,
        .for_check = TRUE,
        .cache = opt->src_cache_mode,
    };
    GError *error = NULL;
    g_autoptr(Image) image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        g_error_free(error);
        return EXIT_STATUS_ERROR;
    }
    return check_image(&image, opt, &options);
}
