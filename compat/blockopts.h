/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open options of an image the user named: `--image-opts` strings and `json:{...}` names, both
 * flattened to one ordered map of dotted keys ("file.filename" -> "a.img").
 *
 * The order is that of the text; a repeated key keeps its place and takes the last value. Who opens
 * the image takes the keys it knows and then asks for one that is left, to refuse it.
 */
#ifndef COMPAT_BLOCKOPTS_H
#define COMPAT_BLOCKOPTS_H

#include <glib.h>
#include <stdint.h>

struct blockopts;

void blockopts_free(struct blockopts *opts);

/*
 * Parses an --image-opts string; a first word without `=` is the value of "file".
 *
 * in:      force_share -U was given, which then must not be contradicted
 * returns: NULL with *error "--force-share/-U conflicts with image options"
 */
struct blockopts *blockopts_parse_string(const char *text, gboolean force_share, GError **error);

/* TRUE when a file name starts with "json:". */
gboolean blockopts_is_json(const char *filename);

/*
 * Parses a `json:{...}` file name.
 *
 * returns: NULL with *error "Could not parse the JSON options: ..." or "Invalid JSON object given"
 */
struct blockopts *blockopts_parse_json(const char *filename, GError **error);

/* An empty map, to be filled for a plain name: "driver" from -f, "file.filename". */
struct blockopts *blockopts_new(void);
struct blockopts *blockopts_copy(const struct blockopts *opts);
void blockopts_set(struct blockopts *opts, const char *key, const char *value);

/* The value of a key, or NULL. */
const char *blockopts_get(const struct blockopts *opts, const char *key);

/* Removes a key and gives its value to the caller, or NULL. */
char *blockopts_take(struct blockopts *opts, const char *key);

/* The same for a value that must be text: what is something else in JSON is as if not given. */
char *blockopts_take_text(struct blockopts *opts, const char *key);
gboolean blockopts_is_text(const struct blockopts *opts, const char *key);

/*
 * Splits off the keys under a prefix: of "file.driver", "file.filename" and "driver" the prefix
 * "file" takes two, which lose it.
 *
 * returns: a new map, empty when nothing had the prefix; a plain "file" key stays behind
 */
struct blockopts *blockopts_take_prefix(struct blockopts *opts, const char *prefix);

/* Adds the entries of another map below a prefix: the reverse of blockopts_take_prefix. */
void blockopts_put(struct blockopts *opts, const char *prefix, const struct blockopts *child);

/* Number of keys left, and the i-th of them in order. */
size_t blockopts_count(const struct blockopts *opts);
const char *blockopts_key(const struct blockopts *opts, size_t i);
const char *blockopts_value(const struct blockopts *opts, size_t i);

/*
 * Takes a boolean, or gives the fallback when absent.
 *
 * returns: FALSE with *error "Parameter 'K' expects 'on' or 'off'"
 */
gboolean blockopts_take_bool(struct blockopts *opts, const char *key, gboolean fallback,
                             gboolean *out, GError **error);

/* Takes a SIZE; *have tells whether it was there. */
gboolean blockopts_take_size(struct blockopts *opts, const char *key, gboolean *have,
                             uint64_t *out_bytes, GError **error);

/*
 * Refuses what is left: "Block format 'raw' does not support the option 'x'" (a protocol driver:
 * "Block protocol 'file' doesn't support the option 'x'").
 *
 * returns: TRUE when nothing is left
 */
gboolean blockopts_finish(const struct blockopts *opts, const char *driver, gboolean is_protocol,
                          GError **error);

/* Renders the map as a `json:{...}` name, keys nested and in stock's order. Newly allocated. */
char *blockopts_to_json(const struct blockopts *opts);

#endif
