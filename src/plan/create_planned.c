/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new image of a format that lives in one file: the cell gets the format's options as key and
 * value and answers with the plan.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/plan/create_private.h"
#include "src/plan/luks_options.h"
#include "src/plan/qcow2_options.h"
#include "src/wire/decode.h"

#define RANDOM_BYTES  64u
#define CLOSING_NODES 2u /* format and protocol */

struct options_message {
    Abi__CreateOption *rows;
    Abi__CreateOption **list;
    size_t nr;
};

static void options_clear(struct options_message *message)
{
    g_free(message->rows);
    g_free(message->list);
}

/* The options of the format's own table; strings are borrowed. */
static void options_fill(const struct create_opts *opts, struct options_message *out)
{
    const struct keyval_def *defs = create_opts_format(opts)->create;
    size_t nr = 0;

    while (defs[nr].name != NULL)
        nr++;
    out->rows = g_new(Abi__CreateOption, nr);
    out->list = g_new(Abi__CreateOption *, nr);
    out->nr = nr;
    for (size_t i = 0; i < nr; i++) {
        const struct keyval_slot *slot = create_opts_slot(opts, defs[i].name);
        Abi__CreateOption *row = out->list[i] = &out->rows[i];

        abi__create_option__init(row);
        row->key = (char *)defs[i].name;
        row->given = slot->given;
        row->has_text = slot->text != NULL;
        row->number = slot->number;
        if (slot->text != NULL)
            row->text =
                (ProtobufCBinaryData){.len = strlen(slot->text), .data = (uint8_t *)slot->text};
    }
}

static gboolean fill_luks(const struct create_opts *opts, Abi__LuksCreate *out, GError **error)
{
    const struct keyval_slot *detached = create_opts_slot(opts, "detached-header");

    if (!luks_options_fill(opts, "", FALSE, out, error))
        return FALSE;
    out->detached = detached != NULL && detached->number != 0;
    return TRUE;
}

