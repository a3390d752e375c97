/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open options, flattened.
 */
#include "compat/blockopts.h"

#include <string.h>

#include "compat/json_parse.h"
#include "compat/json_write.h"
#include "compat/keyval.h"
#include "compat/size.h"
#include "compat/wording.h"

#define JSON_PREFIX "json:"

struct entry {
    char *key;
    char *value;         /* NULL: JSON null */
    enum json_kind kind; /* JSON_STRING, or what the JSON text had */
};

struct blockopts {
    GPtrArray *entries; /* of struct entry * */
};

static void entry_free(void *data)
{
    struct entry *entry = data;

    g_free(entry->key);
    g_free(entry->value);
    g_free(entry);
}

struct blockopts *blockopts_new(void)
{
    struct blockopts *opts = g_new0(struct blockopts, 1);

    opts->entries = g_ptr_array_new_with_free_func(entry_free);
    return opts;
}

void blockopts_free(struct blockopts *opts)
{
    if (opts != NULL) {
        g_ptr_array_unref(opts->entries);
        g_free(opts);
    }
}

static struct entry *entry_at(const struct blockopts *opts, size_t i)
{
    return g_ptr_array_index(opts->entries, i);
}

static struct entry *find(const struct blockopts *opts, const char *key, guint *index)
{
    for (guint i = 0; i < opts->entries->len; i++) {
        if (strcmp(entry_at(opts, i)->key, key) == 0) {
            *index = i;
            return entry_at(opts, i);
        }
    }
    return NULL;
}

static void set(struct blockopts *opts, const char *key, const char *value, enum json_kind kind)
{
    guint index;
    struct entry *entry = find(opts, key, &index);

    if (entry == NULL) {
        entry = g_new0(struct entry, 1);
        entry->key = g_strdup(key);
        g_ptr_array_add(opts->entries, entry);
    }
    g_free(entry->value);
    entry->value = g_strdup(value);
    entry->kind = kind;
}

void blockopts_set(struct blockopts *opts, const char *key, const char *value)
{
    set(opts, key, value, JSON_STRING);
}

struct blockopts *blockopts_copy(const struct blockopts *opts)
{
    struct blockopts *copy = blockopts_new();

    for (guint i = 0; i < opts->entries->len; i++) {
        const struct entry *entry = entry_at(opts, i);

        set(copy, entry->key, entry->value, entry->kind);
    }
    return copy;
}

/* ---- --image-opts ---- */

static void warn_short_form(const struct keyval_pair *pair)
{
    gboolean on = pair->bare && strcmp(pair->value, "on") == 0;

    if (pair->bare && !(on && (strcmp(pair->key, "help") == 0 || strcmp(pair->key, "?") == 0))) {
        report_warning("short-form boolean option '%s%s' deprecated\nPlease use %s=%s instead",
                       on ? "" : "no", pair->key, pair->key, pair->value);
    }
}

struct blockopts *blockopts_parse_string(const char *text, gboolean force_share, GError **error)
{
    struct blockopts *opts = blockopts_new();
    struct keyval *kv = keyval_parse(text, "file");
    const char *given;
    gboolean share = FALSE;

    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        warn_short_form(pair);
        blockopts_set(opts, pair->key, pair->value);
    }
    keyval_free(kv);
    given = blockopts_get(opts, "force-share");
    if (force_share && given != NULL && (!keyval_parse_bool(given, &share) || !share)) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_USAGE,
                            "--force-share/-U conflicts with image options");
        blockopts_free(opts);
        return NULL;
    }
    return opts;
}

/* ---- json: ---- */

gboolean blockopts_is_json(const char *filename)
{
    return g_str_has_prefix(filename, JSON_PREFIX);
}

/* in: key of the node, NULL for the whole text, which is an object */
static void flatten(struct blockopts *opts, const char *key, const struct json_node *node)
{
    switch (node->kind) {
    case JSON_NULL:
        set(opts, key, NULL, node->kind);
        break;
    case JSON_BOOL:
        set(opts, key, node->truth ? "on" : "off", node->kind);
        break;
    case JSON_NUMBER:
    case JSON_STRING:
        set(opts, key, node->text, node->kind);
        break;
    case JSON_LIST:
    case JSON_OBJECT:
        for (guint i = 0; i < node->items->len; i++) {
            g_autofree char *part = node->kind == JSON_OBJECT
                                        ? g_strdup(g_ptr_array_index(node->keys, i))
                                        : g_strdup_printf("%u", i);
            g_autofree char *inner =
                key != NULL ? g_strconcat(key, ".", part, NULL) : g_strdup(part);

            flatten(opts, inner, g_ptr_array_index(node->items, i));
        }
        break;
    }
}

struct blockopts *blockopts_parse_json(const char *filename, GError **error)
{
    struct json_node *node = json_parse(filename + strlen(JSON_PREFIX), error);
    struct blockopts *opts = NULL;

    if (node == NULL) {
        g_prefix_error(error, "Could not parse the JSON options: ");
        return NULL;
    }
    if (node->kind != JSON_OBJECT) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Invalid JSON object given");
    } else {
        opts = blockopts_new();
        flatten(opts, NULL, node);
    }
    json_node_free(node);
    return opts;
}

