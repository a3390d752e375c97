/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--object`: reading a definition in any of its forms (TYPE,key=value, qom-type=TYPE, JSON).
 *
 * `secret` and `throttle-group` are built; the other types are known by name. All forms become
 * pairs of strings first, in which a NULL stands for a JSON value that is neither a string nor a
 * number, and a number is bare.
 */
#include <stdio.h>
#include <string.h>

#include "compat/json_parse.h"
#include "compat/keyval.h"
#include "compat/secret_private.h"
#include "compat/wording.h"

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
        return wording_fail(error, "invalid object type: %s", type);
    }
    if (!g_strv_contains(known_types, type)) {
        return wording_fail(error, "Parameter 'qom-type' does not accept value '%s'", type);
    }
    return TRUE;
}

/* ---- properties: key=value text or a JSON object, as pairs of strings ---- */

/* What is wrong with a property name with a dot in it: no property has parts. */
static gboolean refuse_dotted(const struct keyval *kv, const char *key, GError **error)
{
    g_autofree char *head = g_strndup(key, strcspn(key, "."));

    if (keyval_get(kv, head) != NULL) {
        return wording_fail(error, "Parameters '%s.*' used inconsistently", head);
    }
    return wording_fail(error, "Parameters '%s.*' are unexpected", head);
}

/* Whether each part of a dotted name is one, or a number. */
static gboolean is_property_name(const char *key)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    gboolean good = parts[0] != NULL;

    for (size_t i = 0; parts[i] != NULL; i++) {
        size_t word = strspn(parts[i], G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_");

        good = good && *parts[i] != '\0' && parts[i][word] == '\0' &&
               (g_ascii_isalpha(*parts[i]) || *parts[i] == '_' ||
                (i > 0 && parts[i][strspn(parts[i], G_CSET_DIGITS)] == '\0'));
    }
    return good;
}

static gboolean check_text_pairs(const struct keyval *kv, GError **error)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);
        const char *no = pair->bare && strcmp(pair->value, "off") == 0 ? "no" : "";

        if (!is_property_name(pair->key) && (*pair->key != '\0' || *no == '\0')) {
            return wording_fail(error, "Invalid parameter '%s%s'", no, pair->key);
        }
        if (pair->bare) {
            return wording_fail(error, "Expected '=' after parameter '%s%s'", no, pair->key);
        }
    }
    return TRUE;
}

static struct keyval *properties_from_text(const char *text, GError **error)
{
    struct keyval *kv;

    if (g_str_has_prefix(text + strcspn(text, ",="), ",,")) {
        wording_fail(error, "Invalid parameter ''"); /* a type has no commas */
        return NULL;
    }
    kv = keyval_parse(text, *text != ',' ? "qom-type" : NULL);
    if (!check_text_pairs(kv, error)) {
        keyval_free(kv);
        return NULL;
    }
    return kv;
}

/* Members of members get dotted keys. */
static void add_members(struct keyval *kv, const char *prefix, const struct json_node *object)
{
    for (guint i = 0; i < object->keys->len; i++) {
        const struct json_node *item = g_ptr_array_index(object->items, i);
        const char *name = g_ptr_array_index(object->keys, i);
        g_autofree char *key =
            prefix != NULL ? g_strconcat(prefix, ".", name, NULL) : g_strdup(name);
        gboolean number = item->kind == JSON_NUMBER;

        if (item->kind == JSON_OBJECT && prefix == NULL) {
            add_members(kv, key, item);
            continue;
        }
        keyval_add(kv, key, item->kind == JSON_STRING || number ? item->text : NULL);
        ((struct keyval_pair *)g_ptr_array_index(kv->pairs, kv->pairs->len - 1))->bare = number;
    }
}

static struct keyval *properties_from_json(const char *text, GError **error)
{
    struct json_node *object = json_parse(text, error);
    struct keyval *kv;

    if (object == NULL) {
        return NULL;
    }
    kv = keyval_parse("", NULL);
    add_members(kv, NULL, object);
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
            if (pair->value == NULL || pair->bare) {
                return wording_fail(error, "Invalid parameter type for '%s', expected: string",
                                    key);
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
    return *out != NULL || wording_fail(error, "Parameter '%s' is missing", key);
}

static gboolean refuse_unknown(const struct keyval *kv, const char *const *known, GError **error)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strchr(pair->key, '.') != NULL) {
            return refuse_dotted(kv, pair->key, error);
        }
        if (!g_strv_contains(known, pair->key)) {
            return wording_fail(error, "Parameter '%s' is unexpected", pair->key);
        }
    }
    return TRUE;
}

/* ---- objects ---- */

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
        return wording_fail(error, "Parameter 'format' does not accept value '%s'", out->format);
    }
    return refuse_unknown(kv, known, error);
}

static gboolean add_secret(struct secret_set *set, const struct keyval *kv, GError **error)
{
    struct secret_request request;

    return read_request(kv, &request, error) && secret_set_add_request(set, &request, error);
}

static gboolean add_object(struct secret_set *set, const struct keyval *kv, gboolean json,
                           GError **error)
{
    const char *type, *id;

    if (!take_required(kv, "qom-type", &type, error) || !check_type(type, error) ||
        !take_required(kv, "id", &id, error)) {
        return FALSE;
    }
    if (g_strcmp0(type, "throttle-group") == 0) {
        return secret_set_add_throttle(set, kv, id, json, error);
    }
    if (g_strcmp0(type, "secret") != 0) {
        return wording_fail(error, "Objects of type '%s' are not built yet in instar", type);
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
    good = add_object(set, kv, *definition == '{', error);
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
        printf("List of user creatable objects:\n  secret\n  throttle-group\n");
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
    if (help && strcmp(words[0], "throttle-group") == 0) {
        throttle_print_help();
    }
    return help && (strcmp(words[0], "secret") == 0 || strcmp(words[0], "throttle-group") == 0);
}
