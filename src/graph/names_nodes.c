/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes below a format: protocols, windows, filters, and disks in other images.
 */
#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/graph/keys.h"
#include "src/graph/names_private.h"
#include "src/graph/paths.h"
#include "src/io/endpoint.h"

#define NULL_DEFAULT_BYTES (1ull << 30)

static struct name_node *add_node(struct name *name, enum node_kind kind, const char *driver,
                                  const struct blockopts *opts, const char *key)
{
    struct name_node *node = g_new0(struct name_node, 1);

    node->kind = kind;
    node->driver = g_strdup(driver);
    node->key = key;
    node->shown = name_pick_shown(opts, driver != NULL ? driver : "file");
    g_ptr_array_add(name->nodes, node);
    return node;
}

gboolean name_fail_reference(GError **error, const char *node)
{
    return wording_fail(error, "Cannot find device='%s' nor node-name='%s'", node, node);
}

const struct driver *name_find_driver(const char *name, GError **error)
{
    const struct driver *driver = driver_find(name);

    if (driver == NULL) {
        wording_fail(error, "Unknown driver '%s'", name);
    }
    return driver;
}

static void drop(struct blockopts *opts, const char *key)
{
    g_free(blockopts_take(opts, key));
}

gboolean name_take_common(struct name *name, struct blockopts *opts, GError **error)
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

gboolean name_take_slice(struct blockopts *opts, struct slice *slice, GError **error)
{
    return blockopts_take_size(opts, "offset", &slice->have_offset, &slice->offset_bytes, error) &&
           blockopts_take_size(opts, "size", &slice->have_size, &slice->size_bytes, error);
}

gboolean name_take_number(struct blockopts *opts, const char *key, gint64 fallback, gint64 *out,
                          GError **error)
{
    g_autofree char *text = blockopts_take(opts, key);
    char *end;

    *out = fallback;
    if (text == NULL) {
        return TRUE;
    }
    errno = 0;
    *out = (gint64)g_ascii_strtoull(text, &end, 0);
    if (end == text || *end != '\0' || errno != 0) {
        return wording_fail(error, "Parameter '%s' expects a number", key);
    }
    return TRUE;
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
        return wording_fail(error, "The 'file' block driver requires a file name");
    }
    name->leaf = LEAF_FILE;
    if (locking != NULL && strcmp(locking, "on") != 0 && strcmp(locking, "off") != 0 &&
        strcmp(locking, "auto") != 0) {
        return wording_fail(error, "invalid parameter value: %s", locking);
    }
    name->no_lock = locking != NULL && strcmp(locking, "off") == 0;
    if (aio != NULL && strcmp(aio, "threads") != 0 && strcmp(aio, "native") != 0 &&
        strcmp(aio, "io_uring") != 0) {
        return wording_fail(error, "invalid parameter value: %s", aio);
    }
    if (aio != NULL && strcmp(aio, "native") == 0 && !name->cache.direct) {
        return wording_fail(error, "aio=native was specified, but it requires cache.direct=on, "
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
    gint64 latency;

    if (filename != NULL && strcmp(filename, "null-co://") != 0 &&
        strcmp(filename, "null-aio://") != 0) {
        return wording_fail(error, "The only allowed filename for this driver is '%s://'", driver);
    }
    name->leaf = LEAF_NULL;
    name->null_bytes = NULL_DEFAULT_BYTES;
    if (!name_take_number(opts, "latency-ns", 0, &latency, error)) {
        return FALSE;
    }
    if (latency < 0) {
        return wording_fail(error, "latency-ns is invalid");
    }
    name->null_latency_nsecs = (uint64_t)latency;
    return blockopts_take_size(opts, "size", &have_size, &name->null_bytes, error) &&
           blockopts_take_bool(opts, "read-zeroes", FALSE, &name->null_zeroes, error);
}

static gboolean is_null_driver(const char *driver)
{
    return strcmp(driver, "null-co") == 0 || strcmp(driver, "null-aio") == 0;
}

/* A folder as a disk: what is wrong with the name comes before that there is no such thing yet. */
static gboolean refuse_vvfat(const struct blockopts *opts, GError **error)
{
    const char *folder = blockopts_get(opts, "dir");
    GDir *dir;

    if (folder == NULL) {
        return wording_fail(error, "vvfat block driver requires a 'dir' option");
    }
    dir = g_dir_open(folder, 0, NULL);
    if (dir == NULL) {
        return wording_fail(error, "Could not read directory %s", folder);
    }
    g_dir_close(dir);
    return wording_fail(error, "The 'vvfat' protocol is not built yet in instar");
}

static gboolean add_protocol(struct name *name, const char *driver, struct blockopts *opts,
                             const char *key, GError **error)
{
    gboolean ok;

    add_node(name, NODE_PROTOCOL, driver, opts, key);
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
    } else if (strcmp(driver, "vvfat") == 0) {
        ok = refuse_vvfat(opts, error);
    } else {
        ok = wording_fail(error, "The '%s' protocol is not built yet in instar", driver);
    }
    return ok && name_take_common(name, opts, error) &&
           blockopts_finish(opts, driver != NULL ? driver : "file", TRUE, error);
}

