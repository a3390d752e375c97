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
#include "src/graph/names_private.h"
#include "src/graph/paths.h"

static void node_free(gpointer data)
{
    struct name_node *node = data;

    g_free(node->driver);
    g_free(node->display);
    g_free(node->throttle_group);
    g_clear_pointer(&node->rules, g_array_unref);
    g_clear_pointer(&node->shown, blockopts_free);
    name_free(node->other);
    g_clear_error(&node->late);
    g_free(node);
}

struct name *name_new(void)
{
    struct name *name = g_new0(struct name, 1);

    name->nodes = g_ptr_array_new_with_free_func(node_free);
    return name;
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
    nbd_address_free(name->nbd);
    g_free(name->backing_key);
    g_free(name->backing_node);
    g_ptr_array_unref(name->nodes);
    name_free(name->backing);
    name_free(name->data_file);
    name_free(name->header);
    g_clear_pointer(&name->shown, blockopts_free);
    g_clear_pointer(&name->rest, blockopts_free);
    g_clear_error(&name->late);
    g_clear_error(&name->late_backing);
    g_clear_error(&name->late_data_file);
    g_free(name);
}

/* What the options say about the backing file, but that there is none. */
static void parse_backing(struct name *name, struct blockopts *opts,
                          const struct name_request *request)
{
    struct blockopts *child = blockopts_take_prefix(opts, "backing");
    GError *error = NULL;

    if (blockopts_is_text(opts, "backing")) {
        name->backing_node = blockopts_take(opts, "backing");
    }
    if (name->backing_node != NULL) {
        name->backing_key = g_strdup("backing");
    } else if (blockopts_count(child) > 0) {
        struct name_request inner = {
            .force_share = request->force_share, .cache = name->cache, .is_child = TRUE};

        name->backing_key = g_strconcat("backing.", blockopts_key(child, 0), NULL);
        name->backing = name_parse_node(child, &inner, TRUE, &error);
        name_keep_late(&name->late_backing, name->backing != NULL, &error);
        return; /* the node has them */
    }
    blockopts_free(child);
}

/* A file that the image has beside its own. */
static gboolean parse_other_file(struct name *name, struct blockopts *opts, const char *key,
                                 struct name **out, GError **error)
{
    struct blockopts *child = blockopts_take_prefix(opts, key);
    g_autofree char *node = blockopts_take(opts, key);
    gboolean ok = TRUE;

    if (node != NULL) {
        ok = name_fail_reference(error, node);
    } else if (blockopts_count(child) > 0) {
        *out = name_new();
        (*out)->cache = name->cache;
        ok = name_parse_child(*out, child, key, error);
        if (!ok) {
            g_clear_pointer(out, name_free);
        }
    }
    blockopts_free(child);
    return ok;
}

/* The data file; its options stay, as only one format has them. */
static void parse_data_file(struct name *name, const struct blockopts *opts)
{
    struct blockopts *copy = blockopts_copy(opts);
    GError *error = NULL;

    name_keep_late(&name->late_data_file,
                   parse_other_file(name, copy, "data-file", &name->data_file, &error), &error);
    blockopts_free(copy);
}

/* What is wrong with a format's own options once its file is open. */
static gboolean parse_own(struct name *name, struct blockopts *opts, GError **error)
{
    /* A probed image takes offset and size only if it is raw; the names say nothing else. */
    if (name->driver != NULL && strcmp(name->driver, "raw") == 0) {
        return name_take_slice(opts, &name->slice, error);
    }
    return name->driver == NULL || strcmp(name->driver, "luks") != 0 ||
           parse_other_file(name, opts, "header", &name->header, error);
}

static gboolean parse_format(struct name *name, struct blockopts *opts,
                             const struct name_request *request, gboolean may_lack_file,
                             GError **error)
{
    GError *own = NULL;

    if (!name_parse_file(name, opts, may_lack_file ? FILE_SAID_ELSEWHERE : FILE_NEEDED,
                         request->is_child, &name->late, error)) {
        return FALSE;
    }
    name_keep_late(&name->late, parse_own(name, opts, &own), &own);
    parse_data_file(name, opts);
    parse_backing(name, opts, request);
    return TRUE;
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
struct name *name_parse_node(struct blockopts *opts, const struct name_request *request,
                             gboolean may_lack_file, GError **error)
{
    g_autoptr(Name) name = name_new();
    g_autofree char *word = blockopts_take_text(opts, "driver");
    const struct driver *driver = NULL;

    name->rest = opts;
    name->plain_below = blockopts_get(opts, "file.filename") != NULL;
    name->vhd_size = g_strdup(blockopts_get(opts, VHD_SIZE_KEY));
    look_for_keys(name, opts);
    name->cache = request->cache;
    name->force_share = request->force_share;
    name->driver = g_strdup(request->format != NULL ? request->format : word);
    if (name->driver == NULL && !name_has_file(opts) && !may_lack_file) {
        wording_fail(error, "Must specify either driver or file");
        return NULL;
    }
    if (name->driver != NULL) {
        driver = name_find_driver(name->driver, error);
        if (driver == NULL) {
            return NULL;
        }
    }
    name->no_backing = name_take_no_backing(opts);
    if (driver != NULL && (driver->is_protocol || driver->is_filter)) {
        name->is_protocol = TRUE;
        return name_add_node(name, name->driver, opts, NULL, error) ? g_steal_pointer(&name) : NULL;
    }
    name->shown = name_pick_shown(opts, name->driver);
    if (!parse_format(name, opts, request, may_lack_file && !name_has_file(opts), error)) {
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
        return wording_fail(error, "Invalid size calculation mode: '%s'", name->vhd_size);
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
        g_free(blockopts_take(name->rest, "key-secret"));
    } else if (strcmp(format, "qcow2") == 0 || strcmp(format, "qcow") == 0) {
        blockopts_free(blockopts_take_prefix(name->rest, "encrypt"));
    }
}

gboolean name_take_own(const struct name *name, const char *format, GError **error)
{
    if (!finish_vhd_size(name, format, error) || !name_check_events(name, format, error)) {
        return FALSE;
    }
    finish_keys(name, format);
    if (name->rest == NULL || strcmp(format, "qcow2") != 0) {
        return TRUE;
    }
    blockopts_free(blockopts_take_prefix(name->rest, "data-file"));
    g_free(blockopts_take(name->rest, "data-file"));
    return name_take_tuning(name->rest, error);
}

gboolean name_finish(const struct name *name, const char *format, GError **error)
{
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

    name->cache = request->cache;
    name->force_share = request->force_share;
    if (request->format != NULL) {
        driver = name_find_driver(request->format, error);
        if (driver == NULL) {
            return NULL;
        }
    }
    name->driver = g_strdup(request->format);
    name->is_protocol = driver != NULL && (driver->is_protocol || driver->is_filter);
    return name_add_plain(name, request->text, name->is_protocol ? name->driver : NULL, "file",
                          error)
               ? g_steal_pointer(&name)
               : NULL;
}

struct name *name_parse(const struct name_request *request, GError **error)
{
    gboolean plain = !request->image_opts && !blockopts_is_json(request->text);
    struct blockopts *opts = plain ? NULL : parse_map(request, error);
    struct name *name;

    if (!plain && opts == NULL) {
        return NULL;
    }
    name = plain ? parse_plain(request, error) : name_parse_node(opts, request, FALSE, error);
    if (name != NULL) {
        name_display_nodes(name);
    }
    return name;
}
