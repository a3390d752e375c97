/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cell's part in opening: blobs in, what they are and what they name out.
 */
#include <errno.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "guest/abi/error_dmg.h"
#include "guest/abi/error_vhdx.h"
#include "guest/abi/error_vmdk.h"
#include "src/graph/derive.h"
#include "src/graph/keys.h"
#include "src/graph/layer.h"
#include "src/io/blkdebug.h"

/*
 * Sent along with OPEN, to spare the cell an upcall. No more than a page: what was read counts as
 * data when the holes of a preallocated file are asked for.
 */
#define OPEN_HEAD_BYTES 4096u

/*
 * What KVM does to make and to end a machine grows with the memory it is given, touched or not. An
 * image that is only read has no plan that needs the window; one that is only described gets by
 * with less of everything.
 */
#define READER_WINDOW_BYTES   (2ull << 20)
#define DESCRIBE_MEMORY_BYTES (64ull << 20)

gboolean dialogue_need_cell(struct graph *graph, const struct image_open_options *options,
                            GError **error)
{
    struct cell_config config;

    if (graph->cell != NULL) {
        return TRUE;
    }
    if (!cell_config_from_environment(&config, error)) {
        return FALSE;
    }
    if (!options->read_write) {
        config.window_bytes = READER_WINDOW_BYTES;
    }
    config.codec = keys_present() && !options->no_io; /* keys are derived faster */
    if (options->no_io && !config.memory_chosen) {
        config.memory_bytes = MIN(config.memory_bytes, DESCRIBE_MEMORY_BYTES);
    }
    graph->cell = cell_new(&config, error);
    return graph->cell != NULL;
}

static int read_blob(void *user, uint64_t offset, void *buf, size_t len)
{
    gboolean before = blkdebug_say_tables(TRUE);
    int err = endpoint_pread(user, offset, buf, len);

    blkdebug_say_tables(before);
    return err;
}

uint32_t dialogue_add_blob(struct graph *graph, struct endpoint *endpoint)
{
    uint32_t blob = cell_add_blob(graph->cell, endpoint_size(endpoint), read_blob, endpoint);

    if (blob >= graph->blobs->len) {
        g_ptr_array_set_size(graph->blobs, (gint)blob + 1);
    }
    g_ptr_array_index(graph->blobs, blob) = endpoint_ref(endpoint);
    return blob;
}

void dialogue_end(struct graph *graph)
{
    g_clear_pointer(&graph->cell, cell_free);
    g_ptr_array_set_size(graph->blobs, 0);
}

/* What the cell thinks worth a warning although the image opens. */
static void warn_about(const Abi__OpenReply *reply)
{
    static gboolean told_type; /* of chunks: stock tells the first of all images */

    for (size_t i = 0; i < MIN(reply->n_warning, WIRE_WARNINGS_MAX); i++) {
        const Abi__Error *warning = reply->warning[i];
        struct wording_detail detail = {
            .number = {warning->n_number > 0 ? warning->number[0] : 0},
        };
        g_autofree char *sentence = wording_cell_sentence(warning->code, &detail, NULL);

        if (warning->code == DMG_WARN_TYPE && told_type) {
            continue;
        }
        told_type = told_type || warning->code == DMG_WARN_TYPE;
        report_warning("%s", sentence);
    }
}

/* Some complaints are a line of their own, and the reason is told by an errno alone. */
static void tell_apart(GError *error, const char *shown)
{
    uint32_t code = wire_error_code(error);

    if (!dmg_err_is_line(code) && !vhdx_err_is_line(code)) {
        return;
    }
    report_error("%s", error->message);
    g_free(error->message);
    error->message = g_strdup_printf("Could not open '%s': %s", shown, g_strerror(EINVAL));
}

/* What of a VHD's footer is the size of the disk. */
static Abi__VpcSize vhd_size_rule(const char *wanted)
{
    if (wanted != NULL) {
        return strcmp(wanted, "chs") == 0 ? ABI__VPC_SIZE__VPC_SIZE_GEOMETRY
                                          : ABI__VPC_SIZE__VPC_SIZE_CURRENT;
    }
    return profile_get()->vhd_geometry ? ABI__VPC_SIZE__VPC_SIZE_KNOWN_CURRENT
                                       : ABI__VPC_SIZE__VPC_SIZE_KNOWN_GEOMETRY;
}

/* The secret of an id, with what the cell must know to say what is wrong with it. */
static Abi__Secret *fill_secret(const char *id, Abi__Secret *out)
{
    const struct secret *secret;
    gsize len;

    if (id == NULL) {
        return NULL;
    }
    abi__secret__init(out);
    out->id = (char *)id;
    secret = keys_find(id);
    if (secret != NULL) {
        out->known = TRUE;
        out->data.data = (uint8_t *)g_bytes_get_data(secret->data, &len);
        out->data.len = len;
        out->text = g_utf8_validate((const char *)out->data.data, (gssize)len, NULL);
    }
    return out;
}

