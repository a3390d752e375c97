/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How nodes are reported: by a plain name where a plain name leads to the same node, otherwise by
 * their options as JSON, less those that do not change what is read.
 */
#include <string.h>

#include "src/graph/names_private.h"
#include "src/graph/paths.h"

/* Options that change what is read; one that ends in a dot stands for all that begin with it. */
static const struct {
    const char *driver, *key;
} shown_options[] = {
    {"raw", "offset"},
    {"raw", "size"},
    {"luks", "key-secret"},
    {"qcow", "encrypt.key-secret"},
    {"qcow2", "encrypt.key-secret"},
    {"vpc", VHD_SIZE_KEY},
    {"nbd", "path"},
    {"nbd", "host"},
    {"nbd", "port"},
    {"nbd", "export"},
    {"nbd", "tls-creds"},
    {"nbd", "tls-hostname"},
    {"nbd", "server."},
    {"null-co", "size"},
    {"null-co", "read-zeroes"},
    {"null-aio", "size"},
    {"null-aio", "read-zeroes"},
    {"throttle", "throttle-group"},
    {"copy-on-read", "bottom"},
    {"blkdebug", "config"},
    {"blkdebug", "inject-error."},
    {"blkdebug", "set-state."},
    {"blkdebug", "align"},
    {"blkdebug", "max-transfer"},
    {"blkdebug", "opt-write-zero"},
    {"blkdebug", "max-write-zero"},
    {"blkdebug", "opt-discard"},
    {"blkdebug", "max-discard"},
};

static gboolean is_shown(const char *key, const char *driver)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shown_options); i++) {
        const char *want = shown_options[i].key;
        gboolean all = g_str_has_suffix(want, ".");

        if ((driver == NULL || strcmp(shown_options[i].driver, driver) == 0) &&
            (all ? g_str_has_prefix(key, want) : strcmp(key, want) == 0)) {
            return TRUE;
        }
    }
    return FALSE;
}

struct blockopts *name_pick_shown(const struct blockopts *opts, const char *driver)
{
    struct blockopts *shown = blockopts_copy(opts);

    for (size_t i = 0; i < blockopts_count(shown);) {
        if (is_shown(blockopts_key(shown, i), driver)) {
            i++;
        } else {
            g_free(blockopts_take(shown, blockopts_key(shown, i)));
        }
    }
    return shown;
}

/* ---- from the bottom to the top ---- */

/* How a node is reported, and what the node above makes of it. */
struct shown {
    char *plain;            /* NULL: no plain name leads here */
    gboolean is_protocol;   /* one that a plain name opens by itself */
    struct blockopts *full; /* the node and all below it */
};

static void shown_clear(struct shown *shown)
{
    g_free(shown->plain);
    g_clear_pointer(&shown->full, blockopts_free);
}

static char *shown_text(const struct shown *shown)
{
    return shown->plain != NULL ? g_strdup(shown->plain) : blockopts_to_json(shown->full);
}

/* The options of a node itself. */
static struct blockopts *own_options(const struct blockopts *shown, const char *driver)
{
    struct blockopts *full = shown != NULL ? blockopts_copy(shown) : blockopts_new();

    if (driver != NULL) {
        blockopts_set(full, "driver", driver);
    }
    return full;
}

static struct shown show_name(struct name *name);
static struct shown show_node(struct name *name, guint level);

static struct shown show_protocol(const struct name *name, const struct name_node *node)
{
    struct shown out = {.is_protocol = TRUE};
    const char *driver = node->driver != NULL ? node->driver : "file";

    out.full = own_options(node->shown, driver);
    if (name->leaf == LEAF_NULL) {
        out.plain = blockopts_count(node->shown) == 0 ? g_strconcat(driver, "://", NULL) : NULL;
    } else if (name->leaf == LEAF_NBD) {
        out.plain = nbd_address_name(name->nbd);
    } else {
        out.plain = path_as_name(name->path);
        blockopts_set(out.full, "filename", name->path);
    }
    return out;
}