/* ---- what stands over other nodes ---- */

static gboolean add_raw(struct name *name, struct blockopts *opts, const char *key, GError **error)
{
    struct name_node *node = add_node(name, NODE_RAW, "raw", opts, key);

    return name_take_slice(opts, &node->slice, error) && name_take_common(name, opts, error) &&
           name_parse_below(name, opts, "file", error) &&
           blockopts_finish(opts, "raw", FALSE, error);
}

static gboolean take_throttle_group(struct name_node *node, struct blockopts *opts, GError **error)
{
    node->throttle_group = blockopts_take(opts, "throttle-group");
    if (node->throttle_group == NULL) {
        return wording_fail(error, "Please specify a throttle group");
    }
    if (keys_find_throttle(node->throttle_group) == NULL) {
        return wording_fail(error, "Throttle group '%s' does not exist", node->throttle_group);
    }
    return TRUE;
}

static gboolean take_preallocate(struct blockopts *opts, GError **error)
{
    uint64_t bytes;
    gboolean have;

    return blockopts_take_size(opts, "prealloc-align", &have, &bytes, error) &&
           blockopts_take_size(opts, "prealloc-size", &have, &bytes, error);
}

static gboolean add_filter(struct name *name, const char *driver, struct blockopts *opts,
                           const char *key, GError **error)
{
    struct name_node *node = add_node(name, NODE_FILTER, driver, opts, key);
    gboolean throttle = strcmp(driver, "throttle") == 0;

    name->writes_back |= strcmp(driver, "copy-on-read") == 0;
    return (strcmp(driver, "preallocate") != 0 || take_preallocate(opts, error)) &&
           name_take_common(name, opts, error) && name_parse_below(name, opts, "file", error) &&
           (!throttle || take_throttle_group(node, opts, error)) &&
           blockopts_finish(opts, driver, FALSE, error);
}

/* The node below "KEY", or below what a plain name in the option `plain` says. */
static gboolean add_named_or_below(struct name *name, struct blockopts *opts, const char *plain,
                                   const char *key, GError **error)
{
    g_autofree char *text = blockopts_take(opts, plain);

    return text != NULL ? name_add_plain(name, text, NULL, key, error)
                        : name_parse_below(name, opts, key, error);
}

static gboolean add_blkdebug(struct name *name, struct blockopts *opts, const char *key,
                             GError **error)
{
    struct name_node *node = add_node(name, NODE_BLKDEBUG, "blkdebug", opts, key);

    return name_take_common(name, opts, error) && name_take_blkdebug(node, opts, error) &&
           add_named_or_below(name, opts, "x-image", "image", error) &&
           blockopts_finish(opts, "blkdebug", TRUE, error);
}

static gboolean add_disk(struct name *name, const char *driver, struct name *image, const char *key)
{
    struct name_node *node;
    struct blockopts *none = blockopts_new();

    if (image == NULL) {
        return FALSE;
    }
    node = add_node(name, NODE_DISK, driver, none, key);
    blockopts_free(none);
    node->other = image;
    name->leaf = LEAF_DISK;
    return TRUE;
}

/* The disk that is verified: an image whose format is found out. */
static gboolean add_tested(struct name *name, struct blockopts *opts, GError **error)
{
    g_autofree char *text = blockopts_take(opts, "x-image");
    struct name_request request = {
        .text = text, .force_share = name->force_share, .cache = name->cache};

    return text != NULL ? add_disk(name, NULL, name_parse(&request, error), "test")
                        : name_parse_below(name, opts, "test", error);
}

static gboolean add_blkverify(struct name *name, struct blockopts *opts, const char *key,
                              GError **error)
{
    struct name_node *node = add_node(name, NODE_BLKVERIFY, "blkverify", opts, key);

    node->other = name_new();
    node->other->force_share = name->force_share;
    node->other->cache = name->cache;
    node->other->is_protocol = TRUE;
    return name_take_common(name, opts, error) &&
           add_named_or_below(node->other, opts, "x-raw", "raw", error) &&
           add_tested(name, opts, error) && blockopts_finish(opts, "blkverify", TRUE, error);
}

