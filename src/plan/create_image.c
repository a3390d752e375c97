/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating an image. What can be refused is refused while planning, when no file was touched; stock
 * truncates first and refuses then, which differs only in what a failed command leaves behind.
 */
#include "src/plan/create_image.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/graph/keys.h"
#include "src/plan/create_private.h"

#define SECTOR 512u

/* The protocol alone, as `-f file` and `file:` ask for it, takes a device for a file. */
static gboolean check_plain_file(const char *format, const char *filename,
                                 struct endpoint *endpoint, GError **error)
{
    gboolean plain = strcmp(format, "file") == 0 || g_str_has_prefix(filename, "file:");

    return !plain || !create_file_is_block(endpoint) ||
           wording_fail(error, "Could not resize file: %s", g_strerror(EINVAL));
}

static gboolean create_raw(const char *format, const char *filename, const struct create_file *file,
                           gboolean no_flush, GError **error)
{
    gboolean existing = strcmp(format, "host_device") == 0 || strcmp(format, "nbd") == 0;
    g_auto(MadeFile) target = {0};
    uint64_t size = (file->size_bytes + SECTOR - 1) / SECTOR * SECTOR;

    if (apply_explains()) {
        fprintf(stderr, "plan: file size %" G_GUINT64_FORMAT "\n", size);
        return TRUE;
    }
    if (!made_file_open(&target, filename, existing ? format : NULL, file, no_flush, error) ||
        !check_plain_file(format, filename, target.endpoint, error) ||
        !create_file_resize(target.endpoint, size, file->preallocation, error))
        return FALSE;
    if (endpoint_is_character(target.endpoint))
        create_tell_close_nodes(target.endpoint, 1);
    target.made = FALSE;
    return TRUE;
}

struct cell *create_cell(GError **error)
{
    struct cell_config config;

    if (!cell_config_from_environment(&config, error))
        return NULL;
    config.codec = keys_present(); /* keys are derived faster */
    return cell_new(&config, error);
}

gboolean create_image(const struct create_opts *opts, const char *filename, gboolean no_flush,
                      GError **error)
{
    const char *format = create_opts_format(opts)->name;
    struct create_file file;

    if (!create_opts_file(opts, &file, error) ||
        !driver_require_built(create_opts_protocol(opts), error))
        return FALSE;
    if (strcmp(format, "raw") == 0 || strcmp(format, "file") == 0 ||
        strcmp(format, "host_device") == 0 || strcmp(format, "nbd") == 0)
        return create_raw(format, filename, &file, no_flush, error);
    if (strcmp(format, "qcow2") == 0)
        return create_qcow2_image(opts, filename, &file, no_flush, error);
    if (strcmp(format, "vmdk") == 0)
        return create_vmdk_image(opts, filename, &file, no_flush, error);
    return driver_require_built(create_opts_format(opts), error) &&
           create_planned_image(opts, filename, &file, no_flush, error);
}
