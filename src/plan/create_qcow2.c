/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new qcow2 image, with its external data file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "compat/wording.h"
#include "guest/abi/error_plan.h"
#include "src/plan/create_private.h"
#include "src/plan/luks_options.h"
#include "src/plan/qcow2_options.h"
#include "src/wire/decode.h"

#define BACKING_NAME_MAX 1023u /* bytes; a shorter name may still not fit into its cluster */

/* The cell gives the code alone: both names are ours. */
static void set_backing_error(const struct create_qcow2 *options, GError **error)
{
    g_clear_error(error);
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                "Could not assign backing file '%s' with format '%s': %s", options->backing_file,
                options->backing_fmt != NULL ? options->backing_fmt : "",
                g_strerror(strlen(options->backing_file) > BACKING_NAME_MAX ? EINVAL : ENOSPC));
}

static gboolean plan_qcow2(struct cell *cell, const struct create_qcow2 *options,
                           Abi__LuksCreate *luks, GError **error)
{
    Abi__Qcow2CreateOptions qcow2;
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    GError *refused = NULL;

    qcow2_options_fill(options, &qcow2);
    qcow2.luks = luks;
    request.format = (char *)"qcow2";
    request.size = options->size_bytes;
    request.blob = CREATE_IMAGE_BLOB;
    request.data_blob = CREATE_DATA_BLOB;
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

/* What stock says when there is room for an empty image, but not for what it asks for ahead. */
static const char *const ahead_sentences[] = {
    [PREALLOC_OFF] = NULL,
    [PREALLOC_METADATA] = "Allocating clusters failed",
    [PREALLOC_FALLOC] = "Failed to resize underlying file: Could not preallocate new data",
    [PREALLOC_FULL] = "Failed to resize underlying file: Could not write zeros for preallocation",
};

/*
 * A write that failed: stock meets a full disk, and most else, when it writes the header first; a
 * limit of the file's size only behind it.
 */
static gboolean set_write_error(const struct create_qcow2 *options, struct endpoint *endpoint,
                                int number, GError **error)
{
    const char *ahead = ahead_sentences[options->preallocation];

    if (number == 0)
        return FALSE;
    g_clear_error(error);
    if (number == ENOSPC && options->data_file == NULL && create_file_is_block(endpoint))
        return create_device_small_qcow2(options, endpoint_size(endpoint), error);
    /* A device without room (/dev/full) fails before there is anything to make room for. */
    if (number == ENOSPC && ahead != NULL && options->data_file == NULL &&
        !endpoint_is_character(endpoint)) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not resize image: %s: %s",
                    ahead, g_strerror(number));
        return FALSE;
    }
    g_set_error(error, COMPAT_ERROR, number == EFBIG ? COMPAT_ERROR_LARGE : COMPAT_ERROR_SYSTEM,
                "Could not write %s: %s", number == EFBIG ? "refcount table" : "qcow2 header",
                g_strerror(number));
    return FALSE;
}

/* A data file that is kept must still reach to the end of the disk. */
static gboolean grow_kept_file(struct endpoint *endpoint, uint64_t size, GError **error)
{
    return endpoint_size(endpoint) >= size ||
           create_file_resize(endpoint, size, PREALLOC_OFF, error);
}

static gboolean open_data_file(MadeFile *file, const struct create_qcow2 *options,
                               gboolean no_flush, GError **error)
{
    struct create_file plain = {.extent_size_hint_bytes = 1 << 20};
    struct cache_mode cache = no_flush ? CACHE_UNSAFE : CACHE_WRITEBACK;

    if (!options->keep_data_file)
        return made_file_open(file, options->data_file, NULL, &plain, no_flush, error);
    file->endpoint = endpoint_open(AT_FDCWD, create_file_path(options->data_file), FALSE,
                                   ENDPOINT_WRITE, &cache, error);
    return file->endpoint != NULL && grow_kept_file(file->endpoint, options->size_bytes, error);
}

/* Devices have no way to promise room. */
static gboolean check_preallocation(const struct create_qcow2 *options, struct endpoint *target,
                                    GError **error)
{
    gboolean promised =
        options->preallocation == PREALLOC_FALLOC || options->preallocation == PREALLOC_FULL;

    return !promised || strcmp(endpoint_protocol(target), "host_device") != 0 ||
           wording_fail(error,
                        "Could not resize image: Failed to resize underlying file: Preallocation "
                        "mode '%s' unsupported for this non-regular file",
                        options->preallocation == PREALLOC_FULL ? "full" : "falloc");
}

static gboolean apply_qcow2(struct cell *cell, const char *filename,
                            const struct create_file *file_options,
                            const struct create_qcow2 *options, gboolean no_flush, GError **error)
{
    g_auto(MadeFile) image = {0}, data = {0};
    int failed = 0;

    if (!made_file_open(&image, filename, NULL, file_options, no_flush, error) ||
        !made_file_lock(&image, error))
        return FALSE;
    if (options->data_file != NULL && !open_data_file(&data, options, no_flush, error))
        return FALSE;
    if (!check_preallocation(options, data.endpoint != NULL ? data.endpoint : image.endpoint,
                             error))
        return FALSE;
    struct apply_target targets[] = {
        {.blob = CREATE_IMAGE_BLOB, .endpoint = image.endpoint},
        {.blob = CREATE_DATA_BLOB, .endpoint = data.endpoint},
    };
    unsigned nr_targets = options->data_file != NULL ? 2 : 1;
    if (!apply_plan(cell, targets, nr_targets, &failed, NULL, error)) {
        create_tell_close(image.endpoint);
        return set_write_error(options, image.endpoint, failed, error);
    }
    failed = endpoint_flush(image.endpoint);
    if (failed != 0)
        return set_write_error(options, image.endpoint, failed, error);
    image.made = data.made = FALSE;
    return create_was_kept(image.endpoint, "qcow2", error);
}

gboolean create_qcow2_image(const struct create_opts *opts, const char *filename,
                            const struct create_file *file, gboolean no_flush, GError **error)
{
    static const struct apply_target nowhere[] = {{.blob = CREATE_IMAGE_BLOB},
                                                  {.blob = CREATE_DATA_BLOB}};
    struct create_qcow2 options;
    Abi__LuksCreate luks = ABI__LUKS_CREATE__INIT;
    gboolean has_luks;

    if (!create_opts_qcow2(opts, &options, error))
        return FALSE;
    g_autoptr(Cell) cell = create_cell(error);
    gboolean ok = cell != NULL &&
                  qcow2_options_encryption(opts, &options, FALSE, &luks, &has_luks, error) &&
                  plan_qcow2(cell, &options, has_luks ? &luks : NULL, error);
    luks_options_clear(&luks);
    if (!ok)
        return FALSE;
    if (apply_explains())
        return apply_plan(cell, nowhere, G_N_ELEMENTS(nowhere), NULL, NULL, error);
    return apply_qcow2(cell, filename, file, &options, no_flush, error);
}
