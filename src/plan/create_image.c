/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating an image. What can be refused is refused while planning, when no file was touched; stock
 * truncates first and refuses then, which differs only in what a failed command leaves behind.
 */
#include "src/plan/create_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "guest/abi/plan.pb-c.h"
#include "src/io/locks.h"
#include "src/plan/apply.h"
#include "src/plan/create_file.h"
#include "src/plan/qcow2_options.h"
#include "src/wire/decode.h"

#define IMAGE_BLOB 0u
#define DATA_BLOB  1u
#define SECTOR     512u

#define BACKING_NAME_MAX 1023u /* bytes; a shorter name may still not fit into its cluster */

/* A file that the command makes, removed again unless it is kept. */
typedef struct {
    struct endpoint *endpoint;
    const char *path;
    gboolean made; /* and not kept yet */
} MadeFile;

static void made_file_clear(MadeFile *file)
{
    if (file->endpoint != NULL)
        endpoint_unref(file->endpoint);
    if (file->made)
        (void)unlink(file->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MadeFile, made_file_clear)

static gboolean make_file(MadeFile *file, const char *name, gboolean device,
                          const struct create_file *options, gboolean no_flush, GError **error)
{
    file->path = create_file_path(name);
    file->endpoint = create_file_open(name, device, options, no_flush, &file->made, error);
    return file->endpoint != NULL;
}

/* Nobody may use the file while tables are written. */
static gboolean lock_file(MadeFile *file, GError **error)
{
    return locks_take(file->endpoint,
                      PERMISSION_CONSISTENT_READ | PERMISSION_WRITE | PERMISSION_RESIZE,
                      PERMISSION_WRITE | PERMISSION_RESIZE, error);
}

/* ---- raw ---- */

static gboolean create_raw(const char *filename, gboolean device, const struct create_file *file,
                           gboolean no_flush, GError **error)
{
    g_auto(MadeFile) target = {0};
    uint64_t size = (file->size_bytes + SECTOR - 1) / SECTOR * SECTOR;

    if (apply_explains()) {
        fprintf(stderr, "plan: file size %" G_GUINT64_FORMAT "\n", size);
        return TRUE;
    }
    if (!make_file(&target, filename, device, file, no_flush, error) ||
        !create_file_resize(target.endpoint, size, file->preallocation, "raw", error))
        return FALSE;
    target.made = FALSE;
    return TRUE;
}

/* ---- qcow2 ---- */

/* The cell gives the code alone: both names are ours. */
static void set_backing_error(const struct create_qcow2 *options, GError **error)
{
    g_clear_error(error);
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                "Could not assign backing file '%s' with format '%s': %s", options->backing_file,
                options->backing_fmt != NULL ? options->backing_fmt : "",
                g_strerror(strlen(options->backing_file) > BACKING_NAME_MAX ? EINVAL : ENOSPC));
}

static struct cell *start_cell(GError **error)
{
    struct cell_config config;
    return cell_config_from_environment(&config, error) ? cell_new(&config, error) : NULL;
}

static gboolean plan_qcow2(struct cell *cell, const struct create_qcow2 *options, GError **error)
{
    Abi__Qcow2CreateOptions qcow2;
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    GError *refused = NULL;

    qcow2_options_fill(options, &qcow2);
    request.format = (char *)"qcow2";
    request.size = options->size_bytes;
    request.blob = IMAGE_BLOB;
    request.data_blob = DATA_BLOB;
    request.qcow2 = &qcow2;
    if (!cell_call(cell, CELL_METHOD_CREATE, &request.base, NULL, 0, 0,
                   &abi__plan_reply__descriptor, &reply, error))
        return FALSE;
    gboolean ok = wire_check_error(((Abi__PlanReply *)reply)->error, NULL, &refused);
    protobuf_c_message_free_unpacked(reply, NULL);
    if (ok)
        return TRUE;
    if (wire_error_code(refused) == GUEST_ERR_PLAN_BACKING_NAME_LONG)
        set_backing_error(options, &refused);
    g_propagate_error(error, refused);
    return FALSE;
}