static char *pair_name(const char *driver, const char *first, const char *second)
{
    return first != NULL && second != NULL ? g_strconcat(driver, ":", first, ":", second, NULL)
                                           : NULL;
}

static struct shown show_blkdebug(struct name *name, guint level, const struct name_node *node)
{
    struct shown below = show_node(name, level + 1);
    struct shown out = {.is_protocol = TRUE, .full = own_options(node->shown, node->driver)};
    const char *config = blockopts_get(node->shown, "config");
    size_t nr_plain = config != NULL ? 1 : 0;

    if (blockopts_count(node->shown) == nr_plain) {
        out.plain = pair_name(node->driver, config != NULL ? config : "", below.plain);
    }
    blockopts_put(out.full, "image", below.full);
    shown_clear(&below);
    return out;
}

static struct shown show_blkverify(struct name *name, guint level, const struct name_node *node)
{
    struct shown test = show_node(name, level + 1), raw = show_node(node->other, 0);
    struct shown out = {.is_protocol = TRUE, .full = own_options(node->shown, node->driver)};

    out.plain = pair_name(node->driver, raw.plain, test.plain);
    blockopts_put(out.full, "test", test.full);
    blockopts_put(out.full, "raw", raw.full);
    shown_clear(&test);
    shown_clear(&raw);
    return out;
}

/* A format or a filter over the node at `level`. */
static struct shown show_over(struct name *name, guint level, const struct blockopts *options,
                              const char *driver, gboolean filter)
{
    struct shown below = show_node(name, level);
    struct shown out = {.full = own_options(options, driver)};

    if (!filter && below.is_protocol && (options == NULL || blockopts_count(options) == 0)) {
        out.plain = g_strdup(below.plain);
    }
    blockopts_put(out.full, "file", below.full);
    shown_clear(&below);
    return out;
}

/* The file that the header is in, which a plain name does not lead to but does not hide either. */
static void show_header(struct name *header, struct blockopts *full)
{
    struct shown shown = show_node(header, 0);

    g_free(header->display);
    header->display = shown_text(&shown);
    blockopts_put(full, "header", shown.full);
    shown_clear(&shown);
}

/* What else the user named; stock does not say so in the image's own name. */
static void show_beside(struct name *name)
{
    struct shown shown;

    if (name->backing != NULL) {
        shown = show_name(name->backing);
        shown_clear(&shown);
    }
    if (name->data_file != NULL) {
        shown = show_node(name->data_file, 0);
        shown_clear(&shown);
    }
}

/* The image that a name is about. */
static struct shown show_name(struct name *name)
{
    struct shown out = {.full = NULL};

    if (name->nodes->len == 0) {
        out.full = own_options(name->shown, name->driver); /* the image says what is below */
    } else if (name->is_protocol) {
        return show_node(name, 0);
    } else {
        out = show_over(name, 0, name->shown, name->driver, FALSE);
    }
    if (name->header != NULL) {
        show_header(name->header, out.full);
    }
    show_beside(name);
    g_free(name->display);
    name->display = shown_text(&out);
    return out;
}

static struct shown show_node(struct name *name, guint level)
{
    struct name_node *node = g_ptr_array_index(name->nodes, level);
    struct shown out;

    switch (node->kind) {
    case NODE_RAW:
    case NODE_FILTER:
        out = show_over(name, level + 1, node->shown, node->driver, node->kind == NODE_FILTER);
        break;
    case NODE_BLKDEBUG:
        out = show_blkdebug(name, level, node);
        break;
    case NODE_BLKVERIFY:
        out = show_blkverify(name, level, node);
        break;
    case NODE_DISK:
        out = show_name(node->other);
        break;
    default:
        out = show_protocol(name, node);
        break;
    }
    g_free(node->display);
    node->display = shown_text(&out);
    if (name->is_protocol && level == 0) {
        g_free(name->display);
        name->display = g_strdup(node->display);
    }
    return out;
}

void name_display_nodes(struct name *name)
{
    struct shown out = show_name(name);

    shown_clear(&out);
}
