/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What object.c reads and secret.c makes a secret of.
 */
#ifndef COMPAT_SECRET_PRIVATE_H
#define COMPAT_SECRET_PRIVATE_H

#include "compat/keyval.h"
#include "compat/secret.h"

/* The properties of a secret as given; all but id may be NULL. */
struct secret_request {
    const char *id, *data, *file, *format, *keyid, *iv;
};

/*
 * Makes a secret and adds it to the set: checks its name, reads its file, undoes base64.
 *
 * returns: FALSE with *error in stock's words
 */
gboolean secret_set_add_request(struct secret_set *set, const struct secret_request *request,
                                GError **error);

/* The same for a throttle group. */
gboolean secret_set_add_throttle(struct secret_set *set, const struct keyval *kv, const char *id,
                                 gboolean json, GError **error);

#endif
