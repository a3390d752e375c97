/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/resize_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/result.h"
#include "compat/wording.h"
#include "src/graph/ask.h"
#include "src/plan/apply.h"
#include "src/plan/image_plan.h"
#include "src/plan/resize_leftovers.h"
#include "src/plan/vmdk_names.h"
#include "src/wire/decode.h"

/* Room beyond the disk for tables: the most they can take, far beyond what they should. */
#define TABLES_LIMIT(size) ((size) / 8 + ((uint64_t)1 << 30))

#define PASSES_MAX 3u           /* text, then what had to wait for it */
#define TEXT_LIMIT (4ull << 20) /* bytes of a descriptor */

/* Blobs of files that the image has not got yet. */
#define TEXT_BLOB       (CELL_BLOBS_MAX - 1 - VMDK_FILES_MAX)
#define FIRST_FILE_BLOB (TEXT_BLOB + 1)

/* What the files are, as long as an image is resized. */
struct files {
    char *path;      /* of the descriptor */
    char *subformat; /* "": no image whose files are numbered */
    GPtrArray *old;  /* paths of the extents that it has */
    GPtrArray *offered;
    gboolean drops; /* some of the old ones may be no extents afterwards */
    gboolean noted; /* there is a record of what may be left behind */
};

static void files_clear(struct files *files)
{
    g_free(files->path);
    g_free(files->subformat);
    g_clear_pointer(&files->old, g_ptr_array_unref);
    g_clear_pointer(&files->offered, g_ptr_array_unref);
}

/* Where a descriptor that does not fit into its sector is written first. */
static char *text_path_of(const struct files *files)
{
    return g_strdup_printf("%s.resize", files->path);
}

static gboolean fail_errno(GError **error, const char *what, const char *path)
{
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "%s '%s': %s", what, path,
                g_strerror(errno));
    return FALSE;
}

/* ---- what there is ---- */

static gboolean find_subformat(struct image *image, char **out, GError **error)
{
    struct image_info *info = image_info_new();
    gboolean ok = image_describe(image, info, error);

    if (ok)
        *out = g_strdup(g_str_has_prefix(info->specific.vmdk->create_type, "twoGbMaxExtent")
                            ? info->specific.vmdk->create_type
                            : "");
    image_info_free(info);
    return ok;
}

/* The extents that the image has, and the names of those that it may get. */
static gboolean files_find(struct image *image, uint64_t size_bytes, struct files *out,
                           GError **error)
{
    const struct image_file *extent;
    uint64_t more = size_bytes > image_virtual_size(image)
                        ? (size_bytes - image_virtual_size(image)) / VMDK_SPLIT_BYTES + 1
                        : 0;

    out->old = g_ptr_array_new_with_free_func(g_free);
    out->offered = g_ptr_array_new_with_free_func(g_free);
    out->path = realpath(endpoint_path(image_endpoint(image)), NULL);
    if (out->path == NULL)
        return fail_errno(error, "Could not find", endpoint_path(image_endpoint(image)));
    if (!find_subformat(image, &out->subformat, error))
        return FALSE;
    for (unsigned i = 0; (extent = image_extent(image, i)) != NULL; i++)
        g_ptr_array_add(out->old, g_strdup(endpoint_path(extent->endpoint)));
    for (uint64_t i = out->old->len; more > 0 && i < VMDK_FILES_MAX; i++, more--)
        if (out->subformat[0] != '\0')
            g_ptr_array_add(out->offered, vmdk_extent_path(out->path, out->subformat, i));
    return TRUE;
}

/* ---- files of a plan ---- */

/* A file that must not be there yet. */
static struct endpoint *make_file(const char *path, mode_t mode, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0) {
        fail_errno(error, "Could not create", path);
        return NULL;
    }
    close(fd);
    return endpoint_open(AT_FDCWD, path, FALSE, ENDPOINT_WRITE, NULL, error);
}

/* The file that takes the descriptor's place: with its owner and mode. */
static struct endpoint *make_text(const char *path, const char *like, GError **error)
{
    struct endpoint *endpoint;
    struct stat st;

    if (stat(like, &st) != 0) {
        fail_errno(error, "Could not find", like);
        return NULL;
    }
    endpoint = make_file(path, st.st_mode & 0777, error);
    if (endpoint != NULL && (chmod(path, st.st_mode & 07777) != 0 ||
                             (chown(path, st.st_uid, st.st_gid) != 0 && geteuid() == 0))) {
        fail_errno(error, "Could not create", path);
        endpoint_unref(endpoint);
        (void)unlink(path);
        return NULL;
    }
    return endpoint;
}

