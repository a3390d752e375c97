/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets of the command line, by which images are unlocked: there is one set, as there is one
 * command.
 */
#ifndef INSTAR_SRC_GRAPH_KEYS_H
#define INSTAR_SRC_GRAPH_KEYS_H

#include "compat/secret.h"

/* Says which secrets there are; borrowed until the program ends. */
void keys_use(const struct secret_set *secrets);

/* Whether there are any. */
gboolean keys_present(void);

/* The secret of an id, or NULL. */
const struct secret *keys_find(const char *id);

/*
 * The secret of an id as a passphrase.
 *
 * returns: NULL with *error in stock's words when there is none, or it is not UTF-8
 */
const struct secret *keys_passphrase(const char *id, GError **error);

/* The throttle group with that id, or NULL. */
const struct throttle_group *keys_find_throttle(const char *id);

#endif
