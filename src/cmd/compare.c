/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `compare`: whether two images hold the same, told in stock's words and exit codes.
 */
#include <malloc.h>
#include <stdio.h>

#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/progress.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/copy/compare.h"
#include "src/copy/pool.h"

#define WORKERS_MAX 8u

static struct image *open_one(const struct invocation *inv, guint index)
{
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, index),
        .image_opts = opt->image_opts,
        .format = index == 0 ? opt->format : opt->format_b,
        .force_share = opt->force_share,
        .cache = opt->src_cache_mode,
    };
    GError *error = NULL;
    struct image *image;

    if (options.image_opts && options.format != NULL) {
        report_error("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    image = image_open(&options, &error);
    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        g_error_free(error);
    }
    return image;
}

/* A failure, as opposed to a verdict. */
static int report_failure(const struct invocation *inv, const struct compare_event *event)
{
    const char *name = g_ptr_array_index(inv->operands, event->side);

    switch (event->outcome) {
    case COMPARE_STATUS_FAILED:
        image_report_damage(event->error);
        report_error("Sector allocation test failed for %s", name);
        return EXIT_STATUS_COMPARE_STATUS;
    case COMPARE_READ_FAILED:
        report_error("Error while reading offset %" G_GUINT64_FORMAT " of %s: %s", event->offset,
                     name, g_strerror(event->error_number));
        return EXIT_STATUS_COMPARE_READ;
    default:
        report_gerror(event->error);
        return EXIT_STATUS_COMPARE_READ;
    }
}

/* Spoken of once the common part is known to be the same, before the rest is looked at. */
static void warn_of_sizes(void *user)
{
    const struct options *opt = user;

    if (!opt->quiet) {
        puts("Warning: Image size mismatch!");
    }
}

static int print_verdict(const struct options *opt, const struct compare_result *result)
{
    if (!opt->quiet) {
        human_compare(stdout, result);
    }
    return exit_status_compare(result);
}

static int judge(const struct invocation *inv, const struct compare_event *event)
{
    struct compare_result result = {.offset_bytes = event->offset};

    switch (event->outcome) {
    case COMPARE_SAME:
        result.verdict = COMPARE_IDENTICAL;
        break;
    case COMPARE_DIFFERS:
        result.verdict = COMPARE_CONTENT_MISMATCH;
        break;
    case COMPARE_STATUS_DIFFERS:
        result.verdict = COMPARE_STRICT_STATUS;
        break;
    default:
        return report_failure(inv, event);
    }
    return print_verdict(&inv->opt, &result);
}

static int compare(const struct invocation *inv, struct image *const images[2])
{
    const struct options *opt = &inv->opt;
    struct compare_options options = {
        .workers = pool_default_workers(WORKERS_MAX, COMPARE_WORKER_ADDRESSES),
        .strict = opt->strict,
        .progress = opt->progress,
        .before_tail = warn_of_sizes,
        .user = (void *)opt,
    };
    struct compare_event event = {0};
    GError *error = NULL;
    int status;

    if (opt->strict && image_virtual_size(images[0]) != image_virtual_size(images[1])) {
        return print_verdict(
            opt, &(struct compare_result){.verdict = COMPARE_STRICT_SIZE, .sizes_differ = TRUE});
    }
    if (!cell_config_from_environment(&options.cell, &error)) {
        report_gerror(error);
        g_error_free(error);
        return EXIT_STATUS_COMPARE_OPEN;
    }
    mallopt(M_ARENA_MAX, 2);
    compare_run(images, &options, &event);
    status = judge(inv, &event);
    g_clear_error(&event.error);
    return status;
}

int cmd_compare(const struct invocation *inv)
{
    struct image *images[2] = {NULL, NULL};
    int status = EXIT_STATUS_COMPARE_OPEN;

    progress_begin(inv->opt.progress, PROGRESS_STEP_COMPARE);
    images[0] = open_one(inv, 0);
    if (images[0] != NULL) {
        images[1] = open_one(inv, 1);
    }
    if (images[1] != NULL) {
        progress_start();
        status = compare(inv, images);
    }
    for (guint i = 0; i < 2; i++) {
        if (images[i] != NULL) {
            image_free(images[i]);
        }
    }
    progress_end();
    return status;
}