/*
 * OPEN, and again for each key that has to be derived first.
 *
 * in:      request: its secret is that of format luks
 */
static gboolean call_until_unlocked(struct cell *cell, Abi__OpenRequest *request,
                                    ProtobufCMessage **out_reply, GError **error)
{
    struct derived_keys keys = {.nr = 0};
    gboolean ok;

    for (;;) {
        const Abi__OpenReply *reply;

        request->derived = keys.list;
        request->n_derived = keys.nr;
        ok = cell_call(cell, CELL_METHOD_OPEN, &request->base, NULL, 0, 0,
                       &abi__open_reply__descriptor, out_reply, error);
        reply = ok ? (const Abi__OpenReply *)*out_reply : NULL;
        if (!ok || reply->error != NULL || reply->derivation == NULL) {
            break;
        }
        ok = request->secret != NULL && !request->no_io
                 ? derive_key(reply->derivation, &request->secret->data, &keys, error)
                 : wire_refuse(error, "derivation of a key");
        protobuf_c_message_free_unpacked(*out_reply, NULL);
        if (!ok) {
            break;
        }
    }
    derived_keys_clear(&keys);
    return ok;
}

/* One OPEN call. */
static gboolean call_open(const struct layer *layer, uint32_t blob, const char *format,
                          gboolean warn, struct wire_open *out, GError **error)
{
    Abi__BlobInfo info = ABI__BLOB_INFO__INIT;
    Abi__BlobInfo header = ABI__BLOB_INFO__INIT;
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    Abi__Secret secret, encrypt_secret;
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
    if (read_blob(layer->endpoint, 0, head, info.head.len) != 0) {
        info.head.len = 0; /* the cell will ask, and report it */
    }
    request.blob = &info;
    request.format = (char *)(format != NULL ? format : "");
    request.read_write = layer->writable;
    request.for_check = layer->options->for_check;
    request.named_dmg = g_str_has_suffix(endpoint_path(layer->endpoint), ".dmg");
    request.no_io = layer->options->no_io;
    request.look_inside = layer->parent == NULL && !layer->options->read_write &&
                          g_str_has_suffix(endpoint_path(layer->endpoint), ".ova");
    if (layer->keys != NULL) {
        request.encrypt_format =
            (char *)(layer->keys->encrypt_format != NULL ? layer->keys->encrypt_format : "");
        request.secret = fill_secret(layer->keys->key_secret, &secret);
        request.encrypt_secret = fill_secret(layer->keys->encrypt_secret, &encrypt_secret);
    }
    if (layer->header != NULL) {
        header.id = dialogue_add_blob(layer->graph, layer->header);
        header.size = endpoint_size(layer->header);
        request.header = &header;
    }
    request.vpc_size = vhd_size_rule(layer->vhd_size);
    if (!call_until_unlocked(layer->graph->cell, &request, &reply, error)) {
        return FALSE;
    }
    ok = wire_decode_open((const Abi__OpenReply *)reply, shown, out, error);
    if (warn) {
        warn_about((const Abi__OpenReply *)reply);
        if (!ok && error != NULL) {
            tell_apart(*error, shown);
        }
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

gboolean dialogue_open(const struct layer *layer, uint32_t blob, const char *format,
                       struct wire_open *out, GError **error)
{
    return call_open(layer, blob, format, !layer->options->reopened, out, error);
}

gboolean dialogue_open_again(const struct layer *layer, uint32_t blob, const char *format,
                             struct wire_open *out, GError **error)
{
    return call_open(layer, blob, format, FALSE, out, error);
}

gboolean dialogue_link(struct image *parent, struct image *child, const struct wire_ref *ref,
                       GError **error)
{
    /* Whose backing file the user alone names has no reference to one. */
    static const struct wire_ref of_the_user = {.role = ABI__ROLE__ROLE_BACKING};
    Abi__LinkRequest request = ABI__LINK_REQUEST__INIT;
    const Abi__LinkReply *answer;
    const struct image *about; /* whose name belongs in the sentence */
    ProtobufCMessage *reply;
    gboolean ok;

    ref = ref != NULL ? ref : &of_the_user;
    request.node = parent->open.node;
    request.role = ref->role;
    request.child = child->open.node;
    request.index = ref->index;
    if (!cell_call(parent->graph->cell, CELL_METHOD_LINK, &request.base, NULL, 0, 0,
                   &abi__link_reply__descriptor, &reply, error)) {
        return FALSE;
    }
    answer = (const Abi__LinkReply *)reply;
    about = answer->error != NULL && answer->error->code == VMDK_ERR_IDS ? parent : child;
    ok = wire_decode_link(answer, about->filename, &parent->open, error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}
