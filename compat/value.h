/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small tree of values, as qemu's dictionaries hold them.
 *
 * Objects give their members in hash-bucket order, whatever the order of insertion: human text and
 * JSON both walk this tree, so they agree.
 */
#ifndef COMPAT_VALUE_H
#define COMPAT_VALUE_H

#include <glib.h>
#include <stdint.h>

enum value_kind {
    VALUE_BOOL,
    VALUE_UINT,
    VALUE_INT,
    VALUE_TEXT,
    VALUE_LITERAL, /* a number kept as text */
    VALUE_LIST,
    VALUE_OBJECT,
};

struct value;

struct value *value_bool(gboolean truth);
struct value *value_uint(uint64_t number);
struct value *value_int(int64_t number);
struct value *value_text(const char *text);    /* NULL counts as "" */
struct value *value_literal(const char *text); /* printed as it is */
struct value *value_list(void);
struct value *value_object(void);
void value_free(struct value *value);

/* Appends to a list, or sets a member of an object (replacing it); takes the item over. */
void value_append(struct value *list, struct value *item);
void value_set(struct value *object, const char *key, struct value *item);

enum value_kind value_kind(const struct value *value);
gboolean value_truth(const struct value *value);
uint64_t value_number(const struct value *value);    /* VALUE_INT: two's complement */
const char *value_string(const struct value *value); /* VALUE_TEXT, VALUE_LITERAL */

/* Items of a list in order, members of an object in hash-bucket order. */
size_t value_count(const struct value *value);
const struct value *value_item(const struct value *value, size_t i);
const char *value_key(const struct value *object, size_t i);

/* Finds a member, or NULL. */
struct value *value_member(struct value *object, const char *key);

#endif
