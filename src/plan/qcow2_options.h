/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 creation options, from the command line's struct to the cell's message.
 */
#ifndef INSTAR_SRC_PLAN_QCOW2_OPTIONS_H
#define INSTAR_SRC_PLAN_QCOW2_OPTIONS_H

#include "compat/create_opts.h"
#include "guest/abi/plan.pb-c.h"

/* Fills a message that borrows the strings of `from`. */
void qcow2_options_fill(const struct create_qcow2 *from, Abi__Qcow2CreateOptions *to);

/*
 * Looks at the options about encryption.
 *
 * in:      size_only: as in luks_options_fill
 * out:     *out filled when *out_has_luks; to be cleared in any case
 * returns: FALSE with *error in stock's words
 */
gboolean qcow2_options_encryption(const struct create_opts *opts,
                                  const struct create_qcow2 *options, gboolean size_only,
                                  Abi__LuksCreate *out, gboolean *out_has_luks, GError **error);

/* Whether there is a passphrase for the old encryption; FALSE with *error in stock's words. */
gboolean qcow_options_secret(const struct create_opts *opts, GError **error);

#endif
