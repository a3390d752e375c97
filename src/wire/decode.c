/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors, opened images and extents. INFO is in decode_info.c.
 */
#include "src/wire/decode.h"

#include <errno.h>
#include <string.h>

#include "compat/wording.h"
#include "guest/abi/error.h"
#include "src/sandbox/sandbox.h"

/* A GError's code for enum guest_err, clear of enum compat_error; above it the errno, if any. */
#define ERROR_CODE_BASE   0x10000
#define ERROR_CODE_MASK   0xffff
#define ERROR_ERRNO_SHIFT 20
#define ERRNO_MAX         1023

gboolean wire_refuse(GError **out, const char *what)
{
    g_set_error(out, CELL_ERROR, CELL_ERROR_PROTOCOL,
                "The sandboxed parser gave an invalid answer (%s)", what);
    return FALSE;
}

gboolean wire_check_error(const Abi__Error *error, const char *name, GError **out)
{
    struct wording_detail detail = {0};
    g_autofree char *sentence = NULL;

    if (error == NULL) {
        return TRUE;
    }
    if (error->code == GUEST_OK || error->code > GUEST_ERR_LAST) {
        return wire_refuse(out, "error code");
    }
    if (error->n_number > G_N_ELEMENTS(detail.number)) {
        return wire_refuse(out, "numbers of an error");
    }
    if (error->text.len > GUEST_ERR_TEXT_MAX) {
        return wire_refuse(out, "text of an error");
    }
    for (size_t i = 0; i < error->n_number; i++) {
        detail.number[i] = error->number[i];
    }
    detail.span = error->text.data;
    detail.span_len = error->text.len;
    sentence = wording_cell_sentence(error->code, &detail, name);
    g_set_error_literal(out, COMPAT_ERROR, ERROR_CODE_BASE | (int)error->code, sentence);
    if (out != NULL && error->code == GUEST_ERR_IO && detail.number[0] <= ERRNO_MAX) {
        (*out)->code |= (int)detail.number[0] << ERROR_ERRNO_SHIFT;
    }
    return FALSE;
}

uint32_t wire_error_code(const GError *error)
{
    if (error == NULL || error->domain != COMPAT_ERROR || error->code < ERROR_CODE_BASE) {
        return 0;
    }
    return (uint32_t)error->code & ERROR_CODE_MASK;
}

int wire_error_errno(const GError *error)
{
    uint32_t code = wire_error_code(error);
    int saved_errno = code != 0 ? error->code >> ERROR_ERRNO_SHIFT : 0;

    if (saved_errno != 0) {
        return saved_errno;
    }
    switch (code) {
    case GUEST_ERR_NO_MEMORY:
        return ENOMEM;
    case GUEST_ERR_NOT_SUPPORTED:
    case GUEST_ERR_FORMAT_NOT_BUILT:
        return ENOTSUP;
    case GUEST_ERR_INVALID:
    case GUEST_ERR_BAD_REQUEST:
        return EINVAL;
    case GUEST_ERR_FILE_TOO_LARGE:
        return EFBIG;
    default:
        return EIO;
    }
}

gboolean wire_is_word(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > WIRE_FORMAT_MAX) {
        return FALSE;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!g_ascii_islower(c) && !g_ascii_isdigit(c) && c != '-' && c != '_' && c != '+') {
            return FALSE;
        }
    }
    return TRUE;
}

char *wire_text(const ProtobufCBinaryData *bytes, size_t max)
{
    if (bytes->len > max) {
        return NULL;
    }
    return g_strndup(bytes->len > 0 ? (const char *)bytes->data : "", bytes->len);
}

static void ref_clear(struct wire_ref *ref)
{
    g_free(ref->text);
    g_free(ref->format);
    g_free(ref->protocol);
    g_free(ref->key_secret);
    g_free(ref->encrypt_secret);
    g_free(ref->encrypt_format);
    g_free(ref->path);
}

void wire_open_clear(struct wire_open *open)
{
    for (size_t i = 0; i < open->nr_refs; i++) {
        ref_clear(&open->refs[i]);
    }
    g_free(open->refs);
    g_free(open->format);
    if (open->cipher != NULL) {
        crypto_wipe(open->cipher, sizeof(*open->cipher));
    }
    g_free(open->cipher);
    memset(open, 0, sizeof(*open));
}

/* A path the host may hand to the kernel: no NUL inside, not empty, not endless. */
static gboolean decode_path(const ProtobufCBinaryData *bytes, char **out)
{
    if (bytes->len == 0) {
        return TRUE;
    }
    if (bytes->len > WIRE_NAME_MAX || memchr(bytes->data, '\0', bytes->len) != NULL) {
        return FALSE;
    }
    *out = g_strndup((const char *)bytes->data, bytes->len);
    return TRUE;
}

