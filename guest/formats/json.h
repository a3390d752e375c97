/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening a JSON object into options: {"file": {"filename": "x"}} is `file.filename` = `x`.
 *
 * For names found in images (`json:{...}`) and LUKS2, hence bounded in depth, count and length.
 * Strings may be quoted with ' as qemu's parser allows. Numbers and words keep their text.
 */
#ifndef INSTAR_GUEST_FORMATS_JSON_H
#define INSTAR_GUEST_FORMATS_JSON_H

#include "guest/lib/bytes.h"

#define JSON_DEPTH_MAX   32u
#define JSON_PATH_MAX    512u
#define JSON_OPTIONS_MAX 64u
#define JSON_TEXT_MAX    16384u

/*
 * Takes one option.
 *
 * in:      key: path with dots; value: decoded; both valid during the call only
 * returns: false to stop
 */
typedef bool (*json_option_fn)(void *user, struct span key, struct span value);

/* Bounds of another kind of text. */
struct json_limits {
    size_t text;      /* bytes of all of it */
    unsigned options; /* values */
};

/*
 * Flattens the object that is all of `text`.
 *
 * returns: false when text is not one JSON object, a bound is exceeded, or `option` said stop
 * bound:   linear in text.len, at most JSON_TEXT_MAX
 */
bool json_flatten(struct span text, json_option_fn option, void *user);

/* As json_flatten, within other bounds; one value is at most JSON_TEXT_MAX bytes all the same. */
bool json_flatten_within(struct span text, const struct json_limits *limits, json_option_fn option,
                         void *user);

#endif
