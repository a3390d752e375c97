/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open dialogue: the host opens a file, the cell says what it is and what it names, policy
 * decides, and so on down the chain.
 *
 * A file stays open from the first look to the last use; nothing is opened by name twice. Locks are
 * QEMU's: which permissions depends on the format (a raw image shares everything), so where the
 * format is probed the lock comes after the first look, and the look is repeated if the file
 * changed in between.
 */
#include <errno.h>
#include <string.h>

#include "compat/driver.h"
#include "compat/wording.h"
#include "src/graph/layer.h"

#define PROBE_BYTES 2048u

/* A raw image that somebody keeps writing to is always changing, and that is fine. */
#define LOOKS_MAX 3u

static struct image *open_layer(const struct layer *layer, const struct name *name, GError **error);

/* ---- one layer ---- */

/* Lets the cell look at the file, under QEMU's locks. */
static gboolean look(const struct layer *layer, struct image *image, GError **error)
{
    struct file_state before;
    struct file_state after;

    if (!dialogue_need_cell(layer->graph, layer->options, error)) {
        return FALSE;
    }
    image->blob = dialogue_add_blob(layer->graph, layer->endpoint);
    if (layer->format != NULL) {
        return layer_take_locks(layer, layer->format, FALSE, error) &&
               dialogue_open(layer, image->blob, layer->format, &image->open, error);
    }
    for (unsigned attempt = 1;; attempt++) {
        before = file_state(layer->endpoint);
        if (!dialogue_open(layer, image->blob, NULL, &image->open, error) ||
            !layer_take_locks(layer, image->open.format, FALSE, error)) {
            return FALSE;
        }
        after = file_state(layer->endpoint);
        if (same_state(&before, &after) || attempt == LOOKS_MAX) {
            return TRUE;
        }
        wire_open_clear(&image->open);
        image->blob = dialogue_add_blob(layer->graph, layer->endpoint);
    }
}

static gboolean interpret(const struct layer *layer, struct image *image, GError **error)
{
    return look(layer, image, error) && (!layer->writable || layer_mend(layer, image, error));
}

static struct image *new_image(const struct layer *layer)
{
    struct image *image = g_new0(struct image, 1);

    image->graph = layer->graph;
    image->filename = g_strdup(layer->display);
    image->endpoint = endpoint_ref(layer->endpoint);
    image->probed = layer->format == NULL;
    image->key_secret = g_strdup(layer->keys != NULL ? layer->keys->key_secret : NULL);
    image->encrypt_secret = g_strdup(layer->keys != NULL ? layer->keys->encrypt_secret : NULL);
    image->files = g_ptr_array_new_with_free_func(image_file_free);
    g_ptr_array_add(image->files, image_file_new(NULL, layer->display, layer->endpoint));
    image->extents = g_ptr_array_new_with_free_func(image_file_free);
    image->blob = CELL_NO_BLOB;
    image->depth = layer->parent != NULL ? layer->parent->depth + 1 : 0;
    g_ptr_array_add(layer->graph->images, image);
    return image;
}

/* Opens the file that a luks image's header is in, when the user named one. */
static gboolean open_header(struct layer *layer, const struct name *name, struct image_file **out,
                            GError **error)
{
    struct layer file = *layer;
    g_autoptr(Endpoint) endpoint = NULL;

    *out = NULL;
    if (name == NULL || name->header == NULL) {
        return TRUE;
    }
    endpoint =
        leaf_open(name->header, layer->writable ? ENDPOINT_WRITE : 0, layer->options, NULL, error);
    if (endpoint == NULL) {
        return FALSE;
    }
    file.endpoint = endpoint;
    file.no_lock = name->header->no_lock;
    if (!layer_take_locks(&file, "luks", FALSE, error)) {
        return FALSE;
    }
    *out = image_file_new(NULL, name->header->display, endpoint);
    layer->header = (*out)->endpoint;
    return TRUE;
}

/* A raw image at the top needs no cell: there is nothing in it to interpret. */
static void settle_raw(struct image *image)
{
    image->virtual_size = leaf_size(image->endpoint);
    wire_open_clear(&image->open);
    image->blob = CELL_NO_BLOB;
    dialogue_end(image->graph);
}