static gboolean sync_folder(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        fail_errno(error, "Could not flush", folder);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- one plan ---- */

struct pass {
    struct image_plan_files plan;
    gboolean replaces_text, unfinished;
    char *text_path;
};

static gboolean add_file(struct pass *pass, uint32_t blob, struct endpoint *endpoint,
                         uint64_t limit_bytes)
{
    struct apply_target target = {.blob = blob, .endpoint = endpoint, .limit_bytes = limit_bytes};

    g_array_append_val(pass->plan.targets, target);
    return TRUE;
}

/* Begins the record of what may be left behind. */
static gboolean begin_record(struct files *files, const Abi__PlanReply *reply, GError **error)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();

    if (apply_explains() || (reply->new_files == 0 && !reply->replaces_text && !files->drops))
        return TRUE;
    files->noted = TRUE;
    return leftovers_note(files->path, files->drops ? files->old : none, error);
}

/* They are made now. */
static gboolean note_files(const struct files *files, const Abi__PlanReply *reply,
                           const struct pass *pass, GError **error)
{
    g_autoptr(GPtrArray) made = g_ptr_array_new();

    for (uint32_t i = 0; i < reply->new_files; i++)
        g_ptr_array_add(made, g_ptr_array_index(files->offered, i));
    if (reply->replaces_text)
        g_ptr_array_add(made, pass->text_path);
    return apply_explains() || made->len == 0 || leftovers_note(files->path, made, error);
}

/* Nothing was made: a record is not needed. */
static void forget(const struct files *files)
{
    if (files->noted)
        leftovers_done(files->path);
}

/* Makes the files that the plan asks for. */
static gboolean make_files(struct files *files, const Abi__PlanReply *reply, struct pass *pass,
                           GError **error)
{
    if (reply->new_files > files->offered->len)
        return wire_refuse(error, "new files");
    pass->replaces_text = reply->replaces_text;
    pass->unfinished = reply->unfinished;
    if (!begin_record(files, reply, error))
        return FALSE;
    for (uint32_t i = 0; i < reply->new_files; i++) {
        const char *path = g_ptr_array_index(files->offered, i);
        struct endpoint *endpoint = apply_explains() ? NULL : make_file(path, 0666, error);

        if (endpoint == NULL && !apply_explains()) {
            while (i-- > 0)
                (void)unlink(g_ptr_array_index(files->offered, i));
            forget(files);
            return FALSE;
        }
        add_file(pass, FIRST_FILE_BLOB + i, endpoint, VMDK_SPLIT_BYTES + TABLES_LIMIT(0));
    }
    if (pass->replaces_text) {
        struct endpoint *endpoint =
            apply_explains() ? NULL : make_text(pass->text_path, files->path, error);

        if (endpoint == NULL && !apply_explains()) {
            if (reply->new_files == 0)
                forget(files);
            return FALSE;
        }
        add_file(pass, TEXT_BLOB, endpoint, TEXT_LIMIT);
    }
    return note_files(files, reply, pass, error);
}

static gboolean start(struct image *image, Abi__ResizeRequest *request, struct files *files,
                      struct pass *pass, GError **error)
{
    g_autofree ProtobufCBinaryData *names = g_new0(ProtobufCBinaryData, files->offered->len + 1);
    ProtobufCMessage *reply = NULL;
    gboolean ok;

