/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the command line become maps of options (compat/blockopts.h), and a map becomes a struct
 * name. Options that change nothing for a program that opens, works and ends (node-name, caches of
 * metadata, discard modes ...) are accepted and dropped, as their effect cannot be seen.
 */
#include "src/graph/names.h"

#include <string.h>

#include "compat/driver.h"
#include "compat/wording.h"
#include "src/graph/names_display.h"
#include "src/graph/paths.h"
#include "src/io/endpoint.h"

#define NULL_DEFAULT_BYTES (1ull << 30)

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(COMPAT_ERROR, COMPAT_ERROR_VALUE, format, args));
    va_end(args);
    return FALSE;
}

static gboolean fail_reference(GError **error, const char *node)
{
    return fail(error, "Cannot find device='%s' nor node-name='%s'", node, node);
}

static void node_free(gpointer data)
{
    struct name_node *node = data;

    g_free(node->driver);
    g_free(node->display);
    g_free(node);
}

static struct name *name_new(void)
{
    struct name *name = g_new0(struct name, 1);

    name->nodes = g_ptr_array_new_with_free_func(node_free);
    return name;
}

static struct name_node *add_node(struct name *name, const char *driver)
{
    struct name_node *node = g_new0(struct name_node, 1);

    node->driver = g_strdup(driver);
    g_ptr_array_add(name->nodes, node);
    return node;
}

void name_free(struct name *name)
{
    if (name == NULL) {
        return;
    }
    g_free(name->display);
    g_free(name->driver);
    g_free(name->vhd_size);
    g_free(name->key_secret);
    g_free(name->encrypt_secret);
    g_free(name->encrypt_format);
    g_free(name->encrypt_other);
    g_free(name->path);
    g_free(name->backing_key);
    g_free(name->backing_node);
    g_ptr_array_unref(name->nodes);
    name_free(name->backing);
    name_free(name->data_file);
    if (name->rest != NULL) {
        blockopts_free(name->rest);
    }
    g_free(name);
}

static void drop(struct blockopts *opts, const char *key)
{
    g_free(blockopts_take(opts, key));
}

/* The booleans and words that every node takes. */
static gboolean take_common(struct name *name, struct blockopts *opts, GError **error)
{
    gboolean unused;

    drop(opts, "node-name");
    drop(opts, "discard");
    drop(opts, "detect-zeroes");
    return blockopts_take_bool(opts, "read-only", name->read_only, &name->read_only, error) &&
           blockopts_take_bool(opts, "auto-read-only", FALSE, &unused, error) &&
           blockopts_take_bool(opts, "force-share", name->force_share, &name->force_share, error) &&
           blockopts_take_bool(opts, "cache.direct", name->cache.direct, &name->cache.direct,
                               error) &&
           blockopts_take_bool(opts, "cache.no-flush", name->cache.no_flush, &name->cache.no_flush,
                               error);
}

/* ---- protocols ---- */

static gboolean parse_file(struct name *name, struct blockopts *opts, GError **error)
{
    g_autofree char *locking = blockopts_take(opts, "locking");
    g_autofree char *aio = blockopts_take(opts, "aio");
    gboolean unused;

    if (name->path == NULL) {
        name->path = blockopts_take(opts, "filename");
    }
    if (name->path == NULL || *name->path == '\0') {
        return fail(error, "The 'file' block driver requires a file name");
    }
    name->leaf = LEAF_FILE;
    if (locking != NULL && strcmp(locking, "on") != 0 && strcmp(locking, "off") != 0 &&
        strcmp(locking, "auto") != 0) {
        return fail(error, "Parameter 'locking' does not accept value '%s'", locking);
    }
    name->no_lock = locking != NULL && strcmp(locking, "off") == 0;
    if (aio != NULL && strcmp(aio, "threads") != 0 && strcmp(aio, "native") != 0 &&
        strcmp(aio, "io_uring") != 0) {
        return fail(error, "Parameter 'aio' does not accept value '%s'", aio);
    }
    if (aio != NULL && strcmp(aio, "native") == 0 && !name->cache.direct) {
        return fail(error, "aio=native was specified, but it requires cache.direct=on, "
                           "which was not specified.");
    }
    drop(opts, "aio-max-batch");
    return blockopts_take_bool(opts, "drop-cache", TRUE, &unused, error) &&
           blockopts_take_bool(opts, "x-check-cache-dropped", FALSE, &unused, error);
}

