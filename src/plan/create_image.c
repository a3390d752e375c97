/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating an image. What can be refused is refused while planning, when no file was touched; stock
 * truncates first and refuses then, which differs only in what a failed command leaves behind.
 */
#include "src/plan/create_image.h"

#include <string.h>

#include "compat/wording.h"
#include "src/graph/keys.h"
#include "src/plan/create_private.h"

#define SECTOR 512u

static gboolean create_raw(const char *filename, gboolean device, const struct create_file *file,
                           gboolean no_flush, GError **error)
{
    g_auto(MadeFile) target = {0};
    uint64_t size = (file->size_bytes + SECTOR - 1) / SECTOR * SECTOR;

    if (apply_explains()) {
        fprintf(stderr, "plan: file size %" G_GUINT64_FORMAT "\n", size);
        return TRUE;
    }
    if (!made_file_open(&target, filename, device, file, no_flush, error) ||
        !create_file_resize(target.endpoint, size, file->preallocation, error))
        return FALSE;
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
    if (strcmp(format, "raw") == 0 || strcmp(format, "file") == 0)
        return create_raw(filename, FALSE, &file, no_flush, error);
    if (strcmp(format, "host_device") == 0)
        return create_raw(filename, TRUE, &file, no_flush, error);
    if (strcmp(format, "qcow2") == 0)
        return create_qcow2_image(opts, filename, &file, no_flush, error);
    if (strcmp(format, "vmdk") == 0)
        return create_vmdk_image(opts, filename, &file, no_flush, error);
    return driver_require_built(create_opts_format(opts), error) &&
           create_planned_image(opts, filename, &file, no_flush, error);
}
