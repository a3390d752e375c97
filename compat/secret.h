/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--object secret,...`: named pieces of secret data; and the other objects, by their ids.
 *
 * The whole object syntax is understood (TYPE,key=value, qom-type=TYPE, JSON) and checked in
 * stock's order. Types other than `secret` and `throttle-group` are refused by name.
 */
#ifndef COMPAT_SECRET_H
#define COMPAT_SECRET_H

#include <glib.h>

#include "compat/throttle.h"

struct secret {
    char *id;
    GBytes *data;    /* plain: after base64 where format=base64, decrypted where keyid is set */
    char *keyid;     /* NULL: not encrypted */
    GBytes *iv;      /* 16 bytes with keyid, else NULL */
    gboolean base64; /* format=base64 */
};

struct secret_set;

struct secret_set *secret_set_new(void);

/* Frees the set; secret bytes are wiped first. */
void secret_set_free(struct secret_set *set);

/*
 * Adds one object definition.
 *
 * in:      definition the text after --object, not the help words
 * returns: FALSE with *error in stock's words (hints after the first newline)
 */
gboolean secret_set_add(struct secret_set *set, const char *definition, GError **error);

/*
 * Prints what `--object help` or `--object TYPE,help` prints (to stdout).
 *
 * returns: FALSE, with nothing printed, when the definition does not ask for help
 */
gboolean secret_print_help(const char *definition);

gboolean secret_set_empty(const struct secret_set *set);

/*
 * Finds a secret.
 *
 * returns: the secret, owned by the set, or NULL with *error "No secret with id 'ID'"
 */
const struct secret *secret_set_find(const struct secret_set *set, const char *id, GError **error);

/* Finds a throttle group, owned by the set, or NULL. */
const struct throttle_group *secret_set_find_throttle(const struct secret_set *set, const char *id);

#endif