/* How the image says that another is unlocked: which of the user's secrets it means. */
static gboolean decode_keys(const Abi__FileRef *ref, struct wire_ref *out)
{
    const struct {
        const char *key;
        char **to;
    } wanted[] = {{"key-secret", &out->key_secret},
                  {"encrypt.key-secret", &out->encrypt_secret},
                  {"encrypt.format", &out->encrypt_format}};

    if (ref->n_option > WIRE_OPTIONS_MAX) {
        return FALSE;
    }
    for (size_t i = 0; i < ref->n_option; i++) {
        const Abi__Option *option = ref->option[i];

        for (size_t k = 0; k < G_N_ELEMENTS(wanted); k++) {
            if (strcmp(option->key, wanted[k].key) != 0 || option->value.len > WIRE_NAME_MAX) {
                continue;
            }
            g_free(*wanted[k].to);
            *wanted[k].to = wording_escape_span(option->value.data, option->value.len);
        }
    }
    return TRUE;
}

static gboolean decode_ref(const Abi__FileRef *ref, struct wire_ref *out, GError **error)
{
    if (ref->role != ABI__ROLE__ROLE_BACKING && ref->role != ABI__ROLE__ROLE_DATA_FILE &&
        ref->role != ABI__ROLE__ROLE_EXTENT) {
        return wire_refuse(error, "role of a reference");
    }
    out->role = ref->role;
    out->text = wire_text(&ref->text, WIRE_NAME_MAX);
    if (out->text == NULL) {
        return wire_refuse(error, "length of a reference");
    }
    if (ref->format[0] != '\0') {
        /* What the image asks for is shown when it is unknown, so its alphabet is not checked. */
        if (strlen(ref->format) > WIRE_NAME_MAX) {
            return wire_refuse(error, "format of a reference");
        }
        out->format = wording_escape_span((const uint8_t *)ref->format, strlen(ref->format));
    }
    if (ref->protocol[0] != '\0') {
        if (strlen(ref->protocol) > WIRE_NAME_MAX) {
            return wire_refuse(error, "protocol of a reference");
        }
        out->protocol = wording_escape_span((const uint8_t *)ref->protocol, strlen(ref->protocol));
    }
    if (!decode_path(&ref->path, &out->path)) {
        return wire_refuse(error, "path of a reference");
    }
    if (!decode_keys(ref, out)) {
        return wire_refuse(error, "options of a reference");
    }
    if (ref->has_slice &&
        (ref->slice_offset > INT64_MAX || ref->slice_size > INT64_MAX - ref->slice_offset)) {
        return wire_refuse(error, "slice of a reference");
    }
    out->json = ref->json != 0;
    out->has_slice = ref->has_slice != 0;
    out->slice_offset = ref->slice_offset;
    out->slice_size = ref->slice_size;
    out->index = ref->index;
    return TRUE;
}

static gboolean decode_refs(const Abi__OpenReply *reply, struct wire_open *out, GError **error)
{
    unsigned backing = 0;
    unsigned data_files = 0;

    if (reply->n_ref > WIRE_REFS_MAX) {
        return wire_refuse(error, "number of references");
    }
    out->refs = g_new0(struct wire_ref, reply->n_ref);
    for (size_t i = 0; i < reply->n_ref; i++) {
        out->nr_refs = i + 1;
        if (!decode_ref(reply->ref[i], &out->refs[i], error)) {
            return FALSE;
        }
        backing += out->refs[i].role == ABI__ROLE__ROLE_BACKING;
        data_files += out->refs[i].role == ABI__ROLE__ROLE_DATA_FILE;
    }
    if (backing > 1 || data_files > 1) {
        return wire_refuse(error, "number of backing or data files");
    }
    return TRUE;
}

/* A cipher that goes together, whatever the key. */
static gboolean decode_cipher(const Abi__Cipher *cipher, struct wire_open *out, GError **error)
{
    struct crypto_spec spec = {
        .cipher = (enum crypto_cipher)cipher->cipher,
        .mode = (enum crypto_mode)cipher->mode,
        .ivgen = (enum crypto_ivgen)cipher->ivgen,
        .ivgen_hash = (enum crypto_hash)cipher->ivgen_hash,
        .sector_bytes = cipher->sector_bytes,
        .key_len = (uint32_t)MIN(cipher->key.len, sizeof(spec.key)),
    };

    if (cipher->key.len > sizeof(spec.key) || crypto_judge(&spec) != CRYPTO_FINE ||
        cipher->payload > INT64_MAX || cipher->payload % CRYPTO_IV_SECTOR != 0 ||
        cipher->iv_base > INT64_MAX || cipher->iv_base % spec.sector_bytes != 0) {
        return wire_refuse(error, "cipher");
    }
    memcpy(spec.key, cipher->key.data, spec.key_len);
    out->cipher = g_memdup2(&spec, sizeof(spec));
    out->cipher_by_place = cipher->by_place != 0;
    out->payload_bytes = cipher->payload;
    out->iv_base = cipher->iv_base;
    crypto_wipe(&spec, sizeof(spec));
    return TRUE;
}

