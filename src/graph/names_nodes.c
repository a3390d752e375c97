/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes below a format: protocols, windows, filters, and disks in other images.
 */
#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/graph/keys.h"
#include "src/graph/names_private.h"
#include "src/graph/node_names.h"
#include "src/graph/paths.h"
#include "src/io/endpoint.h"

#define NULL_DEFAULT_BYTES (1ull << 30)

#define NODE_NAME_BYTES_MAX 31

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

void name_keep_late(GError **late, gboolean ok, GError **error)
{
    if (!ok && *late == NULL) {
        *late = g_steal_pointer(error);
    }
    g_clear_error(error);
}

/* A node's name must be one, although nobody can call the node by it. */
static gboolean take_node_name(struct blockopts *opts, GError **error)
{
    g_autofree char *name = blockopts_take(opts, "node-name");

    if (name == NULL) {
        return TRUE;
    }
    if (!g_ascii_isalpha(*name) ||
        name[strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._")] != '\0') {
        return wording_fail(error, "Invalid node-name: '%s'", name);
    }
    return (strlen(name) <= NODE_NAME_BYTES_MAX || wording_fail(error, "Node name too long")) &&
           node_names_claim(name, error);
}

/* What is done with discards and zeros cannot be seen from outside. Below others, discards pass. */
static gboolean take_discard(struct blockopts *opts, gboolean is_child, GError **error)
{
    static const char *const discards[] = {"ignore", "off", "unmap", "on", NULL};
    static const char *const zeros[] = {"off", "on", "unmap", NULL};
    g_autofree char *discard = blockopts_take(opts, "discard");
    g_autofree char *detect = blockopts_take(opts, "detect-zeroes");
    gboolean unmap =
        discard == NULL ? is_child : strcmp(discard, "unmap") == 0 || strcmp(discard, "on") == 0;

    if (discard != NULL && !g_strv_contains(discards, discard)) {
        return wording_fail(error, "Invalid discard option");
    }
    if (detect != NULL && !g_strv_contains(zeros, detect)) {
        return wording_fail(error, "invalid parameter value: %s", detect);
    }
    return g_strcmp0(detect, "unmap") != 0 || unmap ||
           wording_fail(error, "setting detect-zeroes to unmap is not allowed without setting "
                               "discard operation to unmap");
}

/* What the nodes below take over: they complain of it first. */
static gboolean take_inherited(struct name *name, struct blockopts *opts, GError **error)
{
    gboolean unused;

    return blockopts_take_bool(opts, "read-only", name->read_only, &name->read_only, error) &&
           blockopts_take_bool(opts, "auto-read-only", FALSE, &unused, error) &&
           blockopts_take_bool(opts, "force-share", name->force_share, &name->force_share, error) &&
           blockopts_take_bool(opts, "cache.direct", name->cache.direct, &name->cache.direct,
                               error) &&
           blockopts_take_bool(opts, "cache.no-flush", name->cache.no_flush, &name->cache.no_flush,
                               error);
}

gboolean name_take_common(struct name *name, struct blockopts *opts, gboolean is_child,
                          GError **error)
{
    return take_inherited(name, opts, error) && take_discard(opts, is_child, error) &&
           take_node_name(opts, error);
}

static gboolean has_key(const struct blockopts *opts, const char *key)
{
    for (size_t i = 0; i < blockopts_count(opts); i++) {
        if (strcmp(blockopts_key(opts, i), key) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

gboolean name_take_no_backing(struct blockopts *opts)
{
    const char *node = blockopts_get(opts, "backing");

    if (!has_key(opts, "backing") || (node != NULL && *node != '\0')) {
        return FALSE;
    }
    if (node != NULL) {
        report_warning("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
    }
    drop(opts, "backing");
    return TRUE;
}

gboolean name_has_file(const struct blockopts *opts)
{
    for (size_t i = 0; i < blockopts_count(opts); i++) {
        const char *key = blockopts_key(opts, i);

        if (strcmp(key, "file") == 0 || g_str_has_prefix(key, "file.")) {
            return TRUE;
        }
    }
    return FALSE;
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

static gboolean parse_file(struct name *name, const char *driver, struct blockopts *opts,
                           GError **error)
{
    g_autofree char *locking = blockopts_take(opts, "locking");
    g_autofree char *aio = blockopts_take(opts, "aio");
    g_autofree char *manager = blockopts_take(opts, "pr-manager");
    gboolean unused;

    if (name->path == NULL || *name->path == '\0') {
        return wording_fail(error, "The '%s' block driver requires a file name", driver);
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
    if (manager != NULL) {
        return wording_fail(error, "No persistent reservation manager with id '%s'", manager);
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

static gboolean parse_protocol(struct name *name, const char *driver, struct blockopts *opts,
                               GError **error)
{
    if (strcmp(driver, "nbd") == 0) {
        return name_take_nbd(name, opts, error);
    }
    if (is_null_driver(driver)) {
        return parse_null(name, driver, opts, error);
    }
    if (strcmp(driver, "vvfat") == 0) {
        return refuse_vvfat(opts, error);
    }
    return wording_fail(error, "The '%s' protocol is not built yet in instar", driver);
}

/* What is wrong with a node that has no backing file, once it and all below it is open. */
static gboolean finish_node(struct blockopts *opts, const char *driver, gboolean is_protocol,
                            GError **error)
{
    struct blockopts *backing = blockopts_take_prefix(opts, "backing");
    gboolean none = blockopts_count(backing) == 0 && !blockopts_is_text(opts, "backing");

    blockopts_free(backing);
    return none ? blockopts_finish(opts, driver, is_protocol, error)
                : wording_fail(error, "Driver doesn't support backing files");
}

static gboolean add_protocol(struct name *name, const char *driver, struct blockopts *opts,
                             const char *key, GError **error)
{
    struct name_node *node = add_node(name, NODE_PROTOCOL, driver, opts, key);
    const char *kind = driver != NULL ? driver : "file";
    gboolean is_device = strcmp(kind, "host_device") == 0, ok;
    GError *own = NULL;

    name_take_no_backing(opts);
    if (!name_take_common(name, opts, key != NULL, error)) {
        return FALSE;
    }
    if (is_device || strcmp(kind, "file") == 0) {
        name->endpoint_flags = is_device        ? ENDPOINT_ONLY_DEVICE
                               : driver != NULL ? ENDPOINT_ONLY_FILE
                                                : name->endpoint_flags;
        name->path = blockopts_take_text(opts, "filename");
        ok = parse_file(name, kind, opts, error);
    } else {
        ok = parse_protocol(name, kind, opts, error);
    }
    name_keep_late(&node->late, ok && finish_node(opts, kind, TRUE, &own), &own);
    return ok;
}

/* ---- what stands over other nodes ---- */

gboolean name_parse_file(struct name *name, struct blockopts *opts, enum file_need need,
                         gboolean is_child, GError **late, GError **error)
{
    GError *inherited = NULL, *common = NULL;
    gboolean good = take_inherited(name, opts, &inherited);
    gboolean lacks = !name_has_file(opts);

    if (need == FILE_NEEDED && !(lacks && !good) && !name_parse_below(name, opts, "file", error)) {
        /* Where there is no file to complain of first, the node's own options come before that. */
        if (lacks && !name_take_common(name, opts, is_child, &common)) {
            g_clear_error(error);
            g_propagate_error(error, common);
        }
        g_clear_error(&inherited);
        return FALSE;
    }
    if (!good) {
        g_propagate_error(error, inherited);
        return FALSE;
    }
    name_keep_late(late, name_take_common(name, opts, is_child, &common), &common);
    return TRUE;
}

static gboolean add_raw(struct name *name, struct blockopts *opts, const char *key, GError **error)
{
    struct name_node *node = add_node(name, NODE_RAW, "raw", opts, key);
    GError *own = NULL;

    name_take_no_backing(opts);
    if (!name_parse_file(name, opts, FILE_NEEDED, key != NULL, &node->late, error)) {
        return FALSE;
    }
    name_keep_late(&node->late, name_take_slice(opts, &node->slice, &own), &own);
    name_keep_late(&node->late, finish_node(opts, "raw", FALSE, &own), &own);
    return TRUE;
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
    gboolean preallocate = strcmp(driver, "preallocate") == 0;
    GError *own = NULL;

    name_take_no_backing(opts);
    if (!name_parse_file(name, opts, FILE_NEEDED, key != NULL, &node->late, error)) {
        return FALSE;
    }
    name_keep_late(&node->late, !preallocate || take_preallocate(opts, &own), &own);
    name_keep_late(&node->late, !throttle || take_throttle_group(node, opts, &own), &own);
    name_keep_late(&node->late, finish_node(opts, driver, FALSE, &own), &own);
    return TRUE;
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
    GError *own = NULL;

    name_take_no_backing(opts);
    if (!name_take_common(name, opts, key != NULL, error) ||
        !name_take_blkdebug(node, opts, error) ||
        !add_named_or_below(name, opts, "x-image", "image", error)) {
        return FALSE;
    }
    name_keep_late(&node->late, name_take_blkdebug_limits(node, opts, &own), &own);
    name_keep_late(&node->late, finish_node(opts, "blkdebug", TRUE, &own), &own);
    return TRUE;
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
    GError *own = NULL;

    node->other = name_new();
    node->other->force_share = name->force_share;
    node->other->cache = name->cache;
    node->other->is_protocol = TRUE;
    name_take_no_backing(opts);
    if (!name_take_common(name, opts, key != NULL, error) ||
        !add_named_or_below(node->other, opts, "x-raw", "raw", error) ||
        !add_tested(name, opts, error)) {
        return FALSE;
    }
    name_keep_late(&node->late, finish_node(opts, "blkverify", TRUE, &own), &own);
    return TRUE;
}

gboolean name_add_node(struct name *name, const char *driver, struct blockopts *opts,
                       const char *key, GError **error)
{
    struct name_request request = {
        .force_share = name->force_share, .cache = name->cache, .is_child = TRUE};
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
    g_autofree char *word = blockopts_take_text(opts, "driver");

    if (word == NULL && !blockopts_is_text(opts, "filename")) {
        return wording_fail(error, "Must specify either driver or file");
    }
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
    if (g_strcmp0(driver, "nbd") == 0) {
        return name_nbd_options(text, opts, error);
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
    const struct driver *protocol = driver == NULL ? driver_of_name(text, error) : NULL;
    gboolean prefixed = path_has_protocol(text);
    struct blockopts *opts;
    gboolean ok;

    if (driver != NULL) {
        /* Of a driver that was asked for only its own prefix is one. */
        prefixed = prefixed && g_str_has_prefix(text, driver) && text[strlen(driver)] == ':';
    } else if (protocol == NULL) {
        return FALSE;
    } else if (prefixed) {
        driver = protocol->name;
    }
    opts = blockopts_new();
    ok = options_of(driver, text, prefixed, opts, error) &&
         name_add_node(name, driver, opts, key, error);
    blockopts_free(opts);
    return ok;
}
