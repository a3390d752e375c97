/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path where the path says it all, otherwise the options as JSON, less those that do not change
 * what is read.
 */
#include "src/graph/names_display.h"

#include <string.h>

void name_drop_tuning(struct blockopts *opts)
{
    static const char *const keys[] = {
        "lazy-refcounts",
        "pass-discard-request",
        "pass-discard-snapshot",
        "pass-discard-other",
        "discard-no-unref",
        "overlap-check",
        "overlap-check.template",
        "overlap-check.main-header",
        "overlap-check.active-l1",
        "overlap-check.active-l2",
        "overlap-check.refcount-table",
        "overlap-check.refcount-block",
        "overlap-check.snapshot-table",
        "overlap-check.inactive-l1",
        "overlap-check.inactive-l2",
        "overlap-check.bitmap-directory",
        "cache-size",
        "l2-cache-size",
        "l2-cache-entry-size",
        "refcount-cache-size",
        "cache-clean-interval",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_free(blockopts_take(opts, keys[i]));
    }
}

/* Options that do not change what is read are not shown, at whatever level they stand. */
static gboolean is_hidden(const char *key)
{
    static const char *const runtime[] = {
        "node-name",      "discard",     "detect-zeroes", "read-only",
        "auto-read-only", "force-share", "cache.direct",  "cache.no-flush",
        "locking",        "aio",         "backing",
    };

    while (g_str_has_prefix(key, "file.")) {
        key += strlen("file.");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(runtime); i++) {
        if (strcmp(key, runtime[i]) == 0) {
            return TRUE;
        }
    }
    return g_str_has_prefix(key, "backing.");
}

static void drop_hidden(struct blockopts *opts)
{
    for (size_t i = 0; i < blockopts_count(opts);) {
        if (is_hidden(blockopts_key(opts, i))) {
            g_free(blockopts_take(opts, blockopts_key(opts, i)));
        } else {
            i++;
        }
    }
    name_drop_tuning(opts);
}

/* The driver of the file at the bottom is shown even where it was left out. */
static void name_leaf_driver(const struct name *name, struct blockopts *opts)
{
    g_autofree char *driver = NULL;
    const char *filename = NULL;

    for (size_t i = 0; i < blockopts_count(opts); i++) {
        if (g_str_has_suffix(blockopts_key(opts, i), "filename")) {
            filename = blockopts_key(opts, i);
        }
    }
    if (filename == NULL || name->leaf != LEAF_FILE) {
        return;
    }
    driver = g_strdup_printf("%.*sdriver", (int)(strlen(filename) - strlen("filename")), filename);
    if (blockopts_get(opts, driver) == NULL) {
        blockopts_set(opts, driver, "file");
    }
}

static gboolean has_slice(const struct slice *slice)
{
    return slice->have_offset || slice->have_size;
}

static gboolean is_plain_null(const struct blockopts *opts)
{
    return blockopts_get(opts, "size") == NULL && blockopts_get(opts, "file.size") == NULL &&
           blockopts_get(opts, "read-zeroes") == NULL &&
           blockopts_get(opts, "file.read-zeroes") == NULL;
}

/*
 * The name of the node at `level` (0 is the whole): a plain path when the path says it all,
 * otherwise the options as JSON.
 *
 * in:      opts: of that node and those below it; they are changed
 */
static char *display_node(const struct name *name, guint level, struct blockopts *opts)
{
    guint nr = name->nodes->len;
    const struct name_node *leaf = g_ptr_array_index(name->nodes, nr - 1);
    gboolean plain = level > 0 || (!has_slice(&name->slice) && (nr == 1 || name->is_protocol));

    plain = plain && (level > 0 || (name->vhd_size == NULL && name->key_secret == NULL &&
                                    name->encrypt_secret == NULL && name->encrypt_format == NULL));
    for (guint i = level > 0 ? level - 1 : 0; i + 1 < nr; i++) {
        plain = plain && !has_slice(&((struct name_node *)name->nodes->pdata[i])->slice);
    }
    /* A format (level 0) right above the protocol, a raw node above it, or the protocol itself. */
    if (plain && level + 1 >= nr && name->leaf == LEAF_FILE) {
        return g_strdup(name->path);
    }
    if (plain && level + 1 >= nr && is_plain_null(opts)) {
        return g_strconcat(leaf->driver, "://", NULL);
    }
    drop_hidden(opts);
    name_leaf_driver(name, opts);
    return blockopts_to_json(opts);
}

void name_display_nodes(struct name *name, struct blockopts *opts)
{
    for (guint level = 0; level <= name->nodes->len; level++) {
        struct blockopts *copy = blockopts_copy(opts);
        char *display = display_node(name, level, copy);
        struct blockopts *child = blockopts_take_prefix(opts, "file");

        blockopts_free(copy);
        if (level == 0) {
            name->display = display;
        } else {
            ((struct name_node *)name->nodes->pdata[level - 1])->display = display;
        }
        blockopts_free(opts);
        opts = child;
    }
    blockopts_free(opts);
}
