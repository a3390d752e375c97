/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option strings: `key=value,key=value`, for -o, --image-opts, --object and -l.
 *
 * Two layers. keyval_parse splits text into ordered pairs (`,,` is a comma in a value, a bare key
 * is `on`, a bare `nokey` is `off`). keyval_apply checks the pairs against a table of typed
 * definitions and gives one slot per definition.
 */
#ifndef COMPAT_KEYVAL_H
#define COMPAT_KEYVAL_H

#include <glib.h>
#include <stdint.h>

#include "compat/profile.h"

/* A pair; `bare` tells `key` from `key=on`. */
struct keyval_pair {
    char *key;
    char *value;
    gboolean bare;
};

struct keyval {
    GPtrArray *pairs; /* of struct keyval_pair *, in the order of the text */
};

/*
 * Splits an option string.
 *
 * in:      text; implied_key names the first word when it has no `=`, or NULL for none
 * returns: the pairs; there is no malformed text at this level
 */
struct keyval *keyval_parse(const char *text, const char *implied_key);

void keyval_free(struct keyval *kv);

/* Appends a pair; value may be NULL, for values that are no text. */
void keyval_add(struct keyval *kv, const char *key, const char *value);

/* Gives the value of the last pair with that key, or NULL. */
const char *keyval_get(const struct keyval *kv, const char *key);

/*
 * Checks one -o string and appends it to those before, as stock accumulates them.
 *
 * out:     *joined is grown by ",piece" or set to it
 * returns: FALSE with *error "Invalid option list: <piece>" for an empty piece, one that starts
 *          with a comma, or one that ends with an odd number of them
 */
gboolean keyval_join(char **joined, const char *piece, GError **error);

/* TRUE when a bare word `help` or `?` stands anywhere in the option string. */
gboolean keyval_has_help(const char *text);

/* Doubles the commas of a value, for printing it again. Newly allocated. */
char *keyval_escape(const char *value);

/* A boolean word: on yes true y / off no false n, lower case. FALSE for anything else. */
gboolean keyval_parse_bool(const char *text, gboolean *out);

/* "Parameter 'K' expects 'on' or 'off'" */
gboolean keyval_parse_bool_keyed(const char *key, const char *text, gboolean *out, GError **error);

enum keyval_type {
    KEYVAL_STRING,
    KEYVAL_SIZE,
    KEYVAL_NUMBER,
    KEYVAL_BOOL,
};

/* One row of an option table. */
struct keyval_def {
    const char *name;
    enum keyval_type type;
    const char *default_text; /* printed even when not given; NULL: none */
    const char *help;
    enum profile_id since; /* first profile that has the key */
};

/* The value of one definition. */
struct keyval_slot {
    const struct keyval_def *def;
    gboolean given;   /* by the user */
    const char *text; /* as typed, or the default, or NULL */
    uint64_t number;  /* KEYVAL_SIZE, KEYVAL_NUMBER (two's complement), KEYVAL_BOOL (0 or 1) */
};

/*
 * Sets the slots from the pairs of an option string, in order; the key `id` is passed over.
 *
 * in:      kv stays alive as long as the slots, which borrow its values
 * returns: as keyval_set, for the first pair that does not fit
 */
gboolean keyval_apply(struct keyval_slot *slots, size_t nr, const struct keyval *kv,
                      GError **error);

/*
 * Sets one key of a table's slots.
 *
 * in:      slots, nr of them, as made by keyval_slots_init; value stays owned by the caller, who
 *          keeps it as long as the slots
 * returns: FALSE with *error "Invalid parameter 'K'" or the type's complaint
 */
gboolean keyval_set(struct keyval_slot *slots, size_t nr, const char *key, const char *value,
                    GError **error);

/* Fills slots with their definitions and defaults. */
void keyval_slots_init(struct keyval_slot *slots, const struct keyval_def *const *defs, size_t nr);

/* Finds a slot by key; NULL when the table has no such key. */
struct keyval_slot *keyval_slot(struct keyval_slot *slots, size_t nr, const char *key);

/*
 * Prints the lines of `-o help` for these definitions to stdout, sorted by name.
 */
void keyval_print_help(const struct keyval_def *const *defs, size_t nr);

#endif
