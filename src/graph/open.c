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
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/wording.h"
#include "src/graph/image.h"
#include "src/graph/paths.h"
#include "src/io/locks.h"

#define SECTOR      512u
#define PROBE_BYTES 2048u

/*
 * Sent along with OPEN, to spare the cell an upcall. No more than a page: what was read counts as
 * data when the holes of a preallocated file are asked for.
 */
#define OPEN_HEAD_BYTES 4096u

/* One layer while it is being opened. */
struct layer {
    struct graph *graph;
    const struct image_open_options *options;
    struct image *parent; /* NULL: the user named it */
    const char *display;
    const char *format; /* NULL: probe */
    struct endpoint *endpoint;
    gboolean writable;
    gboolean no_lock;
};

static struct image *open_layer(const struct layer *layer, const struct name *name, GError **error);

/* ---- the cell ---- */

static gboolean need_cell(struct graph *graph, GError **error)
{
    struct cell_config config;

    if (graph->cell != NULL) {
        return TRUE;
    }
    if (!cell_config_from_environment(&config, error)) {
        return FALSE;
    }
    graph->cell = cell_new(&config, error);
    return graph->cell != NULL;
}

static int read_blob(void *user, uint64_t offset, void *buf, size_t len)
{
    return endpoint_pread(user, offset, buf, len);
}

static uint32_t add_blob(struct graph *graph, struct endpoint *endpoint)
{
    uint32_t blob = cell_add_blob(graph->cell, endpoint_size(endpoint), read_blob, endpoint);

    if (blob >= graph->blobs->len) {
        g_ptr_array_set_size(graph->blobs, (gint)blob + 1);
    }
    g_ptr_array_index(graph->blobs, blob) = endpoint_ref(endpoint);
    return blob;
}

static void drop_cell(struct graph *graph)
{
    g_clear_pointer(&graph->cell, cell_free);
    g_ptr_array_set_size(graph->blobs, 0);
}

/* What the cell thinks worth a warning although the image opens. */
static void warn_about(const Abi__OpenReply *reply)
{
    for (size_t i = 0; i < MIN(reply->n_warning, WIRE_WARNINGS_MAX); i++) {
        g_autofree char *sentence = wording_cell_sentence(reply->warning[i]->code, NULL, NULL);

        report_warning("%s", sentence);
    }
}

/* One OPEN call. */
static gboolean ask(const struct layer *layer, uint32_t blob, const char *format,
                    struct wire_open *out, GError **error)
{
    Abi__BlobInfo info = ABI__BLOB_INFO__INIT;
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    g_autofree char *shown = endpoint_shown_path(layer->endpoint);
    ProtobufCMessage *reply;
    uint64_t allocated = 0;
    uint8_t head[OPEN_HEAD_BYTES];
    gboolean ok;

