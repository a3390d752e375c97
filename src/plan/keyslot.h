/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of key slots as a message for the cell.
 */
#ifndef INSTAR_SRC_PLAN_KEYSLOT_H
#define INSTAR_SRC_PLAN_KEYSLOT_H

#include "compat/amend_opts.h"
#include "guest/abi/plan.pb-c.h"
#include "src/graph/graph.h"

/*
 * Fills a message: secrets are looked up, iterations measured, random bytes drawn.
 *
 * in:      image: unlocked
 * out:     *out, to be cleared in any case; passwords in it belong to the secrets
 * returns: FALSE with *error in stock's words
 */
gboolean keyslot_fill(struct image *image, const struct amend_keyslots *keyslots, gboolean force,
                      Abi__KeyslotRequest *out, GError **error);
void keyslot_clear(Abi__KeyslotRequest *request);

#endif
