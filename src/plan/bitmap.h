/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a list of bitmap actions on an opened image: planned in its cell, applied here.
 */
#ifndef INSTAR_SRC_PLAN_BITMAP_H
#define INSTAR_SRC_PLAN_BITMAP_H

#include "guest/abi/plan.pb-c.h"
#include "src/graph/graph.h"

/* What became of the actions. */
struct bitmap_outcome {
    unsigned nr_done;
    GError *failure;       /* of the next action; NULL: all were carried out */
    uint32_t failure_code; /* enum guest_err */
    gboolean lost;         /* the disk has no sector: nothing could be stored */
};

/*
 * Plans the actions; nothing is written yet. A second request replaces the first.
 *
 * in:      the image, opened read-write, with a cell; the request's node is filled in
 * out:     *out; its failure is the caller's
 * returns: FALSE when nothing can be done at all
 */
gboolean bitmap_plan(struct image *image, Abi__BitmapRequest *request, struct bitmap_outcome *out,
                     GError **error);

/* Applies what was planned, and flushes it. */
gboolean bitmap_apply(struct image *image, GError **error);

#endif