static gboolean parse_null(struct name *name, const char *driver, struct blockopts *opts,
                           GError **error)
{
    g_autofree char *filename = blockopts_take(opts, "filename");
    gboolean have_size;

    if (filename != NULL && strcmp(filename, "null-co://") != 0 &&
        strcmp(filename, "null-aio://") != 0) {
        return fail(error, "The only allowed filename for this driver is '%s://'", driver);
    }
    drop(opts, "latency-ns");
    name->leaf = LEAF_NULL;
    name->null_bytes = NULL_DEFAULT_BYTES;
    return blockopts_take_size(opts, "size", &have_size, &name->null_bytes, error) &&
           blockopts_take_bool(opts, "read-zeroes", FALSE, &name->null_zeroes, error);
}

static gboolean is_null_driver(const char *driver)
{
    return strcmp(driver, "null-co") == 0 || strcmp(driver, "null-aio") == 0;
}

/* `driver` is the protocol's; NULL means a path, whatever it turns out to be. */
static gboolean parse_protocol(struct name *name, const char *driver, struct blockopts *opts,
                               GError **error)
{
    gboolean ok;

    add_node(name, driver);
    if (driver == NULL) {
        ok = parse_file(name, opts, error);
    } else if (strcmp(driver, "file") == 0) {
        name->endpoint_flags = ENDPOINT_ONLY_FILE;
        ok = parse_file(name, opts, error);
    } else if (strcmp(driver, "host_device") == 0) {
        name->endpoint_flags = ENDPOINT_ONLY_DEVICE;
        ok = parse_file(name, opts, error);
    } else if (is_null_driver(driver)) {
        ok = parse_null(name, driver, opts, error);
    } else {
        ok = fail(error, "The '%s' protocol is not built yet in instar", driver);
    }
    return ok && take_common(name, opts, error) &&
           blockopts_finish(opts, driver != NULL ? driver : "file", TRUE, error);
}

/* ---- nodes ---- */

static gboolean take_slice(struct blockopts *opts, struct slice *slice, GError **error)
{
    return blockopts_take_size(opts, "offset", &slice->have_offset, &slice->offset_bytes, error) &&
           blockopts_take_size(opts, "size", &slice->have_size, &slice->size_bytes, error);
}

static const struct driver *find_driver(const char *name, GError **error)
{
    const struct driver *driver = driver_find(name);

    if (driver == NULL) {
        fail(error, "Unknown driver '%s'", name);
    }
    return driver;
}

/* What stands under "file": protocols, or raw nodes over them. */
static gboolean parse_file_child(struct name *name, struct blockopts *opts, const char *key,
                                 GError **error);

static gboolean parse_child(struct name *name, struct blockopts *opts, GError **error)
{
    g_autofree char *word = blockopts_take(opts, "driver");
    const struct driver *driver;

    if (word == NULL) {
        return parse_protocol(name, NULL, opts, error);
    }
    driver = find_driver(word, error);
    if (driver == NULL) {
        return FALSE;
    }
    if (driver->is_protocol) {
        return parse_protocol(name, word, opts, error);
    }
    if (strcmp(word, "raw") != 0) {
        return fail(error, "A node of format '%s' below another node is not built yet in instar",
                    word);
    }
    if (!take_slice(opts, &add_node(name, word)->slice, error)) {
        return FALSE;
    }
    return take_common(name, opts, error) && parse_file_child(name, opts, "file", error) &&
           blockopts_finish(opts, "raw", FALSE, error);
}

static gboolean parse_file_child(struct name *name, struct blockopts *opts, const char *key,
                                 GError **error)
{
    struct blockopts *child = blockopts_take_prefix(opts, key);
    g_autofree char *node = blockopts_take(opts, key);
    gboolean ok;

    if (node != NULL && blockopts_count(child) > 0) {
        ok = fail(error, "Cannot reference an existing block device with additional options or a "
                         "new filename");
    } else if (node != NULL) {
        ok = fail_reference(error, node);
    } else if (blockopts_count(child) == 0) {
        ok = fail(error, "A block device must be specified for \"%s\"", key);
    } else {
        ok = parse_child(name, child, error);
    }
    blockopts_free(child);
    return ok;
}

static struct name *parse_node(struct blockopts *opts, const struct name_request *request,
                               gboolean may_lack_file, GError **error);

