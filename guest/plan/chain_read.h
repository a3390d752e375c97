/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a virtual disk, read in the guest. For the few that a plan must carry itself; a copy's
 * bytes are moved by the host.
 */
#ifndef INSTAR_GUEST_PLAN_CHAIN_READ_H
#define INSTAR_GUEST_PLAN_CHAIN_READ_H

#include "guest/formats/format.h"

/*
 * Reads [start, start + length) of what the guest sees, through the whole chain.
 *
 * in:      start + length inside the node's virtual size
 * returns: GUEST_OK; GUEST_ERR_NOT_SUPPORTED for encrypted data; what the drivers and codecs give
 * bound:   linear in length; one decoded unit of memory
 */
enum guest_err chain_read(struct node *node, uint64_t start, uint64_t length, uint8_t *buf,
                          struct guest_err_detail *detail);

#endif
