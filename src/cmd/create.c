/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `create`: a new image. The backing file is opened only to learn its size and that it can be
 * opened; its name goes into the header as typed.
 */
#include <stdio.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/wording.h"
#include "src/cmd/cmd.h"
#include "src/graph/graph.h"
#include "src/graph/paths.h"
#include "src/plan/create_image.h"

/* The name of the backing file as seen from the new image's folder. */
static char *backing_path(const char *filename, const char *backing)
{
    if (path_has_protocol(backing))
        return g_strdup(backing);
    return path_combine(filename, backing);
}

/*
 * Opens the backing file for its format and size.
 *
 * returns: FALSE with the error that stock prints, its hint included
 */
static gboolean look_at_backing(const char *filename, struct create_opts *opts, GError **error)
{
    g_autofree char *path = backing_path(filename, create_opts_backing_file(opts));
    struct image_open_options options = {
        .filename = path,
        .format = create_opts_backing_fmt(opts),
        .force_share = TRUE, /* whoever is writing to it may go on */
        .cache = CACHE_WRITEBACK,
    };
    uint64_t size;
    g_autoptr(Image) backing = image_open(&options, error);

    if (backing == NULL) {
        wording_hint_backing(error);
        return FALSE;
    }
    if (options.format == NULL) {
        wording_set_backing_format_missing(error, image_format(backing));
        return FALSE;
    }
    if (!create_opts_size(opts, &size))
        create_opts_set_size(opts, image_virtual_size(backing));
    return TRUE;
}

#define NO_SIZE UINT64_MAX /* shown as -1 */

/* A LUKS header on its own is as large as it is. */
static gboolean is_header_alone(const struct create_opts *opts)
{
    const struct keyval_slot *detached = create_opts_slot(opts, "detached-header");

    return detached != NULL && detached->number != 0;
}

/* What stock finds out before it says that it is formatting. */
static gboolean complete(const struct options *opt, const char *filename, struct create_opts *opts,
                         GError **error)
{
    uint64_t size;

    if (create_opts_backing_file(opts) != NULL && !opt->unsafe) {
        if (!look_at_backing(filename, opts, error))
            return FALSE;
    } else if (create_opts_backing_file(opts) != NULL && create_opts_backing_fmt(opts) == NULL) {
        wording_set_backing_format_missing(error, NULL);
        return FALSE;
    }
    if (create_opts_size(opts, &size))
        return TRUE;
    if (is_header_alone(opts)) {
        create_opts_set_size(opts, NO_SIZE);
        return TRUE;
    }
    wording_set_size_missing(error);
    return FALSE;
}

/* Only create, of all that make images, has a sentence of its own for this. */
static void explain_large(const struct create_opts *opts, GError **error)
{
    if (!g_error_matches(*error, COMPAT_ERROR, COMPAT_ERROR_LARGE))
        return;
    g_clear_error(error);
    g_set_error(
        error, COMPAT_ERROR, COMPAT_ERROR_LARGE,
        "The image size is too large for file format '%s'%s", create_opts_format(opts)->name,
        create_opts_slot(opts, "cluster_size") != NULL ? " (try using a larger cluster size)" : "");
}

int cmd_create(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    const char *filename = g_ptr_array_index(inv->operands, 0);
    struct create_request request = {
        .format = opt->format,
        .filename = filename,
        .options = opt->options,
        .backing_file = opt->backing_file,
        .backing_fmt = opt->backing_fmt,
        .have_size = opt->have_size,
        .size_bytes = opt->size_bytes,
    };
    g_autoptr(GError) error = NULL;
    struct create_opts *opts = create_opts_new(&request, &error);
    gboolean ok = opts != NULL && complete(opt, filename, opts, &error);

    if (ok && !opt->quiet) {
        g_autofree char *line = create_opts_formatting_line(opts);
        puts(line);
    }
    if (ok && is_header_alone(opts))
        create_opts_set_size(opts, 0);
    if (ok && !create_image(opts, filename, FALSE, &error)) {
        explain_large(opts, &error);
        ok = FALSE;
    }
    if (!ok)
        report_gerror_prefixed(error, "%s: ", filename);
    create_opts_free(opts);
    return ok ? EXIT_STATUS_OK : EXIT_STATUS_ERROR;
}