    (void)endpoint_allocated(layer->endpoint, &allocated);
    info.id = blob;
    info.size = endpoint_size(layer->endpoint);
    info.allocated = allocated;
    info.read_only = !layer->writable;
    info.head.data = head;
    info.head.len = MIN(info.size, sizeof(head));
    if (endpoint_pread(layer->endpoint, 0, head, info.head.len) != 0) {
        info.head.len = 0; /* the cell will ask, and report it */
    }
    request.blob = &info;
    request.format = (char *)(format != NULL ? format : "");
    request.read_write = layer->writable;
    request.for_check = layer->options->for_check;
    request.named_dmg = g_str_has_suffix(endpoint_path(layer->endpoint), ".dmg");
    request.no_io = layer->options->no_io;
    if (!cell_call(layer->graph->cell, CELL_METHOD_OPEN, &request.base, NULL, 0, 0,
                   &abi__open_reply__descriptor, &reply, error)) {
        return FALSE;
    }
    ok = wire_decode_open((const Abi__OpenReply *)reply, shown, out, error);
    warn_about((const Abi__OpenReply *)reply);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

static gboolean link_child(struct image *parent, struct image *child, const struct wire_ref *ref,
                           GError **error)
{
    Abi__LinkRequest request = ABI__LINK_REQUEST__INIT;
    ProtobufCMessage *reply;
    gboolean ok;

    request.node = parent->open.node;
    request.role = ref->role;
    request.child = child->open.node;
    request.index = ref->index;
    if (!cell_call(parent->graph->cell, CELL_METHOD_LINK, &request.base, NULL, 0, 0,
                   &abi__status_reply__descriptor, &reply, error)) {
        return FALSE;
    }
    ok = wire_check_error(((const Abi__StatusReply *)reply)->error, parent->filename, error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

/* ---- locks ---- */

/* As observed of qemu-img 7.2 (strace), for each command and place in the graph. */
static gboolean take_locks(const struct layer *layer, const char *format, gboolean data_file,
                           GError **error)
{
    const struct image_open_options *options = layer->options;
    gboolean raw = strcmp(format, "raw") == 0;
    unsigned used = options->no_io ? 0 : PERMISSION_CONSISTENT_READ;
    unsigned unshared = 0;
    uint64_t ignored = 0;

    if (options->force_share || layer->no_lock) {
        return TRUE;
    }
    if (layer->writable) {
        used |= PERMISSION_WRITE | PERMISSION_RESIZE;
    }
    if (!raw || options->exclusive_source) {
        unshared = PERMISSION_WRITE | PERMISSION_RESIZE;
    }
    if (data_file) {
        unshared =
            options->exclusive_source ? PERMISSION_WRITE | PERMISSION_RESIZE : PERMISSION_RESIZE;
    }
    if (used == 0 && unshared == 0) {
        return TRUE;
    }
    return locks_take(endpoint_unslice(layer->endpoint, &ignored), used, unshared, error);
}

/* What tells a file that was written to from one that was not. */
struct file_state {
    struct timespec modified, changed;
    off_t size;
};

static struct file_state file_state(struct endpoint *endpoint)
{
    uint64_t ignored = 0;
    int fd = endpoint_fd(endpoint_unslice(endpoint, &ignored));
    struct file_state state = {0};
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        state.modified = st.st_mtim;
        state.changed = st.st_ctim;
        state.size = st.st_size;
    }
    return state;
}

static gboolean same_state(const struct file_state *a, const struct file_state *b)
{
    return a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->size == b->size;
}

/* ---- one layer ---- */

/* Lets the cell look at the file, under QEMU's locks. */
static gboolean interpret(const struct layer *layer, struct image *image, GError **error)
{
    struct file_state before;
    struct file_state after;

    if (!need_cell(layer->graph, error)) {
        return FALSE;
    }
    image->blob = add_blob(layer->graph, layer->endpoint);
    if (layer->format != NULL) {
        return take_locks(layer, layer->format, FALSE, error) &&
               ask(layer, image->blob, layer->format, &image->open, error);
    }
    before = file_state(layer->endpoint);
    if (!ask(layer, image->blob, NULL, &image->open, error) ||
        !take_locks(layer, image->open.format, FALSE, error)) {
        return FALSE;
    }
    after = file_state(layer->endpoint);
    if (same_state(&before, &after)) {
        return TRUE;
    }
    wire_open_clear(&image->open);
    image->blob = add_blob(layer->graph, layer->endpoint);
    return ask(layer, image->blob, NULL, &image->open, error);
}

static struct image *new_image(const struct layer *layer)
{
    struct image *image = g_new0(struct image, 1);

    image->graph = layer->graph;
    image->filename = g_strdup(layer->display);
    image->endpoint = endpoint_ref(layer->endpoint);
    image->probed = layer->format == NULL;
    image->files = g_ptr_array_new_with_free_func(image_file_free);
    g_ptr_array_add(image->files, image_file_new(NULL, layer->display, layer->endpoint));
    image->blob = CELL_NO_BLOB;
    image->depth = layer->parent != NULL ? layer->parent->depth + 1 : 0;
    g_ptr_array_add(layer->graph->images, image);
    return image;
}

static uint64_t raw_size(struct endpoint *endpoint)
{
    uint64_t size = endpoint_size(endpoint);

    return size > INT64_MAX - SECTOR ? size : (size + SECTOR - 1) / SECTOR * SECTOR;
}

/* A raw image at the top needs no cell: there is nothing in it to interpret. */
static void settle_raw(struct image *image)
{
    image->virtual_size = raw_size(image->endpoint);
    wire_open_clear(&image->open);
    image->blob = CELL_NO_BLOB;
    drop_cell(image->graph);
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

static int open_directory(const char *path)
{
    int fd;

    do {
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens what an image names, in the way that policy gave. */
static struct endpoint *open_way(const struct policy_way *way, const struct wire_ref *ref,
                                 unsigned flags, const struct cache_mode *cache, GError **error)
{
    GError *cause = NULL;
    struct endpoint *endpoint;
    int dir_fd = AT_FDCWD;

    flags |= ENDPOINT_FROM_IMAGE;
    if (way->directory != NULL) {
        dir_fd = open_directory(way->directory);
        if (dir_fd < 0) {
            wording_set_open_errno(error, way->display, errno);
            return NULL;
        }
    }
    endpoint = endpoint_open_named(dir_fd, way->path, way->display, way->directory != NULL, flags,
                                   cache, &cause);
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    if (endpoint == NULL && way->directory != NULL && endpoint_errno(cause) == EXDEV) {
        g_clear_error(&cause);
        policy_refuse_escape(ref, error);
    } else if (endpoint == NULL) {
        g_propagate_error(error, cause);
    }
    return endpoint;
}

/* Puts a slice over an endpoint, with raw's complaints. Takes over and gives back a reference. */
static struct endpoint *apply_slice(struct endpoint *endpoint, const struct slice *slice,
                                    GError **error)
{
    uint64_t available = raw_size(endpoint);
    uint64_t offset = slice->have_offset ? slice->offset_bytes : 0;
    uint64_t size;
    struct endpoint *window;

    if (offset > available) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Offset (%" G_GUINT64_FORMAT ") cannot be greater than size of the "
                    "containing file (%" G_GUINT64_FORMAT ")",
                    offset, available);
        endpoint_unref(endpoint);
        return NULL;
    }
    size = slice->have_size ? slice->size_bytes : available - offset;
    if (slice->have_size && size > available - offset) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "The sum of offset (%" G_GUINT64_FORMAT ") and size (%" G_GUINT64_FORMAT
                    ") has to be smaller or equal to the  actual size of the containing file "
                    "(%" G_GUINT64_FORMAT ")",
                    offset, size, available);
        endpoint_unref(endpoint);
        return NULL;
    }
    if (slice->have_size && size % SECTOR != 0) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Specified size is not multiple of 512");
        endpoint_unref(endpoint);
        return NULL;
    }
    window = endpoint_new_slice(endpoint, offset, size);
    endpoint_unref(endpoint);
    return window;
}

