/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning what a copy does to a qcow2 image: where data goes, and the tables that then refer to
 * it.
 *
 * Three ways to find room. A fresh image without tables leases room ahead of use. An external data
 * file is linear: offset x lies at offset x. All others place run by run, since a cluster may exist
 * already: it is written in place when nothing else refers to it, otherwise it gets a new cluster.
 *
 * Tables change in memory. When they take too much of it, and at the end, they leave as a plan:
 *
 *   1 file size, zeroed clusters, barrier      data that tables will refer to is durable now
 *   2 refcounts, barrier                       what was taken is counted
 *   3 L2 tables, barrier                       in place, or in new clusters
 *   4 L1 entries, barrier
 *   5 refcounts of what is referred to no more
 *
 * An L2 entry is not written before the data it refers to was reported with WRITER_COMMIT. What was
 * placed and never reported counts as written when the copy is finished.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_WRITER_H
#define INSTAR_GUEST_FORMATS_QCOW2_WRITER_H

#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/writer.h"

/*
 * Starts writing to an opened image.
 *
 * in:      node: a qcow2 image opened read-write, its data file linked
 * returns: GUEST_ERR_PLAN_DIRTY, _BITMAPS, _ENCRYPTED; what qcow2_alloc_init gives
 */
enum guest_err qcow2_writer_open(struct node *node, const struct image_writer_options *options,
                                 struct image_writer **out, struct guest_err_detail *detail);

#endif
