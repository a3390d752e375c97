/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the command line: only `secret` is built, the other types are known by name.
 */
#include "compat/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/json_parse.h"
#include "compat/keyval.h"
#include "compat/wording.h"

/* The key and the blocks of AES-256-CBC, in which a secret may be encrypted. */
#define KEY_BYTES   32
#define IV_BYTES    16
#define BLOCK_BYTES 16

struct secret_set {
    GPtrArray *secrets; /* of struct secret * */
};

/* ---- the set ---- */

static void wipe(GBytes *bytes)
{
    gsize len;
    void *data = (void *)g_bytes_get_data(bytes, &len);

    if (data != NULL) {
        explicit_bzero(data, len);
    }
}

static void secret_free(void *data)
{
    struct secret *secret = data;

    if (secret->data != NULL) {
        wipe(secret->data);
        g_bytes_unref(secret->data);
    }
    g_clear_pointer(&secret->iv, g_bytes_unref);
    g_free(secret->id);
    g_free(secret->keyid);
    g_free(secret);
}

struct secret_set *secret_set_new(void)
{
    struct secret_set *set = g_new0(struct secret_set, 1);

    set->secrets = g_ptr_array_new_with_free_func(secret_free);
    return set;
}

void secret_set_free(struct secret_set *set)
{
    if (set != NULL) {
        g_ptr_array_unref(set->secrets);
        g_free(set);
    }
}

const struct secret *secret_set_find(const struct secret_set *set, const char *id, GError **error)
{
    for (guint i = 0; i < set->secrets->len; i++) {
        const struct secret *secret = g_ptr_array_index(set->secrets, i);

        if (strcmp(secret->id, id) == 0) {
            return secret;
        }
    }
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "No secret with id '%s'", id);
    return NULL;
}

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(COMPAT_ERROR, COMPAT_ERROR_VALUE, format, args));
    va_end(args);
    return FALSE;
}

/* ---- types ---- */

static const char *const known_types[] = {
    "authz-list",
    "authz-list-file",
    "authz-simple",
    "main-loop",
    "pr-manager-helper",
    "secret",
    "secret_keyring",
    "thread-context",
    "throttle-group",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
    NULL,
};

/* Types that QEMU has but qemu-img has not. */
static const char *const foreign_types[] = {
    "can-bus",
    "can-host-socketcan",
    "colo-compare",
    "cryptodev-backend",
    "cryptodev-backend-builtin",
    "cryptodev-vhost-user",
    "dbus-vmstate",
    "filter-buffer",
    "filter-dump",
    "filter-mirror",
    "filter-redirector",
    "filter-replay",
    "filter-rewriter",
    "input-barrier",
    "input-linux",
    "iothread",
    "memory-backend-file",
    "memory-backend-memfd",
    "memory-backend-ram",
    "pef-guest",
    "qtest",
    "rng-builtin",
    "rng-egd",
    "rng-random",
    "s390-pv-guest",
    "sev-guest",
    "x-remote-object",
    NULL,
};

static gboolean check_type(const char *type, GError **error)
{
    if (g_strv_contains(foreign_types, type)) {
        return fail(error, "invalid object type: %s", type);
    }
    if (!g_strv_contains(known_types, type)) {
        return fail(error, "Parameter 'qom-type' does not accept value '%s'", type);
    }
    return TRUE;
}

/* ---- properties: key=value text or a JSON object, as pairs of strings ---- */

/* What is wrong with a property name with a dot in it: no property has parts. */
static gboolean refuse_dotted(const struct keyval *kv, const char *key, GError **error)
{
    g_autofree char *head = g_strndup(key, strcspn(key, "."));

    if (keyval_get(kv, head) != NULL) {
        return fail(error, "Parameters '%s.*' used inconsistently", head);
    }
    return fail(error, "Parameters '%s.*' are unexpected", head);
}

static gboolean check_text_pairs(const struct keyval *kv, GError **error)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);
        const char *no = pair->bare && strcmp(pair->value, "off") == 0 ? "no" : "";

        if (*pair->key == '\0' && *no == '\0') {
            return fail(error, "Invalid parameter ''");
        }
        if (pair->bare) {
            return fail(error, "Expected '=' after parameter '%s%s'", no, pair->key);
        }
    }
    return TRUE;
}

static struct keyval *properties_from_text(const char *text, GError **error)
{
    struct keyval *kv = keyval_parse(text, *text != ',' ? "qom-type" : NULL);

    if (!check_text_pairs(kv, error)) {
        keyval_free(kv);
        return NULL;
    }
    return kv;
}