static gboolean has_key(const struct blockopts *opts, const char *key)
{
    for (size_t i = 0; i < blockopts_count(opts); i++) {
        if (strcmp(blockopts_key(opts, i), key) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean parse_backing(struct name *name, struct blockopts *opts,
                              const struct name_request *request, GError **error)
{
    struct blockopts *child = blockopts_take_prefix(opts, "backing");
    gboolean given = has_key(opts, "backing");
    g_autofree char *node = blockopts_take(opts, "backing");
    gboolean ok = TRUE;

    if (given && node != NULL) {
        name->backing_key = g_strdup("backing");
    } else if (blockopts_count(child) > 0) {
        name->backing_key = g_strconcat("backing.", blockopts_key(child, 0), NULL);
    }
    if (given && node == NULL) {
        name->no_backing = TRUE;
    } else if (given && *node == '\0') {
        report_warning("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
        name->no_backing = TRUE;
    } else if (given) {
        name->backing_node = g_steal_pointer(&node);
    } else if (blockopts_count(child) > 0) {
        struct name_request inner = {.force_share = request->force_share, .cache = name->cache};

        name->backing = parse_node(child, &inner, TRUE, error);
        ok = name->backing != NULL;
        child = NULL; /* the node has them */
    }
    if (child != NULL) {
        blockopts_free(child);
    }
    return ok;
}

static gboolean parse_data_file(struct name *name, struct blockopts *opts, GError **error)
{
    struct blockopts *child = blockopts_take_prefix(opts, "data-file");
    g_autofree char *node = blockopts_take(opts, "data-file");
    gboolean ok = TRUE;

    if (node != NULL) {
        ok = fail_reference(error, node);
    } else if (blockopts_count(child) > 0) {
        name->data_file = name_new();
        name->data_file->cache = name->cache;
        ok = parse_child(name->data_file, child, error);
    }
    blockopts_free(child);
    return ok;
}

static gboolean parse_format(struct name *name, struct blockopts *opts,
                             const struct name_request *request, gboolean may_lack_file,
                             GError **error)
{
    gboolean maybe_raw = name->driver == NULL || strcmp(name->driver, "raw") == 0;
    gboolean maybe_chain = name->driver == NULL || strcmp(name->driver, "raw") != 0;

    /* A probed image takes offset and size only if it is raw; the names say nothing else. */
    if (name->driver != NULL && maybe_raw && !take_slice(opts, &name->slice, error)) {
        return FALSE;
    }
    if (maybe_chain) {
        name_drop_tuning(opts);
        if (!parse_backing(name, opts, request, error) || !parse_data_file(name, opts, error)) {
            return FALSE;
        }
    }
    return may_lack_file || parse_file_child(name, opts, "file", error);
}

static gboolean names_a_file(struct blockopts *opts)
{
    for (size_t i = 0; i < blockopts_count(opts); i++) {
        const char *key = blockopts_key(opts, i);

        if (strcmp(key, "file") == 0 || g_str_has_prefix(key, "file.")) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Which keys unlock the image; whether it has such an option is known once its format is. */
static void look_for_keys(struct name *name, const struct blockopts *opts)
{
    name->key_secret = g_strdup(blockopts_get(opts, "key-secret"));
    name->encrypt_secret = g_strdup(blockopts_get(opts, "encrypt.key-secret"));
    name->encrypt_format = g_strdup(blockopts_get(opts, "encrypt.format"));
    for (size_t i = 0; i < blockopts_count(opts); i++) {
        const char *key = blockopts_key(opts, i);

        if (g_str_has_prefix(key, "encrypt.") && strcmp(key, "encrypt.key-secret") != 0 &&
            strcmp(key, "encrypt.format") != 0 && name->encrypt_other == NULL) {
            name->encrypt_other = g_strdup(key + strlen("encrypt."));
        }
    }
}

/* Takes over `opts`. */
static struct name *parse_node(struct blockopts *opts, const struct name_request *request,
                               gboolean may_lack_file, GError **error)
{
    g_autoptr(Name) name = name_new();
    g_autofree char *word = blockopts_take(opts, "driver");
    const struct driver *driver = NULL;

    name->rest = opts;
    name->vhd_size = g_strdup(blockopts_get(opts, VHD_SIZE_KEY));
    look_for_keys(name, opts);
    name->cache = request->cache;
    name->force_share = request->force_share;
    name->driver = g_strdup(request->format != NULL ? request->format : word);
    if (name->driver == NULL && !names_a_file(opts) && !may_lack_file) {
        fail(error, "Must specify either driver or file");
        return NULL;
    }
    if (name->driver != NULL) {
        driver = find_driver(name->driver, error);
        if (driver == NULL) {
            return NULL;
        }
    }
    if (!take_common(name, opts, error)) {
        return NULL;
    }
    if (driver != NULL && driver->is_protocol) {
        name->is_protocol = TRUE;
        return parse_protocol(name, name->driver, opts, error) ? g_steal_pointer(&name) : NULL;
    }
    if (!parse_format(name, opts, request, may_lack_file && !names_a_file(opts), error)) {
        return NULL;
    }
    return g_steal_pointer(&name);
}

/* How the size of a VHD is found; only that format has the option. */
static gboolean finish_vhd_size(const struct name *name, const char *format, GError **error)
{
    if (name->vhd_size == NULL || strcmp(format, "vpc") != 0) {
        return TRUE;
    }
    g_free(blockopts_take(name->rest, VHD_SIZE_KEY));
    if (strcmp(name->vhd_size, "chs") != 0 && strcmp(name->vhd_size, "current_size") != 0) {
        return fail(error, "Invalid size calculation mode: '%s'", name->vhd_size);
    }
    return TRUE;
}

/* Takes the options about keys that the format has. */
static void finish_keys(const struct name *name, const char *format)
{
    if (name->rest == NULL) {
        return;
    }
    if (strcmp(format, "luks") == 0) {
        drop(name->rest, "key-secret");
    } else if (strcmp(format, "qcow2") == 0 || strcmp(format, "qcow") == 0) {
        blockopts_free(blockopts_take_prefix(name->rest, "encrypt"));
    }
}

gboolean name_finish(const struct name *name, const char *format, GError **error)
{
    if (!finish_vhd_size(name, format, error)) {
        return FALSE;
    }
    finish_keys(name, format);
    if (name->data_file != NULL && strcmp(format, "raw") == 0) {
        return fail(error, "Block format 'raw' does not support the option 'data-file.filename'");
    }
    if (strcmp(format, "raw") == 0 && (name->backing != NULL || name->backing_node != NULL)) {
        return fail(error, "Block format 'raw' does not support the option 'backing'");
    }
    return name->rest == NULL || blockopts_finish(name->rest, format, FALSE, error);
}

static struct blockopts *parse_map(const struct name_request *request, GError **error)
{
    return request->image_opts ? blockopts_parse_string(request->text, request->force_share, error)
                               : blockopts_parse_json(request->text, error);
}

/* ---- plain names ---- */

static struct name *parse_plain(const struct name_request *request, GError **error)
{
    g_autoptr(Name) name = name_new();
    const struct driver *driver = NULL;
    const struct driver *protocol;
    const char *path = request->text;
    struct blockopts *opts;
    const char *word = NULL;
    gboolean ok;

    name->cache = request->cache;
    name->force_share = request->force_share;
    if (request->format != NULL) {
        driver = find_driver(request->format, error);
        if (driver == NULL) {
            return NULL;
        }
    }
    name->driver = g_strdup(request->format);
    name->is_protocol = driver != NULL && driver->is_protocol;
    protocol = driver_of_name(request->text, error);
    if (protocol == NULL) {
        return NULL;
    }
    if (path_has_protocol(path)) {
        word = protocol->name;
        if (!is_null_driver(word)) {
            path = strchr(path, ':') + 1;
        }
    }
    if (name->is_protocol) {
        word = name->driver;
    }
    opts = blockopts_new();
    blockopts_set(opts, "filename", path);
    ok = parse_protocol(name, word, opts, error);
    blockopts_free(opts);
    if (!ok) {
        return NULL;
    }
    name->display = name->leaf == LEAF_NULL ? g_strdup(request->text) : path_as_name(name->path);
    ((struct name_node *)name->nodes->pdata[0])->display = g_strdup(name->display);
    return g_steal_pointer(&name);
}

struct name *name_parse(const struct name_request *request, GError **error)
{
    struct blockopts *opts;
    struct blockopts *copy;
    struct name *name;

    if (!request->image_opts && !blockopts_is_json(request->text)) {
        return parse_plain(request, error);
    }
    opts = parse_map(request, error);
    if (opts == NULL) {
        return NULL;
    }
    copy = blockopts_copy(opts); /* parsing uses the map up */
    name = parse_node(opts, request, FALSE, error);
    if (name == NULL) {
        blockopts_free(copy);
        return NULL;
    }
    name_display_nodes(name, copy);
    return name;
}
