/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets by id.
 */
#include "src/graph/keys.h"

#include "compat/wording.h"

static const struct secret_set *in_use;

void keys_use(const struct secret_set *secrets)
{
    in_use = secrets;
}

gboolean keys_present(void)
{
    return in_use != NULL && !secret_set_empty(in_use);
}

const struct secret *keys_find(const char *id)
{
    return in_use != NULL ? secret_set_find(in_use, id, NULL) : NULL;
}

const struct throttle_group *keys_find_throttle(const char *id)
{
    return in_use != NULL ? secret_set_find_throttle(in_use, id) : NULL;
}

const struct secret *keys_passphrase(const char *id, GError **error)
{
    const struct secret *secret = keys_find(id);

    if (secret == NULL) {
        wording_fail(error, "No secret with id '%s'", id);
        return NULL;
    }
    if (!g_utf8_validate(g_bytes_get_data(secret->data, NULL),
                         (gssize)g_bytes_get_size(secret->data), NULL)) {
        wording_fail(error, "Data from secret %s is not valid UTF-8", id);
        return NULL;
    }
    return secret;
}