static struct keyval *properties_from_json(const char *text, GError **error)
{
    struct json_node *object = json_parse(text, error);
    struct keyval *kv;

    if (object == NULL) {
        return NULL;
    }
    kv = keyval_parse("", NULL);
    for (guint i = 0; i < object->keys->len; i++) {
        const struct json_node *item = g_ptr_array_index(object->items, i);

        keyval_add(kv, g_ptr_array_index(object->keys, i),
                   item->kind == JSON_STRING ? item->text : NULL);
    }
    json_node_free(object);
    return kv;
}

/* Finds a property; a JSON value that is no string is refused. */
static gboolean take_string(const struct keyval *kv, const char *key, const char **out,
                            GError **error)
{
    *out = NULL;
    for (guint i = kv->pairs->len; i-- > 0;) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strcmp(pair->key, key) == 0) {
            if (pair->value == NULL) {
                return fail(error, "Invalid parameter type for '%s', expected: string", key);
            }
            *out = pair->value;
            return TRUE;
        }
    }
    return TRUE;
}

static gboolean take_required(const struct keyval *kv, const char *key, const char **out,
                              GError **error)
{
    if (!take_string(kv, key, out, error)) {
        return FALSE;
    }
    return *out != NULL || fail(error, "Parameter '%s' is missing", key);
}

static gboolean refuse_unknown(const struct keyval *kv, const char *const *known, GError **error)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strchr(pair->key, '.') != NULL) {
            return refuse_dotted(kv, pair->key, error);
        }
        if (!g_strv_contains(known, pair->key)) {
            return fail(error, "Parameter '%s' is unexpected", pair->key);
        }
    }
    return TRUE;
}

/* ---- secret ---- */

struct secret_request {
    const char *id, *data, *file, *format, *keyid, *iv;
};

static gboolean read_request(const struct keyval *kv, struct secret_request *out, GError **error)
{
    static const char *const known[] = {"qom-type", "id",    "data", "file",
                                        "format",   "keyid", "iv",   NULL};

    if (!take_required(kv, "id", &out->id, error) || !take_string(kv, "data", &out->data, error) ||
        !take_string(kv, "file", &out->file, error) ||
        !take_string(kv, "format", &out->format, error) ||
        !take_string(kv, "keyid", &out->keyid, error) || !take_string(kv, "iv", &out->iv, error)) {
        return FALSE;
    }
    if (out->format != NULL && strcmp(out->format, "raw") != 0 &&
        strcmp(out->format, "base64") != 0) {
        return fail(error, "Parameter 'format' does not accept value '%s'", out->format);
    }
    return refuse_unknown(kv, known, error);
}

static gboolean check_id(const char *id, GError **error)
{
    gboolean good = g_ascii_isalpha(*id);

    for (const char *at = id; *at != '\0' && good; at++) {
        good = g_ascii_isalnum(*at) || strchr("-._", *at) != NULL;
    }
    return good || fail(error, "Parameter 'id' expects an identifier\n"
                               "Identifiers consist of letters, digits, '-', '.', '_', "
                               "starting with a letter.");
}

static GBytes *load_data(const struct secret_request *request, GError **error)
{
    g_autoptr(GError) reason = NULL;
    char *text = NULL;
    gsize len;

    if (request->data != NULL && request->file != NULL) {
        fail(error, "'file' and 'data' are mutually exclusive");
        return NULL;
    }
    if (request->data != NULL) {
        return g_bytes_new(request->data, strlen(request->data));
    }
    if (request->file == NULL) {
        fail(error, "Either 'file' or 'data' must be provided");
        return NULL;
    }
    if (!g_file_get_contents(request->file, &text, &len, &reason)) {
        fail(error, "Unable to read %s: %s", request->file, reason->message);
        return NULL;
    }
    return g_bytes_new_take(text, len);
}

/* Decodes base64 in place of the encoded bytes, which are wiped. */
static GBytes *decode_base64(GBytes *encoded, GError **error)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n";
    gsize len, decoded_len = 0;
    const char *bytes = g_bytes_get_data(encoded, &len);
    g_autofree char *text = g_strndup(bytes != NULL ? bytes : "", len);
    GBytes *decoded = NULL;

    if (strlen(text) != len) {
        fail(error, "Base64 data is not NUL terminated");
    } else if (strspn(text, alphabet) != len) {
        fail(error, "Base64 data contains invalid characters");
    } else {
        guchar *raw = g_base64_decode(text, &decoded_len);

        decoded = g_bytes_new_take(raw, decoded_len);
    }
    explicit_bzero(text, len);
    wipe(encoded);
    g_bytes_unref(encoded);
    return decoded;
}

