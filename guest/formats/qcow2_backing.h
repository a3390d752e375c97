/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another backing file for a qcow2 image: its name, and the extension that tells its format.
 *
 * Both lie in the first cluster, behind the header, where header extensions of any length follow
 * each other. Only a write of one sector is atomic, so that everything new is put where the old
 * state does not look, and the first sector then switches over:
 *
 *   1 the new name, and what the new list of extensions has beyond the first sector, in bytes that
 *     neither the old list nor the old name uses; then a barrier
 *   2 the first sector: header and the list's start; then a barrier
 *   3 zeros over what is no longer used
 *
 * Where the lists differ beyond the first sector, the switch goes by way of a copy: the new list is
 * put behind everything that is in use, and the first sector gets an extension of a type that
 * nobody knows, just long enough that the list goes on there. Then the list's own place can be
 * written, and the first sector once more. Readers skip what they do not know, so that each of the
 * states is an image with either the old or the new backing file.
 *
 * Clusters of 1 or 2 KiB may have no room for two long names: then all is written at once, as
 * stock does always.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_BACKING_H
#define INSTAR_GUEST_FORMATS_QCOW2_BACKING_H

#include "guest/abi/error_plan.h"
#include "guest/abi/plan.pb-c.h"
#include "guest/formats/qcow2.h"
#include "guest/plan/plan.h"

/*
 * Plans the change. See guest/plan/backing.h.
 *
 * bound:   four times the first cluster of memory; five writes
 */
enum guest_err qcow2_backing_plan(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail);

#endif