gboolean create_start_plan(struct cell *cell, const struct create_opts *opts, uint64_t size_bytes,
                           const struct create_extras *extras, GError **error)
{
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    struct options_message options;
    Abi__LuksCreate luks = ABI__LUKS_CREATE__INIT;
    ProtobufCMessage *reply = NULL;
    uint8_t random[RANDOM_BYTES];
    gboolean ok;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return wording_fail(error, "Could not get random bytes: %s", g_strerror(errno));
    if (strcmp(create_opts_format(opts)->name, "luks") == 0) {
        if (!fill_luks(opts, &luks, error)) {
            luks_options_clear(&luks);
            return FALSE;
        }
        request.luks = &luks;
    }
    options_fill(opts, &options);
    request.format = (char *)create_opts_format(opts)->name;
    request.size = size_bytes;
    request.blob = CREATE_IMAGE_BLOB;
    request.data_blob = CREATE_DATA_BLOB;
    request.option = options.list;
    request.n_option = options.nr;
    request.random = (ProtobufCBinaryData){.len = sizeof(random), .data = random};
    request.time_sec = (uint64_t)time(NULL);
    if (extras != NULL) {
        if (extras->file_name != NULL)
            request.file_name = (ProtobufCBinaryData){.len = strlen(extras->file_name),
                                                      .data = (uint8_t *)extras->file_name};
        request.extent_name = extras->extent_names;
        request.n_extent_name = extras->nr_extents;
        request.first_extent_blob = CREATE_EXTENT_BLOB;
        request.has_parent_id = extras->has_parent_id;
        request.parent_id = extras->parent_id;
    }
    if (extras != NULL && extras->parent != NULL) {
        request.parent_guid = (ProtobufCBinaryData){.len = extras->parent->len,
                                                    .data = (uint8_t *)extras->parent->guid};
        request.parent_time_sec = extras->parent->time_sec;
    }
    ok = cell_call(cell, CELL_METHOD_CREATE, &request.base, NULL, 0, 0,
                   &abi__plan_reply__descriptor, &reply, error);
    options_clear(&options);
    luks_options_clear(&luks);
    if (!ok)
        return FALSE;
    ok = wire_check_error(((Abi__PlanReply *)reply)->error, NULL, error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

void create_tell_close(struct endpoint *endpoint)
{
    create_tell_close_nodes(endpoint, CLOSING_NODES);
}

void create_tell_close_nodes(struct endpoint *endpoint, unsigned nr_nodes)
{
    int number = 0;

    if (!profile_get()->close_flush || endpoint_fd(endpoint) < 0)
        return;
    if (fdatasync(endpoint_fd(endpoint)) != 0)
        number = errno;
    for (unsigned i = 0; number != 0 && i < nr_nodes; i++)
        report_error("Failed flush for '%s' during close: %s", endpoint_path(endpoint),
                     g_strerror(number));
}

gboolean create_was_kept(struct endpoint *endpoint, const char *format, GError **error)
{
    if (!endpoint_is_character(endpoint))
        return TRUE;
    create_tell_close(endpoint);
    if (strcmp(format, "qcow2") == 0)
        return wording_fail(error, "Image is not in qcow2 format");
    return strcmp(format, "vhdx") != 0 ||
           wording_fail(error, "Failed to write image headers: %s", g_strerror(EINVAL));
}

/* source: each format created on /dev/full by stock 7.2, 10.0 and 11.1 */
static const struct {
    const char *format, *sentence;
    gboolean reason; /* the reason follows */
} first_writes[] = {
    {"parallels", "Failed to create Parallels image", TRUE},
    {"qcow", "Could not create image", TRUE},
    {"qed", "Could not create image", TRUE},
    {"vdi", "Error writing header", FALSE},
    {"vhdx", "Failed to write file signature", TRUE},
    {"vpc", "Unable to create or write VHD header", FALSE},
};

/* A failed write of a format's tables, in the words it has for its first one. FALSE, always. */
static gboolean set_format_error(const char *format, int number, GError **error)
{
    if (number == 0 || number == EFBIG)
        return create_write_error(number, error);
    for (size_t i = 0; i < G_N_ELEMENTS(first_writes); i++) {
        if (strcmp(first_writes[i].format, format) != 0)
            continue;
        g_clear_error(error);
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "%s%s%s", first_writes[i].sentence,
                    first_writes[i].reason ? ": " : "",
                    first_writes[i].reason ? g_strerror(number) : "");
        return FALSE;
    }
    return create_write_error(number, error);
}

gboolean create_write_error(int number, GError **error)
{
    if (number == 0)
        return FALSE;
    g_clear_error(error);
    g_set_error_literal(error, COMPAT_ERROR,
                        number == EFBIG ? COMPAT_ERROR_LARGE : COMPAT_ERROR_SYSTEM,
                        g_strerror(number));
    return FALSE;
}

/* The parent is looked at whether or not anybody else has: its identifier goes into the image. */
static gboolean look_at_parent(const struct create_opts *opts, const char *filename,
                               struct parent_id *out, GError **error)
{
    const char *backing = create_opts_backing_file(opts), *format = create_opts_format(opts)->name;

    return backing == NULL || !parent_id_wanted(format) ||
           parent_id_read(format, create_file_path(filename), backing,
                          create_opts_backing_fmt(opts), out, error);
}

/* What the user says about encryption, of the one format here that has it so. */
static gboolean find_encryption(const struct create_opts *opts, const char **out, GError **error)
{
    *out = NULL;
    return strcmp(create_opts_format(opts)->name, "qcow") != 0 ||
           create_opts_encryption(opts, out, error);
}

gboolean create_planned_image(const struct create_opts *opts, const char *filename,
                              const struct create_file *file, gboolean no_flush, GError **error)
{
    g_auto(MadeFile) image = {0};
    struct apply_target target = {.blob = CREATE_IMAGE_BLOB};
    int failed = 0;
    struct parent_id parent = {0};
    const struct create_extras extras = {.parent = &parent};
    const char *encryption;
    g_autoptr(Cell) cell = NULL;

    if (file->preallocation == PREALLOC_METADATA)
        return wording_fail(error, "Unsupported preallocation mode: metadata");
    if (!create_opts_backing_known(opts, error) || !find_encryption(opts, &encryption, error) ||
        !look_at_parent(opts, filename, &parent, error))
        return FALSE;
    cell = create_cell(error);
    if (cell == NULL || !create_start_plan(cell, opts, file->size_bytes, &extras, error) ||
        (encryption != NULL && !qcow_options_secret(opts, error)))
        return FALSE;
    if (apply_explains())
        return apply_plan(cell, &target, 1, NULL, NULL, error);
    if (!made_file_open(&image, filename, NULL, file, no_flush, error) ||
        !made_file_lock(&image, error))
        return FALSE;
    target.endpoint = image.endpoint;
    if (!create_device_check(opts, image.endpoint, error))
        return FALSE;
    if (!apply_plan(cell, &target, 1, &failed, NULL, error)) {
        create_tell_close(image.endpoint);
        if (failed == ENOSPC && create_file_is_block(image.endpoint))
            return create_device_small(opts, endpoint_size(image.endpoint), error);
        return set_format_error(create_opts_format(opts)->name, failed, error);
    }
    failed = endpoint_flush(image.endpoint);
    if (failed != 0)
        return create_write_error(failed, error);
    image.made = FALSE;
    return create_was_kept(image.endpoint, create_opts_format(opts)->name, error);
}
