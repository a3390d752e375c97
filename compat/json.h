/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON, byte for byte as stock prints it.
 *
 * json_writer owns commas, escapes and indentation; struct value is a small tree whose objects come
 * out in the hash-bucket order of qemu's dictionaries. Commands call the functions named after the
 * result; `map` is streamed.
 */
#ifndef COMPAT_JSON_H
#define COMPAT_JSON_H

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

#include "compat/result.h"

/* `info`: one object, or with chain an array. */
void json_info(FILE *out, struct image_info *const *images, size_t nr, gboolean chain);

void json_check(FILE *out, const struct check_result *result);
void json_measure(FILE *out, const struct measure_result *result);

/* `map`: begin, then each entry, then end. The state is the caller's and starts zeroed. */
struct json_map {
    gboolean any;
};

void json_map_begin(FILE *out, struct json_map *state);
void json_map_entry(FILE *out, struct json_map *state, const struct map_entry *entry);
void json_map_end(FILE *out, struct json_map *state);

#endif