/* ---- children ---- */

static gboolean refuse_loop(const struct image *parent, const struct endpoint *endpoint,
                            const char *display, GError **error)
{
    for (guint i = 0; i < parent->graph->images->len; i++) {
        const struct image *other = g_ptr_array_index(parent->graph->images, i);

        if (endpoint_same_file(other->endpoint, endpoint)) {
            g_autofree char *shown = image_shown_name(display);

            g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                        "Backing file '%s' creates an infinite loop.", shown);
            return FALSE;
        }
    }
    return TRUE;
}

/* The name in the image stands unless the options name a plain file. */
static gboolean check_named_twice(const struct name *user, GError **error)
{
    if (user->plain_below) {
        return TRUE;
    }
    if (user->leaf == LEAF_NULL && user->is_protocol) {
        return wording_fail(error, "The only allowed filename for this driver is '%s://'",
                            user->driver);
    }
    return wording_fail(error, "Can't specify 'file' and 'filename' options at the same time");
}

/* What a json: name in an image says about keys, as a name of the user's would. */
static struct name keys_of(const struct wire_ref *ref)
{
    return (struct name){.key_secret = ref->key_secret,
                         .encrypt_secret = ref->encrypt_secret,
                         .encrypt_format = ref->encrypt_format};
}

/* A child that a name with keys led to is reported with them: the plain name opens it no more. */
static void show_keys(struct image *child, const struct wire_ref *ref)
{
    gboolean luks = strcmp(child->format, "luks") == 0;
    const char *secret = luks ? ref->key_secret : ref->encrypt_secret;
    struct blockopts *full;

    if (secret == NULL) {
        return;
    }
    full = blockopts_new();
    blockopts_set(full, luks ? "key-secret" : "encrypt.key-secret", secret);
    blockopts_set(full, "driver", child->format);
    blockopts_set(full, "file.driver", "file");
    blockopts_set(full, "file.filename", child->filename);
    g_free(child->filename);
    child->filename = blockopts_to_json(full);
    blockopts_free(full);
}

static gboolean open_backing(struct image *parent, const struct wire_ref *ref,
                             const struct name *name, const struct image_open_options *options,
                             GError **error)
{
    const struct name *user = name != NULL ? name->backing : NULL;
    gboolean user_file = user != NULL && user->leaf != LEAF_NONE;
    g_autoptr(Endpoint) endpoint = NULL;
    g_autofree char *display = NULL;
    struct image_open_options below = *options;
    struct layer layer = {.graph = parent->graph, .options = &below, .parent = parent};
    struct name named_keys = {.driver = NULL};
    struct image *child;

    below.read_write = FALSE;
    below.for_check = FALSE;
    if (parent->depth + 1 >= GRAPH_DEPTH_MAX) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                    "The backing chain is longer than %u images", GRAPH_DEPTH_MAX);
        return FALSE;
    }
    if (user_file && ref != NULL && !check_named_twice(user, error)) {
        return FALSE;
    }
    if (user_file) {
        endpoint = leaf_open(user, 0, &below, NULL, error);
        display = g_strdup(user->display);
    } else if (ref == NULL) {
        return wording_fail(error, user->driver == NULL
                                       ? "Must specify either driver or file"
                                       : "A block device must be specified for \"file\"");
    } else {
        endpoint = leaf_open_reference(parent, ref, 0, options, &display, error);
    }
    if (endpoint == NULL || !refuse_loop(parent, endpoint, display, error)) {
        return FALSE;
    }
    if (user != NULL && user->late != NULL) {
        g_propagate_error(error, g_error_copy(user->late));
        return FALSE;
    }
    layer.display = display;
    layer.endpoint = endpoint;
    layer.format = user != NULL && user->is_protocol      ? "raw"
                   : user != NULL && user->driver != NULL ? user->driver
                   : user_file                            ? NULL
                                                          : ref->format;
    layer.no_lock = user != NULL && user->no_lock;
    layer.vhd_size = user != NULL ? user->vhd_size : NULL;
    if (user == NULL && ref != NULL) {
        named_keys = keys_of(ref);
    }
    layer.keys = user != NULL ? user : &named_keys;
    child = open_layer(&layer, user, error);
    if (child == NULL) {
        return FALSE;
    }
    parent->backing = child;
    if (user == NULL && ref != NULL) {
        show_keys(child, ref);
    }
    return dialogue_link(parent, child, ref, error);
}