static gboolean check_key(struct secret *secret, const struct secret_set *set,
                          const struct secret_request *request, GError **error)
{
    const struct secret *key = secret_set_find(set, request->keyid, error);
    GBytes *iv;

    if (key == NULL) {
        return FALSE;
    }
    if (g_bytes_get_size(key->data) != KEY_BYTES) {
        return fail(error, "Key should be %d bytes in length", KEY_BYTES);
    }
    if (request->iv == NULL) {
        return fail(error, "IV is required to decrypt secret");
    }
    iv = decode_base64(g_bytes_new(request->iv, strlen(request->iv)), error);
    if (iv == NULL) {
        return FALSE;
    }
    if (g_bytes_get_size(iv) != IV_BYTES) {
        fail(error, "IV should be %d bytes in length not %" G_GSIZE_FORMAT, IV_BYTES,
             g_bytes_get_size(iv));
        g_bytes_unref(iv);
        return FALSE;
    }
    secret->iv = iv;
    secret->keyid = g_strdup(request->keyid);
    return TRUE;
}

static gboolean load_secret(struct secret *secret, const struct secret_set *set,
                            const struct secret_request *request, GError **error)
{
    secret->base64 = request->format != NULL && strcmp(request->format, "base64") == 0;
    secret->data = load_data(request, error);
    if (secret->data == NULL) {
        return FALSE;
    }
    if (request->keyid != NULL && !check_key(secret, set, request, error)) {
        return FALSE;
    }
    if (secret->base64) {
        secret->data = decode_base64(secret->data, error);
    }
    if (secret->data == NULL) {
        return FALSE;
    }
    if (secret->keyid != NULL && g_bytes_get_size(secret->data) % BLOCK_BYTES != 0) {
        return fail(error, "Length %" G_GSIZE_FORMAT " must be a multiple of block size %d",
                    g_bytes_get_size(secret->data), BLOCK_BYTES);
    }
    return TRUE;
}

static gboolean add_secret(struct secret_set *set, const struct keyval *kv, GError **error)
{
    struct secret_request request;
    struct secret *secret;

    if (!read_request(kv, &request, error) || !check_id(request.id, error)) {
        return FALSE;
    }
    if (secret_set_find(set, request.id, NULL) != NULL) {
        return fail(error, "attempt to add duplicate property '%s' to object (type 'container')",
                    request.id);
    }
    secret = g_new0(struct secret, 1);
    secret->id = g_strdup(request.id);
    if (!load_secret(secret, set, &request, error)) {
        secret_free(secret);
        return FALSE;
    }
    g_ptr_array_add(set->secrets, secret);
    return TRUE;
}

static gboolean add_object(struct secret_set *set, const struct keyval *kv, GError **error)
{
    const char *type, *id;

    if (!take_required(kv, "qom-type", &type, error) || !check_type(type, error) ||
        !take_required(kv, "id", &id, error)) {
        return FALSE;
    }
    if (g_strcmp0(type, "secret") != 0) {
        return fail(error, "Objects of type '%s' are not built yet in instar", type);
    }
    return add_secret(set, kv, error);
}

gboolean secret_set_add(struct secret_set *set, const char *definition, GError **error)
{
    struct keyval *kv = *definition == '{' ? properties_from_json(definition, error)
                                           : properties_from_text(definition, error);
    gboolean good;

    if (kv == NULL) {
        return FALSE;
    }
    good = add_object(set, kv, error);
    keyval_free(kv);
    return good;
}

/* ---- help ---- */

static gboolean is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "?") == 0;
}

gboolean secret_print_help(const char *definition)
{
    g_auto(GStrv) words = g_strsplit(definition, ",", -1);
    gboolean help = FALSE;

    if (words[0] == NULL || *definition == '{') {
        return FALSE;
    }
    if (is_help(words[0])) {
        printf("List of user creatable objects:\n  secret\n");
        return TRUE;
    }
    for (size_t i = 1; words[i] != NULL; i++) {
        help |= is_help(words[i]);
    }
    if (help && strcmp(words[0], "secret") == 0) {
        printf("secret options:\n"
               "  data=<string>\n"
               "  file=<string>\n"
               "  format=<QCryptoSecretFormat>\n"
               "  iv=<string>\n"
               "  keyid=<string>\n");
    }
    return help && strcmp(words[0], "secret") == 0;
}