static struct endpoint *open_protocol(const struct name *name, unsigned flags, GError **error)
{
    if (name->leaf == LEAF_NULL) {
        return endpoint_new_null(name->null_bytes);
    }
    return endpoint_open(AT_FDCWD, name->path, FALSE, flags | name->endpoint_flags, &name->cache,
                         error);
}

static gboolean has_slice(const struct slice *slice)
{
    return slice->have_offset || slice->have_size;
}

/*
 * Opens what the user named: the file, and the raw windows over it.
 *
 * out:     *files, if not NULL: each node on the way, outermost first
 */
static struct endpoint *open_leaf(const struct name *name, unsigned flags, GPtrArray *files,
                                  GError **error)
{
    struct endpoint *endpoint = open_protocol(name, flags, error);

    for (guint i = name->nodes->len; i-- > 0 && endpoint != NULL;) {
        const struct name_node *node = g_ptr_array_index(name->nodes, i);

        if (has_slice(&node->slice)) {
            endpoint = apply_slice(endpoint, &node->slice, error);
        }
        if (files != NULL && endpoint != NULL) {
            g_ptr_array_insert(files, 0, image_file_new(node->driver, node->display, endpoint));
        }
    }
    if (endpoint != NULL && has_slice(&name->slice)) {
        endpoint = apply_slice(endpoint, &name->slice, error);
    }
    return endpoint;
}

/* Opens what an image names, if policy lets it, with the slice that a json: name may ask for. */
static struct endpoint *open_reference(struct image *parent, const struct wire_ref *ref,
                                       unsigned flags, const struct image_open_options *options,
                                       char **out_display, GError **error)
{
    struct policy_way way;
    struct endpoint *endpoint;

    if (!policy_decide(parent->graph->policy, ref, endpoint_path(parent->endpoint), &way, error)) {
        return NULL;
    }
    endpoint = open_way(&way, ref, flags, &options->cache, error);
    if (endpoint != NULL && ref->has_slice) {
        struct slice slice = {
            .have_offset = TRUE,
            .have_size = ref->slice_size != 0,
            .offset_bytes = ref->slice_offset,
            .size_bytes = ref->slice_size,
        };

        endpoint = apply_slice(endpoint, &slice, error);
    }
    *out_display = g_steal_pointer(&way.display);
    policy_way_clear(&way);
    return endpoint;
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
    struct image *child;

    below.read_write = FALSE;
    below.for_check = FALSE;
    if (parent->depth + 1 >= GRAPH_DEPTH_MAX) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                    "The backing chain is longer than %u images", GRAPH_DEPTH_MAX);
        return FALSE;
    }
    if (user_file) {
        endpoint = open_leaf(user, 0, NULL, error);
        display = g_strdup(user->path);
    } else {
        endpoint = open_reference(parent, ref, 0, options, &display, error);
    }
    if (endpoint == NULL || !refuse_loop(parent, endpoint, display, error)) {
        return FALSE;
    }
    layer.display = display;
    layer.endpoint = endpoint;
    layer.format = user != NULL && user->driver != NULL ? user->driver
                   : user_file                          ? NULL
                                                        : ref->format;
    layer.no_lock = user != NULL && user->no_lock;
    child = open_layer(&layer, user, error);
    if (child == NULL) {
        return FALSE;
    }
    parent->backing = child;
    return ref == NULL || link_child(parent, child, ref, error);
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
        endpoint = open_leaf(user, flags, NULL, error);
        display = g_strdup(user->path);
        layer.no_lock = user->no_lock;
    } else {
        endpoint = open_reference(parent, ref, flags, options, &display, error);
    }
    if (endpoint == NULL) {
        return FALSE;
    }
    if (endpoint_same_file(endpoint, parent->endpoint)) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                            "The image names itself as its data file");
        return FALSE;
    }
    layer.display = display;
    layer.endpoint = endpoint;
    if (!take_locks(&layer, "raw", TRUE, error)) {
        return FALSE;
    }
    child.blob = add_blob(parent->graph, endpoint);
    ok = ask(&layer, child.blob, ref->format != NULL ? ref->format : "raw", &child.open, error) &&
         link_child(parent, &child, ref, error);
    wire_open_clear(&child.open);
    return ok;
}