/* Data files and extents are raw nodes of the same cell; they have no name of their own. */
static gboolean open_plain_child(struct image *parent, const struct wire_ref *ref,
                                 const struct name *name, const struct image_open_options *options,
                                 GError **error)
{
    const struct name *user = name != NULL ? name->data_file : NULL;
    gboolean writable = options->read_write && endpoint_writable(parent->endpoint);
    unsigned flags = writable ? ENDPOINT_WRITE : 0;
    g_autoptr(Endpoint) endpoint = NULL;
    g_autofree char *display = NULL;
    struct layer layer = {.graph = parent->graph, .options = options, .writable = writable};
    struct image child = {.graph = parent->graph};
    gboolean ok;

    if (user != NULL && ref->role == ABI__ROLE__ROLE_DATA_FILE) {
        endpoint = leaf_open(user, flags, options, NULL, error);
        display = g_strdup(user->display);
        layer.no_lock = user->no_lock;
    } else if (ref->role == ABI__ROLE__ROLE_DATA_FILE && *ref->text == '\0') {
        return wording_fail(error, "'data-file' is required for this image");
    } else {
        endpoint = leaf_open_reference(parent, ref, flags, options, &display, error);
    }
    if (endpoint == NULL) {
        return FALSE;
    }
    if (ref->role == ABI__ROLE__ROLE_DATA_FILE && endpoint_same_file(endpoint, parent->endpoint)) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                            "The image names itself as its data file");
        return FALSE;
    }
    layer.display = display;
    layer.endpoint = endpoint;
    if (!layer_take_locks(&layer, "raw", TRUE, error)) {
        return FALSE;
    }
    child.blob = dialogue_add_blob(parent->graph, endpoint);
    child.filename = display;
    ok = dialogue_open(&layer, child.blob, ref->format != NULL ? ref->format : "raw", &child.open,
                       error) &&
         dialogue_link(parent, &child, ref, error);
    wire_open_clear(&child.open);
    if (ok && ref->role == ABI__ROLE__ROLE_EXTENT) {
        g_ptr_array_add(parent->extents, image_file_new(NULL, display, endpoint));
    }
    return ok;
}

static gboolean open_child(struct image *parent, const struct wire_ref *ref,
                           const struct name *name, const struct image_open_options *options,
                           GError **error)
{
    if (ref->role != ABI__ROLE__ROLE_BACKING) {
        gboolean skip = options->no_io && ref->role == ABI__ROLE__ROLE_DATA_FILE;

        return skip || open_plain_child(parent, ref, name, options, error);
    }
    if (options->no_io || options->no_backing || (name != NULL && name->no_backing)) {
        return TRUE;
    }
    if (!open_backing(parent, ref, name, options, error)) {
        wording_prefix_backing(error);
        return FALSE;
    }
    return TRUE;
}

/* What the user says about files beside the image's own. */
static gboolean check_beside(const struct image *image, const struct name *name,
                             const struct image_open_options *options, GError **error)
{
    gboolean no_backing = options->no_io || options->no_backing;
    gboolean wants_data = image_ref(image, ABI__ROLE__ROLE_DATA_FILE) != NULL;

    if (strcmp(image->format, "qcow2") == 0 && name->late_data_file != NULL) {
        g_propagate_error(error, g_error_copy(name->late_data_file));
        return FALSE;
    }
    if (strcmp(image->format, "qcow2") == 0 && name->data_file != NULL && !options->no_io &&
        !wants_data) {
        return wording_fail(error,
                            "'data-file' can only be set for images with an external data file");
    }
    if (name->backing_key == NULL) {
        return TRUE;
    }
    if (no_backing) {
        return wording_fail(error, "Block format '%s' does not support the option '%s'",
                            image->format, name->backing_key);
    }
    if (!driver_find(image->format)->can_back) {
        return wording_fail(error, "Driver doesn't support backing files");
    }
    if (name->backing_node != NULL) {
        name_fail_reference(error, name->backing_node);
    } else if (name->late_backing != NULL) {
        g_propagate_error(error, g_error_copy(name->late_backing));
    } else {
        return TRUE;
    }
    wording_prefix_backing(error);
    return FALSE;
}

