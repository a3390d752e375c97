/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattens a chain: what the virtual disk holds at each offset, whichever layer it comes from.
 */
#ifndef INSTAR_GUEST_PLAN_MAP_H
#define INSTAR_GUEST_PLAN_MAP_H

#include "guest/abi/map.pb-c.h"
#include "guest/formats/format.h"

#define MAP_DEPTH_MAX 1000

/*
 * Fills records with the extents of [start, start + length), merging neighbours that continue each
 * other. A layer shorter than the one above it reads as a hole of the upper layer's depth past its
 * end.
 *
 * in:      start + length inside the node's virtual size; layers: 0 for the whole chain
 * out:     *out_nr records, *out_next where to go on; both valid also when an error is returned:
 *          the error is about *out_next
 * bound:   max_records records; the driver's own bounds per record
 */
enum guest_err plan_map(struct node *node, uint64_t start, uint64_t length, uint32_t layers,
                        struct cell_extent *records, uint32_t max_records, uint32_t *out_nr,
                        uint64_t *out_next, struct guest_err_detail *detail);

#endif
