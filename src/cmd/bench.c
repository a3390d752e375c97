/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bench`: how long a number of requests takes. Only the words are here; src/copy/bench.c runs it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/copy/bench.h"
#include "src/copy/bench_plan.h"
#include "src/plan/apply.h"
#include "src/plan/dirty_ranges.h"

static enum bench_engine engine_of(const char *word)
{
    if (word == NULL || strcmp(word, "threads") == 0) {
        return BENCH_THREADS;
    }
    return strcmp(word, "native") == 0 ? BENCH_AIO : BENCH_URING;
}

static int fail(GError *error)
{
    report_gerror(error);
    g_error_free(error);
    return EXIT_STATUS_ERROR;
}

static void print_task(const struct bench_options *options)
{
    printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
           " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
           options->count, options->write ? "write" : "read", options->request_bytes,
           options->depth, options->offset, options->step_bytes);
    if (options->flush_interval != 0) {
        printf("Sending flush every %" PRIu64 " requests\n", options->flush_interval);
    }
}

static int run(struct bench_disk *disk, const struct bench_options *options)
{
    GError *error = NULL;
    struct bench *bench = bench_new(disk, options, &error);
    gint64 usecs;
    int err;

    if (bench == NULL) {
        return fail(error);
    }
    print_task(options);
    err = bench_run(bench, &usecs);
    bench_free(bench);
    if (err != 0) {
        report_error("Failed request: %s", g_strerror(err));
        return EXIT_STATUS_ERROR;
    }
    printf("Run completed in %3.3f seconds.\n", (double)usecs / G_USEC_PER_SEC);
    return EXIT_STATUS_OK;
}

/* Where offsets wrap: 11.1 keeps room for a request behind them. */
static guint64 wrap_of(guint64 size, guint64 request_bytes)
{
    if (!profile_get()->bench_fits) {
        return size;
    }
    return size > request_bytes ? size - request_bytes : 0;
}

/* ---- what bitmaps are told ---- */

/* The requests as the pieces that are written. */
struct told {
    const struct bench_options *options;
    guint64 at, size; /* the next request, the disk's bytes */
};

/* As piece_next_fn. The first request that does not fit is the last: it fails. */
static int told_next(void *user, struct piece *out, GError **error)
{
    struct told *told = user;
    guint64 len = told->options->request_bytes, offset;

    if (told->at == told->options->count || len == 0 || len > told->size) {
        return 0;
    }
    offset = bench_offset(told->options, told->at++);
    *out = (struct piece){.start = offset, .length = len, .kind = PIECE_DATA};
    return offset <= told->size - len;
}

/* Bitmaps that record changes have the bits before anything is written. */
static gboolean tell_bitmaps(struct image **image, const struct image_open_options *how,
                             const struct bench_options *options, GError **error)
{
    struct told told = {.options = options, .size = image_virtual_size(*image)};
    gboolean stored;

    if (!options->write || image_cell(*image) == NULL) {
        return TRUE;
    }
    if (!dirty_ranges_store(*image, told_next, &told, &stored, error)) {
        return FALSE;
    }
    if (stored) {
        image_free(*image);
        *image = image_open(how, error);
    }
    return *image != NULL;
}

/* What 7.2 takes for a benchmark: no requests, or requests for nothing. */
static int run_idle(const struct bench_options *options)
{
    print_task(options);
    printf("Run completed in %3.3f seconds.\n", 0.0);
    return EXIT_STATUS_OK;
}

static int run_on_image(struct image **image, const struct image_open_options *how,
                        const struct bench_options *options)
{
    struct cell_config cell;
    struct bench_disk *disk;
    GError *error = NULL;
    int status;

    if (!cell_config_from_environment(&cell, &error)) {
        return fail(error);
    }
    if (apply_explains()) {
        fprintf(stderr, "plan: %" PRIu64 " requests\n", options->count);
        return EXIT_STATUS_OK;
    }
    if (!tell_bitmaps(image, how, options, &error)) {
        return fail(error);
    }
    disk = bench_disk_new(*image, options->write, &cell, &error);
    if (disk == NULL) {
        return fail(error);
    }
    status = run(disk, options);
    bench_disk_free(disk);
    return status;
}

int cmd_bench(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct bench_options options = {
        .count = (guint64)opt->bench_count,
        .depth = (guint64)opt->bench_depth,
        .offset = opt->bench_offset_bytes,
        .request_bytes = opt->bench_buffer_bytes,
        .step_bytes = opt->bench_step_bytes,
        .write = opt->bench_write,
        .pattern = (guint8)opt->bench_pattern,
        .flush_interval = (guint64)opt->bench_flush_interval,
        .drain = !opt->bench_no_drain,
        .engine = engine_of(opt->bench_aio),
    };
    struct image_open_options how = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = opt->bench_write,
        .force_share = opt->force_share,
        .native_aio = options.engine == BENCH_AIO,
        .cache = opt->cache_mode,
    };
    GError *error = NULL;
    struct image *image = image_open(&how, &error);
    int status;

    if (image == NULL) {
        wording_prefix_open(&error, how.filename);
        return fail(error);
    }
    options.wrap_bytes = wrap_of(image_virtual_size(image), options.request_bytes);
    status = options.count == 0 || options.request_bytes == 0
                 ? run_idle(&options)
                 : run_on_image(&image, &how, &options);
    if (image != NULL) {
        image_free(image);
    }
    return status;
}
