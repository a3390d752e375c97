/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan that changes key slots.
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS_AMEND_H
#define INSTAR_GUEST_FORMATS_LUKS_AMEND_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/luks.h"
#include "guest/plan/plan.h"

/*
 * Plans to add a key slot or to erase some.
 *
 * in:      node: unlocked; format luks, or qcow2 with LUKS
 * out:     *out, to be freed with its verb
 * returns: LUKS_ERR_KEYSLOT_*, _LAST_*, _NO_MATCH and the like; GUEST_ERR_NOT_SUPPORTED for an
 * image without key slots bound:   one derivation of a key, or one an active slot
 */
enum guest_err luks_amend_plan(struct node *node, const Abi__KeyslotRequest *request,
                               struct plan **out, struct guest_err_detail *detail);

#endif