    for (guint i = 0; i < files->offered->len; i++) {
        const char *name = vmdk_last_component(g_ptr_array_index(files->offered, i));

        names[i] = (ProtobufCBinaryData){.len = strlen(name), .data = (uint8_t *)name};
    }
    request->node = image_node(image);
    request->file_name = names;
    request->n_file_name = files->offered->len;
    request->first_file_blob = FIRST_FILE_BLOB;
    request->text_blob = TEXT_BLOB;
    ok = cell_call(image_cell(image), CELL_METHOD_RESIZE, &request->base, NULL, 0, 0,
                   &abi__plan_reply__descriptor, &reply, error);
    request->file_name = NULL;
    request->n_file_name = 0;
    if (!ok)
        return FALSE;
    ok = wire_check_error(((Abi__PlanReply *)reply)->error, image_filename(image), error) &&
         make_files(files, (Abi__PlanReply *)reply, pass, error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

/* Carries the plan out, and puts a new descriptor in the place of the old one. */
static gboolean finish(struct image *image, const struct files *files, struct pass *pass,
                       GError **error)
{
    if (!image_plan_carry_out(image, &pass->plan, error))
        return FALSE;
    if (!pass->replaces_text || apply_explains())
        return TRUE;
    if (rename(pass->text_path, files->path) != 0)
        return fail_errno(error, "Could not replace", files->path);
    g_clear_pointer(&pass->text_path, g_free);
    return sync_folder(files->path, error);
}

static gboolean run_pass(struct image *image, Abi__ResizeRequest *request, struct files *files,
                         gboolean *out_unfinished, GError **error)
{
    uint64_t limit = MIN(request->size, G_MAXINT64 / 4);
    struct pass pass = {.text_path = text_path_of(files)};
    guint own;
    gboolean ok;

    image_plan_files_init(&pass.plan, image, limit + TABLES_LIMIT(limit));
    own = pass.plan.targets->len;
    ok = start(image, request, files, &pass, error) && finish(image, files, &pass, error);
    for (guint i = own; i < pass.plan.targets->len; i++) {
        const struct apply_target *target =
            &g_array_index(pass.plan.targets, struct apply_target, i);

        g_clear_pointer((struct endpoint **)&target->endpoint, endpoint_unref);
        if (target->blob == TEXT_BLOB && pass.text_path != NULL && !apply_explains())
            (void)unlink(pass.text_path);
    }
    g_array_unref(pass.plan.targets);
    g_free(pass.text_path);
    *out_unfinished = pass.unfinished && !apply_explains();
    return ok;
}

/* ---- all of it ---- */

/* Files of extents that are no part of the image any more, if they have our names. */
static void remove_dropped(const struct files *files, const struct image *image)
{
    for (guint i = 0; i < files->old->len; i++) {
        g_autofree char *named = vmdk_extent_path(files->path, files->subformat, i);
        g_autofree char *old = realpath(g_ptr_array_index(files->old, i), NULL);

        if (image_extent(image, i) == NULL && g_strcmp0(named, old) == 0)
            (void)unlink(named);
    }
}

static gboolean open_again(struct image **image, resize_reopen *reopen, void *user, GError **error)
{
    g_clear_pointer(image, image_free);
    *image = reopen(user, error);
    return *image != NULL;
}

/* Removes what an earlier resize has left behind, of all names that it could have used. */
static void sweep(const struct files *files)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    if (apply_explains() || !leftovers_recorded(files->path))
        return;
    g_ptr_array_add(names, text_path_of(files));
    for (uint64_t i = 0; i < VMDK_FILES_MAX && files->subformat[0] != '\0'; i++)
        g_ptr_array_add(names, vmdk_extent_path(files->path, files->subformat, i));
    leftovers_remove(files->path, names, files->old);
    leftovers_done(files->path);
}

static gboolean resize_files(struct image **image, Abi__ResizeRequest *request,
                             resize_reopen *reopen, void *user, struct files *files, GError **error)
{
    gboolean shrinks = request->size < image_virtual_size(*image), unfinished = TRUE;

    if (!files_find(*image, request->size, files, error))
        return FALSE;
    sweep(files);
    files->drops = shrinks && files->subformat[0] != '\0' && !apply_explains();
    for (unsigned pass = 0; unfinished; pass++) {
        if (pass == PASSES_MAX)
            return wire_refuse(error, "an endless resize");
        if (!run_pass(*image, request, files, &unfinished, error) ||
            (unfinished && !open_again(image, reopen, user, error)))
            return FALSE;
    }
    if (files->drops) {
        if (!open_again(image, reopen, user, error))
            return FALSE;
        remove_dropped(files, *image);
    }
    if (files->noted)
        leftovers_done(files->path);
    return TRUE;
}

gboolean resize_image(struct image **image, Abi__ResizeRequest *request, resize_reopen *reopen,
                      void *user, GError **error)
{
    uint64_t limit = MIN(request->size, G_MAXINT64 / 4);
    struct files files = {0};
    gboolean ok;

    request->node = image_node(*image);
    if (image_extent(*image, 0) == NULL || strcmp(image_format(*image), "vmdk") != 0)
        return image_plan_run(*image, CELL_METHOD_RESIZE, &request->base,
                              limit + TABLES_LIMIT(limit), error);
    ok = resize_files(image, request, reopen, user, &files, error);
    files_clear(&files);
    return ok;
}
