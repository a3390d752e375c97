/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree and its order.
 */
#include "compat/value.h"

#include <string.h>

struct member {
    char *key;
    struct value *item;
    unsigned bucket;
};

struct value {
    enum value_kind kind;
    uint64_t number;
    char *text;
    GArray *members; /* of struct member; lists have no keys */
};

static struct value *value_new(enum value_kind kind)
{
    struct value *value = g_new0(struct value, 1);

    value->kind = kind;
    if (kind == VALUE_LIST || kind == VALUE_OBJECT) {
        value->members = g_array_new(FALSE, FALSE, sizeof(struct member));
    }
    return value;
}

struct value *value_bool(gboolean truth)
{
    struct value *value = value_new(VALUE_BOOL);

    value->number = truth != FALSE;
    return value;
}

struct value *value_uint(uint64_t number)
{
    struct value *value = value_new(VALUE_UINT);

    value->number = number;
    return value;
}

struct value *value_int(int64_t number)
{
    struct value *value = value_new(VALUE_INT);

    value->number = (uint64_t)number;
    return value;
}

struct value *value_text(const char *text)
{
    struct value *value = value_new(VALUE_TEXT);

    value->text = g_strdup(text != NULL ? text : "");
    return value;
}

struct value *value_literal(const char *text)
{
    struct value *value = value_new(VALUE_LITERAL);

    value->text = g_strdup(text);
    return value;
}

struct value *value_list(void)
{
    return value_new(VALUE_LIST);
}

struct value *value_object(void)
{
    return value_new(VALUE_OBJECT);
}

void value_free(struct value *value)
{
    if (value == NULL) {
        return;
    }
    for (guint i = 0; value->members != NULL && i < value->members->len; i++) {
        struct member *member = &g_array_index(value->members, struct member, i);

        g_free(member->key);
        value_free(member->item);
    }
    g_clear_pointer(&value->members, g_array_unref);
    g_free(value->text);
    g_free(value);
}

void value_append(struct value *list, struct value *item)
{
    struct member member = {.item = item};

    g_array_append_val(list->members, member);
}

/*
 * The bucket of a key.
 *
 * source: observed order of qemu's output, reference output.md section 1
 */
static unsigned bucket_of(const char *key)
{
    size_t len = strlen(key);
    uint32_t hash = (uint32_t)(UINT32_C(0x238F13AF) * len);

    for (size_t i = 0; i < len; i++) {
        hash += (uint32_t)(unsigned char)key[i] << (5 * i % 24);
    }
    return (UINT32_C(1103515243) * hash + 12345) % 512;
}

void value_set(struct value *object, const char *key, struct value *item)
{
    struct member member = {.key = g_strdup(key), .item = item, .bucket = bucket_of(key)};
    guint at = 0;

    for (guint i = 0; i < object->members->len; i++) {
        struct member *old = &g_array_index(object->members, struct member, i);

        if (strcmp(old->key, key) == 0) {
            value_free(old->item);
            old->item = item;
            g_free(member.key);
            return;
        }
    }
    /* Within a bucket the newest comes first. */
    while (at < object->members->len &&
           g_array_index(object->members, struct member, at).bucket < member.bucket) {
        at++;
    }
    g_array_insert_val(object->members, at, member);
}

enum value_kind value_kind(const struct value *value)
{
    return value->kind;
}

gboolean value_truth(const struct value *value)
{
    return value->number != 0;
}

uint64_t value_number(const struct value *value)
{
    return value->number;
}

const char *value_string(const struct value *value)
{
    return value->text;
}

size_t value_count(const struct value *value)
{
    return value->members->len;
}

const struct value *value_item(const struct value *value, size_t i)
{
    return g_array_index(value->members, struct member, i).item;
}

const char *value_key(const struct value *object, size_t i)
{
    return g_array_index(object->members, struct member, i).key;
}

struct value *value_member(struct value *object, const char *key)
{
    for (guint i = 0; i < object->members->len; i++) {
        struct member *member = &g_array_index(object->members, struct member, i);

        if (strcmp(member->key, key) == 0) {
            return member->item;
        }
    }
    return NULL;
}
