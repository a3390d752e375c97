/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a new LUKS header as a message for the cell: words become numbers, the passphrase
 * is looked up, iterations are measured, random bytes are drawn.
 */
#ifndef INSTAR_SRC_PLAN_LUKS_OPTIONS_H
#define INSTAR_SRC_PLAN_LUKS_OPTIONS_H

#include "compat/create_opts.h"
#include "crypto/hash.h"
#include "guest/abi/plan.pb-c.h"

/*
 * Fills a message.
 *
 * in:      prefix: before each key, "" or "encrypt."; size_only: nobody will be locked out
 * (measure), so that nothing is measured or drawn out:     *out, to be cleared; strings in it may
 * belong to opts and to the secrets returns: FALSE with *error in stock's words
 */
gboolean luks_options_fill(const struct create_opts *opts, const char *prefix, gboolean size_only,
                           Abi__LuksCreate *out, GError **error);
void luks_options_clear(Abi__LuksCreate *options);

/* Draws random bytes, to be freed with g_free. */
gboolean luks_options_random(size_t len, ProtobufCBinaryData *out, GError **error);

/*
 * How many iterations of PBKDF2 take so long on this machine.
 *
 * in:      key_bytes: how long a key is derived
 * returns: FALSE with *error when there are more than a header can hold
 */
gboolean luks_options_iterations(enum crypto_hash hash, size_t key_bytes, uint64_t milliseconds,
                                 uint32_t *out, GError **error);

#endif
