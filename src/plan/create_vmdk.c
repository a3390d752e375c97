/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new VMDK: the descriptor or the one file it is, and the files of its extents, whose names are
 * made of its own: a.vmdk has a-flat.vmdk, or a-s001.vmdk, a-s002.vmdk ...
 */
#include <errno.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/graph/ask.h"
#include "src/graph/graph.h"
#include "src/graph/paths.h"
#include "src/plan/create_private.h"
#include "src/plan/vmdk_names.h"

/* ---- names ---- */

static const char *subformat_of(const struct create_opts *opts)
{
    const struct keyval_slot *slot = create_opts_slot(opts, "subformat");

    return slot->text != NULL ? slot->text : "monolithicSparse";
}

/*
 * How many further files there are. A subformat that does not exist has none: the cell refuses it.
 */
static gboolean count_extents(const char *subformat, uint64_t size_bytes, size_t *out,
                              GError **error)
{
    uint64_t nr = 0;

    if (strcmp(subformat, "monolithicFlat") == 0)
        nr = 1;
    else if (g_str_has_prefix(subformat, "twoGbMaxExtent"))
        nr = size_bytes / VMDK_SPLIT_BYTES + (size_bytes % VMDK_SPLIT_BYTES != 0);
    if (nr > VMDK_FILES_MAX)
        return wording_fail(error, "The image would have more than %u extents", VMDK_FILES_MAX);
    *out = (size_t)nr;
    return TRUE;
}

/* ---- the parent ---- */

static gboolean read_cid(struct image *parent, uint64_t *out, GError **error)
{
    Abi__InfoReply *info = image_ask_info(parent, error);
    gboolean ok;

    if (info == NULL)
        return FALSE;
    ok = info->vmdk != NULL;
    if (ok)
        *out = info->vmdk->cid;
    else
        wording_fail(error, "backing_file must be a vmdk image");
    abi__info_reply__free_unpacked(info, NULL);
    return ok;
}

/* The parent is looked at whether or not anybody else has: its id goes into the image. */
static gboolean look_at_parent(const struct create_opts *opts, const char *filename,
                               struct create_extras *extras, GError **error)
{
    const char *backing = create_opts_backing_file(opts);
    const char *format = create_opts_backing_fmt(opts);
    g_autofree char *path = NULL;
    struct image_open_options options = {.no_io = TRUE, .cache = CACHE_WRITEBACK};
    g_autoptr(Image) parent = NULL;

    if (format != NULL && strcmp(format, "vmdk") != 0)
        return wording_fail(error, "backing_file must be a vmdk image");
    if (backing == NULL)
        return TRUE;
    path = path_has_protocol(backing) ? g_strdup(backing)
                                      : path_combine(create_file_path(filename), backing);
    options.filename = path;
    parent = image_open(&options, error);
    if (parent == NULL)
        return FALSE;
    if (strcmp(image_format(parent), "vmdk") != 0)
        return wording_fail(error, "Invalid argument");
    extras->has_parent_id = TRUE;
    return read_cid(parent, &extras->parent_id, error);
}

/* ---- the files ---- */

struct making {
    const struct create_opts *opts;
    const struct create_file *file;
    gboolean no_flush;
    MadeFile image;
    MadeFile *extents;
    GPtrArray *paths; /* of the extents */
    struct apply_target *targets;
};

static gboolean make_files(struct making *making, const char *filename, GError **error)
{
    if (!made_file_open(&making->image, filename, NULL, making->file, making->no_flush, error) ||
        !made_file_lock(&making->image, error))
        return FALSE;
    making->targets[0].endpoint = making->image.endpoint;
    for (guint i = 0; i < making->paths->len; i++) {
        MadeFile *extent = &making->extents[i];

        if (!made_file_open(extent, g_ptr_array_index(making->paths, i), NULL, making->file,
                            making->no_flush, error) ||
            !made_file_lock(extent, error))
            return FALSE;
        making->targets[i + 1].endpoint = extent->endpoint;
    }
    return TRUE;
}

