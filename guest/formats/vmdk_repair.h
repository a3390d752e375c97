/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_REPAIR_H
#define INSTAR_GUEST_FORMATS_VMDK_REPAIR_H

#include "guest/formats/vmdk.h"

/* Whether the image has hosted sparse extents, and besides them flat ones at most. */
bool vmdk_can_repair(const struct node *node);

/*
 * Finds what can be mended.
 *
 * out:     node->repair: the plan, if there is anything; reply->corruptions_fixed
 * returns: GUEST_ERR_TOO_MUCH_WORK for more tables than the file could hold, or more changes than
 *          are kept in memory: nothing is repaired then
 * bound:   both copies of each table are read, one of them twice
 */
enum guest_err vmdk_repair(struct node *node, struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail);

#endif
