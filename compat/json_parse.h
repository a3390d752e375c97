/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of the command line (`--object '{...}'`, `json:{...}`), never of an image.
 *
 * A small tree with stock's dialect (strings in single quotes too) and stock's complaints.
 */
#ifndef COMPAT_JSON_PARSE_H
#define COMPAT_JSON_PARSE_H

#include <glib.h>
#include <stdint.h>

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER, /* kept as text */
    JSON_STRING,
    JSON_LIST,
    JSON_OBJECT,
};

struct json_node {
    enum json_kind kind;
    gboolean truth;   /* JSON_BOOL */
    char *text;       /* JSON_STRING: decoded; JSON_NUMBER: canonical text */
    GPtrArray *items; /* JSON_LIST, JSON_OBJECT: of struct json_node * */
    GPtrArray *keys;  /* JSON_OBJECT: of char *, same indices as items */
};

/*
 * Parses one JSON value that takes up all of text.
 *
 * returns: NULL with *error in stock's words, e.g. "1:60: JSON parse error, premature end of
 *          input" (without the position in older profiles), "Expecting a JSON value" for no text
 * bound:   1024 levels of nesting; linear in text
 */
struct json_node *json_parse(const char *text, GError **error);

void json_node_free(struct json_node *node);

#endif
