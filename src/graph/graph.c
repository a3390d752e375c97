/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an opened image can be asked. Opening is in open.c, its contents in extents.c.
 */
#include "src/graph/graph.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "src/graph/node_names.h"
#include "src/graph/chain.h"
#include "src/graph/image.h"
#include "src/graph/paths.h"

struct image_file *image_file_new(const char *driver, const char *display,
                                  struct endpoint *endpoint)
{
    struct image_file *file = g_new0(struct image_file, 1);

    file->driver = g_strdup(driver != NULL ? driver : endpoint_protocol(endpoint));
    file->display = g_strdup(display);
    file->key = "file";
    file->endpoint = endpoint_ref(endpoint);
    return file;
}

void image_file_free(gpointer data)
{
    struct image_file *file = data;

    g_free(file->driver);
    g_free(file->display);
    g_clear_pointer(&file->raw, g_ptr_array_unref);
    endpoint_unref(file->endpoint);
    g_free(file);
}

GPtrArray *image_files(const struct image *image)
{
    return image->files;
}

const char *image_file_name(const struct image *image)
{
    const struct image_file *file = image->files->len > 0 ? image->files->pdata[0] : NULL;

    return file != NULL ? file->display : image->filename;
}

gboolean image_is_bytes(const struct image *image)
{
    return image->is_bytes;
}

GPtrArray *image_raw_copy(const struct image *image)
{
    return image->raw_copy;
}

struct image *image_view(struct image *image)
{
    while (image->view != NULL) {
        image = image->view;
    }
    return image;
}

struct image *image_with_snapshots(struct image *image)
{
    while (image->files->len > 0 && image->raw_copy == NULL &&
           (image->is_bytes || strcmp(image->format, "raw") == 0)) {
        const struct image_file *last = g_ptr_array_index(image->files, image->files->len - 1);

        if (last->disk == NULL) {
            break;
        }
        image = last->disk;
    }
    return image;
}

gboolean image_wants_compression(const struct image *image)
{
    return image->compresses;
}

const struct image_file *image_extent(const struct image *image, unsigned i)
{
    return i < image->extents->len ? g_ptr_array_index(image->extents, i) : NULL;
}

const struct image_file *image_header(const struct image *image)
{
    return image->header;
}

char *image_shown_name(const char *name)
{
    return wording_escape_span((const uint8_t *)name, strlen(name));
}

static void free_layer(gpointer data)
{
    struct image *image = data;

    g_ptr_array_unref(image->files);
    g_clear_pointer(&image->raw_copy, g_ptr_array_unref);
    g_ptr_array_unref(image->extents);
    if (image->header != NULL) {
        image_file_free(image->header);
    }
    endpoint_unref(image->endpoint);
    wire_open_clear(&image->open);
    g_free(image->filename);
    g_free(image->key_secret);
    g_free(image->encrypt_secret);
    g_free(image->format);
    g_free(image);
}

static void unref_blob(gpointer data)
{
    endpoint_unref(data);
}

static struct graph *graph_new(GError **error)
{
    struct graph *graph;
    enum policy policy;

    if (!policy_from_environment(&policy, error)) {
        return NULL;
    }
    graph = g_new0(struct graph, 1);
    graph->policy = policy;
    graph->blobs = g_ptr_array_new_with_free_func(unref_blob);
    graph->images = g_ptr_array_new_with_free_func(free_layer);
    return graph;
}

/* The cell goes first: it reads the endpoints. */
static void graph_free(struct graph *graph)
{
    cell_free(graph->cell);
    g_ptr_array_unref(graph->images);
    g_ptr_array_unref(graph->blobs);
    g_clear_pointer(&graph->node_names, g_ptr_array_unref);
    g_free(graph);
}

struct image *image_open_tree(struct name *name, const struct image_open_options *options,
                              GError **error)
{
    struct graph *graph = graph_new(error);
    struct image *image;

    if (graph == NULL) {
        return NULL;
    }
    image = image_open_name(graph, name, options, error);
    if (image == NULL) {
        graph_free(graph);
    }
    return image;
}

struct image *image_open(const struct image_open_options *options, GError **error)
{
    struct name_request request = {
        .text = options->filename,
        .image_opts = options->image_opts,
        .format = options->format,
        .force_share = options->force_share,
        .cache = options->cache,
    };
    g_autoptr(GPtrArray) node_names = node_names_begin();
    g_autoptr(Name) name = name_parse(&request, error);
    struct image *image;