gboolean wire_decode_open(const Abi__OpenReply *reply, const char *name, struct wire_open *out,
                          GError **error)
{
    struct wire_open open = {0};

    if (!wire_check_error(reply->error, name, error)) {
        return FALSE;
    }
    if (!wire_is_word(reply->format)) {
        return wire_refuse(error, "format");
    }
    if (reply->virtual_size > INT64_MAX) {
        return wire_refuse(error, "virtual size");
    }
    if (reply->cluster_size > WIRE_CLUSTER_MAX) {
        return wire_refuse(error, "cluster size");
    }
    if (reply->inside_offset > INT64_MAX || reply->inside_size > INT64_MAX) {
        return wire_refuse(error, "place of a disk");
    }
    if (!decode_refs(reply, &open, error) ||
        (reply->cipher != NULL && !decode_cipher(reply->cipher, &open, error))) {
        wire_open_clear(&open);
        return FALSE;
    }
    open.node = reply->node;
    open.format = g_strdup(reply->format);
    open.virtual_size = reply->virtual_size;
    open.cluster_size = reply->cluster_size;
    open.encrypted = reply->encrypted != 0;
    open.dirty = reply->dirty != 0;
    open.untidy = reply->untidy != 0;
    open.has_snapshots = reply->has_snapshots != 0;
    open.inside_offset = reply->inside_offset;
    open.inside_size = reply->inside_size;
    *out = open;
    return TRUE;
}

gboolean wire_decode_link(const Abi__LinkReply *reply, const char *name, struct wire_open *open,
                          GError **error)
{
    if (!wire_check_error(reply->error, name, error)) {
        return FALSE;
    }
    if (reply->virtual_size > INT64_MAX || reply->cluster_size > WIRE_CLUSTER_MAX) {
        return wire_refuse(error, "sizes");
    }
    open->virtual_size = reply->virtual_size;
    open->cluster_size = reply->cluster_size;
    return TRUE;
}

gboolean wire_decode_map(const Abi__MapReply *reply, const char *name, uint64_t start,
                         uint64_t length, uint32_t *out_nr, uint64_t *out_next, GError **out_failed,
                         GError **error)
{
    GError *failed = NULL;

    if (reply->nr_records > CELL_EXTENTS_MAX) {
        return wire_refuse(error, "number of extents");
    }
    if (reply->next < start || reply->next - start > length) {
        return wire_refuse(error, "end of the extents");
    }
    if ((reply->nr_records == 0) != (reply->next == start)) {
        return wire_refuse(error, "extents that cover nothing");
    }
    if (!wire_check_error(reply->error, name, &failed) && failed->domain == CELL_ERROR) {
        g_propagate_error(error, failed);
        return FALSE;
    }
    if (failed == NULL && reply->next == start) {
        return wire_refuse(error, "no extents");
    }
    *out_nr = reply->nr_records;
    *out_next = reply->next;
    *out_failed = failed;
    return TRUE;
}

/* Units are clusters or grains; the largest of any format we read is far below this. */
#define UNIT_MAX (256u << 20)

static const char *find_fault(const struct cell_extent *e, unsigned nr_layers,
                              gboolean (*has_blob)(void *user, uint32_t blob), void *user)
{
    gboolean has_offset = (e->flags & CELL_EXTENT_HAS_OFFSET) != 0;

    if (e->kind > CELL_EXTENT_ENCRYPTED) {
        return "kind of an extent";
    }
    if ((e->flags & ~(CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_RECURSE | CELL_EXTENT_REJECTED |
                      CELL_EXTENT_OPAQUE | CELL_EXTENT_BROKEN)) != 0) {
        return "flags of an extent";
    }
    if (e->depth >= nr_layers) {
        return "depth of an extent";
    }
    if (e->kind == CELL_EXTENT_DATA || e->kind == CELL_EXTENT_COMPRESSED ||
        e->kind == CELL_EXTENT_ENCRYPTED || has_offset) {
        if (!has_blob(user, e->blob)) {
            return "blob of an extent";
        }
        if (e->offset > INT64_MAX || e->length > INT64_MAX - e->offset) {
            return "offset of an extent";
        }
    }
    if (e->kind == CELL_EXTENT_DATA && !has_offset) {
        return "data without an offset";
    }
    if (e->kind == CELL_EXTENT_COMPRESSED) {
        if (e->codec == CELL_CODEC_NONE || e->codec > CELL_CODEC_ZLIB_CHUNK) {
            return "codec of an extent";
        }
        /* No bytes at all is what a unit past the end of the file has; it does not decode. */
        if (e->comp_len > UNIT_MAX || e->unit_len > UNIT_MAX) {
            return "length of a compressed unit";
        }
        if (e->skip > e->unit_len || e->length > e->unit_len - e->skip) {
            return "place in a compressed unit";
        }
    }
    return NULL;
}

gboolean wire_check_extents(const struct cell_extent *records, uint32_t nr, uint64_t start,
                            uint64_t next, unsigned nr_layers,
                            gboolean (*has_blob)(void *user, uint32_t blob), void *user,
                            GError **error)
{
    for (uint32_t i = 0; i < nr; i++) {
        const char *fault = find_fault(&records[i], nr_layers, has_blob, user);

        if (fault == NULL && (records[i].start != start || records[i].length == 0 ||
                              records[i].length > next - start)) {
            fault = "order of extents";
        }
        if (fault != NULL) {
            return wire_refuse(error, fault);
        }
        start += records[i].length;
    }
    return start == next || wire_refuse(error, "extents that end early");
}