static gboolean open_children(struct image *image, const struct name *name,
                              const struct image_open_options *options, GError **error)
{
    if (name != NULL && !check_beside(image, name, options, error)) {
        return FALSE;
    }
    for (size_t i = 0; i < image->open.nr_refs; i++) {
        if (!open_child(image, &image->open.refs[i], name, options, error)) {
            return FALSE;
        }
    }
    if (name != NULL && name->backing != NULL && image->backing == NULL) {
        /* The user names a backing file, the image does not. */
        if (!open_backing(image, NULL, name, options, error)) {
            wording_prefix_backing(error);
            return FALSE;
        }
    }
    return TRUE;
}

/*
 * Whether there is nothing to interpret: the user says raw, or the part that probing looks at is
 * all zeros, so that no format can claim it.
 */
static gboolean is_plainly_raw(const struct layer *layer)
{
    static const uint8_t zeros[PROBE_BYTES];
    uint8_t head[PROBE_BYTES];

    if (layer->format != NULL) {
        return strcmp(layer->format, "raw") == 0;
    }
    if (g_str_has_suffix(endpoint_path(layer->endpoint), ".dmg")) {
        return FALSE; /* the one format that goes by the name */
    }
    return endpoint_pread(layer->endpoint, 0, head, sizeof(head)) == 0 &&
           memcmp(head, zeros, sizeof(head)) == 0;
}

/* The file is an archive: what is meant is the disk in it. */
static gboolean look_inside(const struct layer *layer, struct image *image, GError **error)
{
    uint64_t offset = image->open.inside_offset, size = image->open.inside_size;
    g_autoptr(Endpoint) inside = NULL;
    struct layer part = *layer;

    if (size == 0) {
        return TRUE;
    }
    if (offset > endpoint_size(layer->endpoint) || size > endpoint_size(layer->endpoint) - offset) {
        return wire_refuse(error, "place of a disk");
    }
    inside = endpoint_new_slice(layer->endpoint, offset, size);
    wire_open_clear(&image->open);
    endpoint_unref(image->endpoint);
    image->endpoint = endpoint_ref(inside);
    part.endpoint = inside;
    part.format = "vmdk";
    return interpret(&part, image, error);
}

static struct image *open_layer(const struct layer *asked, const struct name *name, GError **error)
{
    struct image *image = new_image(asked);
    struct layer own = *asked, *layer = &own;

    if (!open_header(layer, name, &image->header, error)) {
        return NULL;
    }
    if (layer->parent == NULL && is_plainly_raw(layer)) {
        image->format = g_strdup("raw");
        if (!layer_take_locks(layer, "raw", FALSE, error)) {
            return NULL;
        }
        settle_raw(image);
    } else {
        if (!interpret(layer, image, error) || !look_inside(layer, image, error)) {
            return NULL;
        }
        image->format = g_strdup(image->open.format);
        image->virtual_size = image->open.virtual_size;
        if (strcmp(image->format, "raw") == 0) {
            image->virtual_size = leaf_size(image->endpoint);
        }
    }
    if (name != NULL && name->encrypt_other != NULL && image->open.encrypted) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Parameter '%s' is unexpected",
                    name->encrypt_other);
        return NULL;
    }
    if (name != NULL && !name_take_own(name, image->format, error)) {
        return NULL;
    }
    if (!open_children(image, name, layer->options, error) ||
        (name != NULL && !name_finish(name, image->format, error))) {
        return NULL;
    }
    if (image->extents->len > 0) {
        image->virtual_size = image->open.virtual_size; /* known since the last one */
    }
    if (layer->parent == NULL && image->blob != CELL_NO_BLOB && strcmp(image->format, "raw") == 0) {
        settle_raw(image);
    }
    return image;
}

/* A name in JSON says which format was found. */
static void show_probed(struct image *image, struct name *name)
{
    name->driver = g_strdup(image->format);
    name_display_nodes(name);
    g_free(image->filename);
    image->filename = g_strdup(name->display);
}