gboolean name_add_node(struct name *name, const char *driver, struct blockopts *opts,
                       const char *key, GError **error)
{
    struct name_request request = {.force_share = name->force_share, .cache = name->cache};
    const struct driver *known = driver != NULL ? name_find_driver(driver, error) : NULL;
    struct blockopts *whole;

    if (driver == NULL || known == NULL) {
        return driver == NULL && add_protocol(name, driver, opts, key, error);
    }
    if (strcmp(driver, "raw") == 0) {
        return add_raw(name, opts, key, error);
    }
    if (strcmp(driver, "blkdebug") == 0) {
        return add_blkdebug(name, opts, key, error);
    }
    if (strcmp(driver, "blkverify") == 0) {
        return add_blkverify(name, opts, key, error);
    }
    if (known->is_filter) {
        return add_filter(name, driver, opts, key, error);
    }
    if (known->is_protocol) {
        return add_protocol(name, driver, opts, key, error);
    }
    whole = blockopts_copy(opts);
    blockopts_set(whole, "driver", driver);
    return add_disk(name, driver, name_parse_node(whole, &request, FALSE, error), key);
}

gboolean name_parse_child(struct name *name, struct blockopts *opts, const char *key,
                          GError **error)
{
    g_autofree char *word = blockopts_take(opts, "driver");

    return name_add_node(name, word, opts, key, error);
}

gboolean name_parse_below(struct name *name, struct blockopts *opts, const char *key,
                          GError **error)
{
    struct blockopts *child = blockopts_take_prefix(opts, key);
    g_autofree char *node = blockopts_take(opts, key);
    gboolean ok;

    if (node != NULL && blockopts_count(child) > 0) {
        ok = wording_fail(error, "Cannot reference an existing block device with additional "
                                 "options or a new filename");
    } else if (node != NULL) {
        ok = name_fail_reference(error, node);
    } else if (blockopts_count(child) == 0) {
        ok = wording_fail(error, "A block device must be specified for \"%s\"", key);
    } else {
        ok = name_parse_child(name, child, key, error);
    }
    blockopts_free(child);
    return ok;
}

/* ---- plain names ---- */

/* "blkdebug:CONFIG:IMAGE" and "blkverify:RAW:IMAGE", less the driver: two names. */
static gboolean split_pair(const char *text, const char *first, struct blockopts *opts,
                           const char *complaint, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *head = NULL;

    if (colon == NULL) {
        return wording_fail(error, "%s", complaint);
    }
    head = g_strndup(text, (gsize)(colon - text));
    if (*head != '\0' || strcmp(first, "config") != 0) {
        blockopts_set(opts, first, head);
    }
    blockopts_set(opts, "x-image", colon + 1);
    return TRUE;
}

/* What a plain name says to a driver, as options. */
static gboolean options_of(const char *driver, const char *text, gboolean prefixed,
                           struct blockopts *opts, GError **error)
{
    const char *rest = prefixed ? strchr(text, ':') + 1 : text;

    if (g_strcmp0(driver, "blkdebug") == 0 && prefixed) {
        return split_pair(rest, "config", opts, "blkdebug requires both config file and image path",
                          error);
    }
    if (g_strcmp0(driver, "blkverify") == 0 && prefixed) {
        return split_pair(rest, "x-raw", opts,
                          "blkverify requires raw copy and original image path", error);
    }
    if (g_strcmp0(driver, "vvfat") == 0) {
        const char *last = strrchr(text, ':');

        if (!g_str_has_prefix(text, "fat:")) {
            return wording_fail(error, "File name string must start with 'fat:'");
        }
        blockopts_set(opts, "dir", last + 1);
    } else if (g_strcmp0(driver, "blkdebug") == 0) {
        blockopts_set(opts, "x-image", rest);
    } else if (g_strcmp0(driver, "blkverify") == 0) {
        blockopts_set(opts, "x-image", rest);
    } else if (driver != NULL && driver_find(driver)->is_filter) {
        blockopts_set(opts, "file.filename", rest);
    } else {
        blockopts_set(opts, "filename", driver != NULL && is_null_driver(driver) ? text : rest);
    }
    return TRUE;
}

gboolean name_add_plain(struct name *name, const char *text, const char *driver, const char *key,
                        GError **error)
{
    const struct driver *protocol = driver_of_name(text, error);
    gboolean prefixed = path_has_protocol(text);
    struct blockopts *opts;
    gboolean ok;

    if (protocol == NULL) {
        return FALSE;
    }
    if (driver == NULL && prefixed) {
        driver = protocol->name;
    }
    opts = blockopts_new();
    ok = options_of(driver, text, prefixed, opts, error) &&
         name_add_node(name, driver, opts, key, error);
    blockopts_free(opts);
    return ok;
}