static gboolean open_child(struct image *parent, const struct wire_ref *ref,
                           const struct name *name, const struct image_open_options *options,
                           GError **error)
{
    if (ref->role != ABI__ROLE__ROLE_BACKING) {
        return options->no_io || open_plain_child(parent, ref, name, options, error);
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

static gboolean open_children(struct image *image, const struct name *name,
                              const struct image_open_options *options, GError **error)
{
    if (name != NULL && name->backing_key != NULL && (options->no_io || options->no_backing)) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Block format '%s' does not support the option '%s'", image->format,
                    name->backing_key);
        return FALSE;
    }
    if (name != NULL && name->backing_node != NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Could not open backing file: Cannot find device='%s' nor node-name='%s'",
                    name->backing_node, name->backing_node);
        return FALSE;
    }
    if (name != NULL && name->data_file != NULL && !options->no_io &&
        image_ref(image, ABI__ROLE__ROLE_DATA_FILE) == NULL) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "'data-file' can only be set for images with an external data file");
        return FALSE;
    }
    for (size_t i = 0; i < image->open.nr_refs; i++) {
        if (!open_child(image, &image->open.refs[i], name, options, error)) {
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
    return endpoint_pread(layer->endpoint, 0, head, sizeof(head)) == 0 &&
           memcmp(head, zeros, sizeof(head)) == 0;
}

static struct image *open_layer(const struct layer *layer, const struct name *name, GError **error)
{
    struct image *image = new_image(layer);

    if (layer->parent == NULL && is_plainly_raw(layer)) {
        image->format = g_strdup("raw");
        if (!take_locks(layer, "raw", FALSE, error)) {
            return NULL;
        }
        settle_raw(image);
    } else {
        if (!interpret(layer, image, error)) {
            return NULL;
        }
        image->format = g_strdup(image->open.format);
        image->virtual_size = image->open.virtual_size;
        if (strcmp(image->format, "raw") == 0) {
            image->virtual_size = raw_size(image->endpoint);
        }
    }
    if (name != NULL && !name_finish(name, image->format, error)) {
        return NULL;
    }
    if (!open_children(image, name, layer->options, error)) {
        return NULL;
    }
    if (layer->parent == NULL && image->blob != CELL_NO_BLOB && strcmp(image->format, "raw") == 0) {
        settle_raw(image);
    }
    return image;
}

struct image *image_open_name(struct graph *graph, const struct name *name,
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
    endpoint = open_leaf(name, own.read_write ? ENDPOINT_WRITE : 0, files, error);
    if (endpoint == NULL) {
        return NULL;
    }
    layer.endpoint = endpoint;
    layer.writable = own.read_write;
    layer.no_lock = name->no_lock;
    layer.format = name->is_protocol ? "raw" : name->driver;
    image = open_layer(&layer, name, error);
    if (image == NULL) {
        return NULL;
    }
    if (name->is_protocol) {
        g_free(image->format);
        image->format = g_strdup(name->driver);
        g_ptr_array_set_size(files, 0);
    }
    g_ptr_array_unref(image->files);
    image->files = g_steal_pointer(&files);
    image->unknown_content = name->leaf == LEAF_NULL && !name->null_zeroes;
    if (own.read_write && image->probed && strcmp(image->format, "raw") == 0) {
        wording_warn_probed_raw(name->display);
    }
    return image;
}

struct image *image_open_named_by(struct graph *graph, struct image *parent,
                                  const struct image_open_options *options, GError **error)
{
    const struct wire_ref *ref = image_ref(parent, ABI__ROLE__ROLE_BACKING);
    struct layer layer = {.graph = graph, .options = options};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autofree char *display = NULL;

    if (ref == NULL) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE, "There is no backing file");
        return NULL;
    }
    endpoint = open_reference(parent, ref, 0, options, &display, error);
    if (endpoint == NULL) {
        return NULL;
    }
    layer.display = display;
    layer.endpoint = endpoint;
    layer.format = ref->format;
    return open_layer(&layer, NULL, error);
}