    node_names_end();
    if (name == NULL) {
        return NULL;
    }
    if (options->key_secret != NULL && name->key_secret == NULL) {
        name->key_secret = g_strdup(options->key_secret);
    }
    if (options->encrypt_secret != NULL && name->encrypt_secret == NULL) {
        name->encrypt_secret = g_strdup(options->encrypt_secret);
    }
    image = image_open_tree(name, options, error);
    if (image != NULL) {
        image->graph->node_names = g_steal_pointer(&node_names);
    }
    return image;
}

struct image *image_open_backing(struct image *image, const struct image_open_options *options,
                                 GError **error)
{
    struct graph *graph = graph_new(error);
    struct image *backing;

    if (graph == NULL) {
        return NULL;
    }
    backing = image_open_named_by(graph, image, options, error);
    if (backing == NULL) {
        graph_free(graph);
    }
    return backing;
}

struct image *image_open_endpoint(struct endpoint *endpoint, const char *display,
                                  const char *format, const struct image_open_options *options,
                                  GError **error)
{
    struct graph *graph = graph_new(error);
    struct image *image;

    if (graph == NULL) {
        return NULL;
    }
    image = image_open_file(graph, endpoint, display, format, options, error);
    if (image == NULL) {
        graph_free(graph);
    }
    return image;
}

void image_free(struct image *image)
{
    if (image != NULL) {
        g_assert(image->depth == 0);
        graph_free(image->graph);
    }
}

const char *image_filename(const struct image *image)
{
    return image->filename;
}

const char *image_format(const struct image *image)
{
    return image->format;
}

gboolean image_was_probed(const struct image *image)
{
    return image->probed;
}

uint64_t image_virtual_size(const struct image *image)
{
    return image->virtual_size;
}

void image_set_virtual_size(struct image *image, uint64_t bytes)
{
    image->virtual_size = bytes;
}

uint64_t image_cluster_size(const struct image *image)
{
    return image->open.cluster_size;
}

struct cell *image_cell(struct image *image)
{
    return image->graph->cell;
}

uint32_t image_own_blob(const struct image *image)
{
    return image->blob;
}

uint32_t image_node(const struct image *image)
{
    return image->open.node;
}

struct endpoint *image_endpoint(struct image *image)
{
    return image->endpoint;
}

struct endpoint *image_blob(struct image *image, uint32_t blob)
{
    GPtrArray *blobs = image->graph->blobs;

    return blob < blobs->len ? g_ptr_array_index(blobs, blob) : NULL;
}

struct image *image_backing(struct image *image)
{
    return image->backing;
}

const struct wire_ref *image_ref(const struct image *image, Abi__Role role)
{
    for (size_t i = 0; i < image->open.nr_refs; i++) {
        if (image->open.refs[i].role == role) {
            return &image->open.refs[i];
        }
    }
    return NULL;
}

const char *image_backing_name(const struct image *image)
{
    const struct wire_ref *ref = image_ref(image, ABI__ROLE__ROLE_BACKING);

    return ref != NULL ? ref->text : NULL;
}

const char *image_backing_format(const struct image *image)
{
    const struct wire_ref *ref = image_ref(image, ABI__ROLE__ROLE_BACKING);

    return ref != NULL ? ref->format : NULL;
}

char *image_backing_path(const struct image *image)
{
    const struct wire_ref *ref = image_ref(image, ABI__ROLE__ROLE_BACKING);

    if (ref == NULL) {
        return NULL;
    }
    if (ref->json || path_has_protocol(ref->text)) {
        return g_strdup(ref->text);
    }
    return path_combine(endpoint_path(image->endpoint), ref->text);
}

gboolean image_has_snapshots(const struct image *image)
{
    return image->open.has_snapshots;
}

const struct crypto_spec *image_cipher(const struct image *image)
{
    return image->open.cipher;
}

gboolean image_cipher_by_place(const struct image *image)
{
    return image->open.cipher_by_place;
}

uint64_t image_payload_bytes(const struct image *image)
{
    return image->open.payload_bytes;
}

gboolean image_is_encrypted(const struct image *image)
{
    return image->open.encrypted;
}

int image_report_damage(const GError *error)
{
    int saved_errno = endpoint_errno(error);

    if (saved_errno != 0) {
        return saved_errno;
    }
    if (error->domain == CELL_ERROR) {
        report_gerror(error);
        return EIO;
    }
    if (g_str_has_prefix(error->message, "qcow2: ")) {
        report_line("%s", error->message);
    }
    return wire_error_errno(error);
}