/* A write that failed: stock meets a full disk, and most else, when it writes the header first. */
static gboolean set_write_error(int number, GError **error)
{
    if (number == 0)
        return FALSE;
    g_clear_error(error);
    if (number == EFBIG)
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM,
                            "The image size is too large for file format 'qcow2' (try using a "
                            "larger cluster size)");
    else
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not write qcow2 header: %s",
                    g_strerror(number));
    return FALSE;
}

/* A data file that is kept must still reach to the end of the disk. */
static gboolean grow_kept_file(struct endpoint *endpoint, uint64_t size, GError **error)
{
    return endpoint_size(endpoint) >= size ||
           create_file_resize(endpoint, size, PREALLOC_OFF, "raw", error);
}

static gboolean open_data_file(MadeFile *file, const struct create_qcow2 *options,
                               gboolean no_flush, GError **error)
{
    struct create_file plain = {.extent_size_hint_bytes = 1 << 20};
    struct cache_mode cache = no_flush ? CACHE_UNSAFE : CACHE_WRITEBACK;

    if (!options->keep_data_file)
        return make_file(file, options->data_file, FALSE, &plain, no_flush, error);
    file->endpoint = endpoint_open(AT_FDCWD, create_file_path(options->data_file), FALSE,
                                   ENDPOINT_WRITE, &cache, error);
    return file->endpoint != NULL && grow_kept_file(file->endpoint, options->size_bytes, error);
}

/* Devices have no way to promise room. */
static gboolean check_preallocation(const struct create_qcow2 *options, struct endpoint *target,
                                    GError **error)
{
    if (options->preallocation != PREALLOC_FALLOC ||
        strcmp(endpoint_protocol(target), "host_device") != 0)
        return TRUE;
    g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                        "Could not resize image: Failed to resize underlying file: Preallocation "
                        "mode 'falloc' unsupported for this non-regular file");
    return FALSE;
}

static gboolean apply_qcow2(struct cell *cell, const char *filename,
                            const struct create_file *file_options,
                            const struct create_qcow2 *options, gboolean no_flush, GError **error)
{
    g_auto(MadeFile) image = {0}, data = {0};
    int failed = 0;

    if (!make_file(&image, filename, FALSE, file_options, no_flush, error) ||
        !lock_file(&image, error))
        return FALSE;
    if (options->data_file != NULL && !open_data_file(&data, options, no_flush, error))
        return FALSE;
    if (!check_preallocation(options, data.endpoint != NULL ? data.endpoint : image.endpoint,
                             error))
        return FALSE;
    struct apply_target targets[] = {
        {.blob = IMAGE_BLOB, .endpoint = image.endpoint},
        {.blob = DATA_BLOB, .endpoint = data.endpoint},
    };
    unsigned nr_targets = options->data_file != NULL ? 2 : 1;
    if (!apply_plan(cell, targets, nr_targets, &failed, NULL, error))
        return set_write_error(failed, error);
    failed = endpoint_flush(image.endpoint);
    if (failed != 0)
        return set_write_error(failed, error);
    image.made = data.made = FALSE;
    return TRUE;
}

static gboolean create_qcow2_image(const struct create_opts *opts, const char *filename,
                                   const struct create_file *file, gboolean no_flush,
                                   GError **error)
{
    static const struct apply_target nowhere[] = {{.blob = IMAGE_BLOB}, {.blob = DATA_BLOB}};
    struct create_qcow2 options;

    if (!create_opts_qcow2(opts, &options, error))
        return FALSE;
    if (options.encrypt_format != NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Encryption with format '%s' is not built yet", options.encrypt_format);
        return FALSE;
    }
    g_autoptr(Cell) cell = start_cell(error);
    if (cell == NULL || !plan_qcow2(cell, &options, error))
        return FALSE;
    if (apply_explains())
        return apply_plan(cell, nowhere, G_N_ELEMENTS(nowhere), NULL, NULL, error);
    return apply_qcow2(cell, filename, file, &options, no_flush, error);
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
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                "Creating images of format '%s' is not built yet", format);
    return FALSE;
}