/* ---- reading ---- */

const char *blockopts_get(const struct blockopts *opts, const char *key)
{
    guint index;
    const struct entry *entry = find(opts, key, &index);

    return entry != NULL ? entry->value : NULL;
}

char *blockopts_take(struct blockopts *opts, const char *key)
{
    guint index;
    struct entry *entry = find(opts, key, &index);
    char *value;

    if (entry == NULL) {
        return NULL;
    }
    value = g_steal_pointer(&entry->value);
    g_ptr_array_remove_index(opts->entries, index);
    return value;
}

gboolean blockopts_is_text(const struct blockopts *opts, const char *key)
{
    guint index;
    const struct entry *entry = find(opts, key, &index);

    return entry != NULL && entry->value != NULL && entry->kind == JSON_STRING;
}

char *blockopts_take_text(struct blockopts *opts, const char *key)
{
    gboolean is_text = blockopts_is_text(opts, key);
    g_autofree char *value = blockopts_take(opts, key);

    return is_text ? g_steal_pointer(&value) : NULL;
}

struct blockopts *blockopts_take_prefix(struct blockopts *opts, const char *prefix)
{
    g_autofree char *dotted = g_strconcat(prefix, ".", NULL);
    struct blockopts *taken = blockopts_new();

    for (guint i = 0; i < opts->entries->len;) {
        const struct entry *entry = entry_at(opts, i);

        if (g_str_has_prefix(entry->key, dotted)) {
            set(taken, entry->key + strlen(dotted), entry->value, entry->kind);
            g_ptr_array_remove_index(opts->entries, i);
        } else {
            i++;
        }
    }
    return taken;
}

void blockopts_put(struct blockopts *opts, const char *prefix, const struct blockopts *child)
{
    for (guint i = 0; i < child->entries->len; i++) {
        const struct entry *entry = entry_at(child, i);
        g_autofree char *key = g_strconcat(prefix, ".", entry->key, NULL);

        set(opts, key, entry->value, entry->kind);
    }
}

size_t blockopts_count(const struct blockopts *opts)
{
    return opts->entries->len;
}

const char *blockopts_key(const struct blockopts *opts, size_t i)
{
    return entry_at(opts, i)->key;
}

const char *blockopts_value(const struct blockopts *opts, size_t i)
{
    return entry_at(opts, i)->value;
}

gboolean blockopts_take_bool(struct blockopts *opts, const char *key, gboolean fallback,
                             gboolean *out, GError **error)
{
    g_autofree char *value = blockopts_take(opts, key);

    if (value == NULL) {
        *out = fallback;
        return TRUE;
    }
    return keyval_parse_bool_keyed(key, value, out, error);
}

gboolean blockopts_take_size(struct blockopts *opts, const char *key, gboolean *have,
                             uint64_t *out_bytes, GError **error)
{
    g_autofree char *value = blockopts_take(opts, key);

    *have = value != NULL;
    return value == NULL || size_parse_keyed(key, value, out_bytes, error);
}

gboolean blockopts_finish(const struct blockopts *opts, const char *driver, gboolean is_protocol,
                          GError **error)
{
    if (opts->entries->len == 0) {
        return TRUE;
    }
    return wording_fail(error,
                        is_protocol ? "Block protocol '%s' doesn't support the option '%s'"
                                    : "Block format '%s' does not support the option '%s'",
                        driver, entry_at(opts, 0)->key);
}

/* ---- back to JSON ---- */

static struct value *entry_value(const struct entry *entry)
{
    switch (entry->kind) {
    case JSON_BOOL:
        return value_bool(strcmp(entry->value, "on") == 0);
    case JSON_NUMBER:
        return value_literal(entry->value);
    case JSON_NULL:
        return value_literal("null");
    default:
        return value_text(entry->value);
    }
}

/* Keys of a driver, not of a node below it: their dots part nothing. */
static gboolean is_flat(const char *key)
{
    return g_str_has_prefix(key, "encrypt.") || g_str_has_prefix(key, "inject-error.") ||
           g_str_has_prefix(key, "set-state.");
}

/* Walks "a.b.c" down to the object that holds "c", making objects on the way. */
static void set_nested(struct value *object, const char *key, struct value *item)
{
    const char *dot;

    while ((dot = strchr(key, '.')) != NULL && !is_flat(key)) {
        g_autofree char *head = g_strndup(key, (gsize)(dot - key));
        struct value *inner = value_member(object, head);

        if (inner == NULL || value_kind(inner) != VALUE_OBJECT) {
            inner = value_object();
            value_set(object, head, inner);
        }
        object = inner;
        key = dot + 1;
    }
    value_set(object, key, item);
}

char *blockopts_to_json(const struct blockopts *opts)
{
    struct value *object = value_object();
    GString *out = g_string_new(JSON_PREFIX);

    for (guint i = 0; i < opts->entries->len; i++) {
        set_nested(object, entry_at(opts, i)->key, entry_value(entry_at(opts, i)));
    }
    json_write(out, object, JSON_ONE_LINE);
    value_free(object);
    return g_string_free(out, FALSE);
}