/* Stock looks at the size of what it has made, but where it does not care for flushes. */
static gboolean check_kept(const struct making *making, GError **error)
{
    if (!endpoint_is_character(making->image.endpoint))
        return TRUE;
    create_tell_close(making->image.endpoint);
    return making->no_flush || profile_get()->id == PROFILE_7_2 ||
           wording_fail(error, "Cannot grow device files");
}

static gboolean write_files(struct making *making, struct cell *cell, GError **error)
{
    unsigned nr = making->paths->len + 1;
    int failed = 0;

    if (!apply_plan(cell, making->targets, nr, &failed, NULL, error))
        return failed == 0 ? FALSE
               : failed == ENOSPC && create_file_is_block(making->image.endpoint)
                   ? create_device_small(making->opts, 0, error)
                   : create_write_error(failed, error);
    for (unsigned i = nr; failed == 0 && i-- > 0;)
        failed = endpoint_flush(making->targets[i].endpoint);
    if (failed != 0)
        return create_write_error(failed, error);
    making->image.made = FALSE;
    for (guint i = 0; i < making->paths->len; i++)
        making->extents[i].made = FALSE;
    return check_kept(making, error);
}

static gboolean make_image(struct making *making, const char *filename,
                           struct create_extras *extras, GError **error)
{
    g_autoptr(Cell) cell = create_cell(error);

    if (cell == NULL ||
        !create_start_plan(cell, making->opts, making->file->size_bytes, extras, error))
        return FALSE;
    if (apply_explains())
        return apply_plan(cell, making->targets, making->paths->len + 1, NULL, NULL, error);
    return make_files(making, filename, error) && write_files(making, cell, error);
}

/* Lists the extents: their paths, their names for the descriptor, their blobs. */
static void list_extents(struct making *making, const char *filename, const char *subformat,
                         struct create_extras *extras)
{
    making->targets[0].blob = CREATE_IMAGE_BLOB;
    for (size_t i = 0; i < extras->nr_extents; i++) {
        char *path = vmdk_extent_path(filename, subformat, i);
        const char *name = vmdk_last_component(path);

        g_ptr_array_add(making->paths, path);
        extras->extent_names[i] =
            (ProtobufCBinaryData){.len = strlen(name), .data = (uint8_t *)name};
        making->targets[i + 1].blob = CREATE_EXTENT_BLOB + (uint32_t)i;
    }
}

gboolean create_vmdk_image(const struct create_opts *opts, const char *filename,
                           const struct create_file *file, gboolean no_flush, GError **error)
{
    const char *path = create_file_path(filename);
    struct create_extras extras = {.file_name = vmdk_last_component(path)};
    struct making making = {.opts = opts, .file = file, .no_flush = no_flush};
    gboolean ok;

    if (file->preallocation == PREALLOC_METADATA)
        return wording_fail(error, "Unsupported preallocation mode: metadata");
    if (!look_at_parent(opts, filename, &extras, error) ||
        !count_extents(subformat_of(opts), file->size_bytes, &extras.nr_extents, error))
        return FALSE;
    making.extents = g_new0(MadeFile, MAX(extras.nr_extents, 1));
    making.targets = g_new0(struct apply_target, extras.nr_extents + 1);
    making.paths = g_ptr_array_new_with_free_func(g_free);
    extras.extent_names = g_new0(ProtobufCBinaryData, MAX(extras.nr_extents, 1));
    list_extents(&making, path, subformat_of(opts), &extras);
    ok = make_image(&making, filename, &extras, error);
    for (size_t i = 0; i < extras.nr_extents; i++)
        made_file_clear(&making.extents[i]);
    made_file_clear(&making.image);
    g_free(extras.extent_names);
    g_ptr_array_unref(making.paths);
    g_free(making.targets);
    g_free(making.extents);
    return ok;
}