/* Nodes over another image's disk that change nothing let the disk be used as that image has it. */
static void find_view(struct image *image, const struct name *name, GPtrArray *files)
{
    const struct image_file *below = g_ptr_array_index(files, files->len - 1);

    if (image->blob != CELL_NO_BLOB || below->disk == NULL || image->endpoint != below->endpoint) {
        return;
    }
    image->view = below->disk;
    for (guint i = 0; i < name->nodes->len; i++) {
        const struct name_node *node = g_ptr_array_index(name->nodes, i);

        image->compresses |= node->kind == NODE_FILTER && strcmp(node->driver, "compress") == 0;
    }
}

struct image *image_open_name(struct graph *graph, struct name *name,
                              const struct image_open_options *options, GError **error)
{
    struct image_open_options own = *options;
    struct layer layer = {.graph = graph, .options = &own, .display = name->display};
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(image_file_free);
    g_autoptr(Endpoint) endpoint = NULL;
    struct image *image;

    own.force_share = name->force_share;
    own.cache = name->cache;
    if (name->force_share && own.read_write) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "force-share=on can only be used with read-only images");
        return NULL;
    }
    if (own.read_write && name->read_only) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Block node is read-only");
        return NULL;
    }
    endpoint = leaf_open(name, own.read_write ? ENDPOINT_WRITE : 0, &own, files, error);
    if (endpoint == NULL) {
        return NULL;
    }
    if (own.native_aio && !name->cache.direct) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "aio=native was specified, but it requires cache.direct=on, which was "
                            "not specified.");
        return NULL;
    }
    layer.endpoint = endpoint;
    layer.writable = own.read_write;
    layer.no_lock = name->no_lock;
    layer.vhd_size = name->vhd_size;
    layer.keys = name;
    layer.format = name->is_protocol ? "raw" : name->driver;
    image = open_layer(&layer, name, error);
    if (image == NULL) {
        return NULL;
    }
    if (name->is_protocol) {
        g_free(image->format);
        image->format = g_strdup(name->driver);
    }
    find_view(image, name, files);
    if (image->probed) {
        show_probed(image, name);
    }
    if (name->is_protocol) {
        struct image_file *top = g_ptr_array_index(files, 0);

        image->is_bytes = TRUE;
        image->raw_copy = g_steal_pointer(&top->raw);
        g_ptr_array_remove_index(files, 0);
    }
    g_ptr_array_unref(image->files);
    image->files = g_steal_pointer(&files);
    image->unknown_content = name->leaf == LEAF_NULL && !name->null_zeroes;
    if (own.read_write && image->probed && strcmp(image->format, "raw") == 0) {
        wording_warn_probed_raw(name->display);
    }
    return !own.read_write || own.may_resize || image_check_size_kept(image, error) ? image : NULL;
}

struct image *image_open_named_by(struct graph *graph, struct image *parent,
                                  const struct image_open_options *options, GError **error)
{
    const struct wire_ref *ref = image_ref(parent, ABI__ROLE__ROLE_BACKING);
    struct layer layer = {.graph = graph, .options = options};
    struct name named_keys;
    g_autoptr(Endpoint) endpoint = NULL;
    g_autofree char *display = NULL;
    struct image *image;

    if (ref == NULL) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE, "There is no backing file");
        return NULL;
    }
    endpoint = leaf_open_reference(parent, ref, 0, options, &display, error);
    if (endpoint == NULL) {
        return NULL;
    }
    named_keys = keys_of(ref);
    layer.keys = &named_keys;
    layer.display = display;
    layer.endpoint = endpoint;
    layer.format = ref->format;
    image = open_layer(&layer, NULL, error);
    if (image != NULL) {
        show_keys(image, ref);
    }
    return image;
}

struct image *image_open_file(struct graph *graph, struct endpoint *endpoint, const char *display,
                              const char *format, const struct image_open_options *options,
                              GError **error)
{
    struct name keys = {.key_secret = (char *)options->key_secret,
                        .encrypt_secret = (char *)options->encrypt_secret};
    struct layer layer = {
        .graph = graph,
        .options = options,
        .display = display,
        .format = format,
        .keys = &keys,
        .endpoint = endpoint,
        .writable = options->read_write,
    };

    return open_layer(&layer, NULL, error);
}
