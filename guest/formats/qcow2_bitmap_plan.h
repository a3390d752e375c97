/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the dirty bitmaps of a qcow2 image: one request is any number of actions in their order,
 * and one atomic switch.
 *
 *   1 refcounts of the clusters that are taken; then a barrier
 *   2 into them: bits that changed, tables of the bitmaps that changed, the directory; a barrier
 *   3 the header extension (qcow2_header_edit.h)
 *   4 refcounts of what nobody refers to any more
 *
 * Before step 3 the image has its old bitmaps, all of them; after it, the new ones. A crash leaves
 * leaked clusters at worst. Clusters of bits that stay what they are stay where they are.
 *
 * What a bitmap will hold is never in memory as a whole: it is put together cluster by cluster from
 * what it is merged from, once to see what must be written and once more to write it.
 *
 * Bitmaps that are in use (their image was not closed properly) can only be removed, as in stock;
 * all others keep their flags.
 * source: qcow2 specification, section "Bitmaps extension"; order of checks, order of the directory
 * and default granularity as observed with stock 7.2 to 11.1, see tests/diff/cases/bitmap.cases.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_BITMAP_PLAN_H
#define INSTAR_GUEST_FORMATS_QCOW2_BITMAP_PLAN_H

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_alloc.h"
#include "guest/formats/qcow2_bits.h"
#include "guest/formats/qcow2_header_edit.h"

/* Plans the actions of a request. See guest/plan/bitmap.h. */
enum guest_err qcow2_bitmap_plan(struct node *node, const struct bitmap_request *request,
                                 Abi__BitmapReply *reply, struct plan **out,
                                 struct guest_err_detail *detail);

/* Reads serialized bits of one bitmap. See guest/plan/bitmap.h. */
enum guest_err qcow2_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                 uint8_t *buf, struct guest_err_detail *detail);

/* ---- what follows is for the qcow2_bitmap_*.c files ---- */

#define BITMAP_NONE UINT32_MAX

/* A bitmap that the image has, or will have. */
struct bitmap_state {
    struct span name; /* borrowed: the image's or the request's */
    unsigned granularity_bits;
    uint32_t flags;
    uint32_t old; /* index in the image; BITMAP_NONE: it is new */
    bool gone;
    bool changed; /* its bits are put together anew, from the inputs */
    struct qcow2_bits *inputs;
    unsigned nr_inputs;

    uint64_t *table; /* as it will be, when changed */
    uint8_t *write;  /* by entry: its cluster is new */
    uint64_t nr_entries;
    uint64_t table_cluster; /* of a changed one */
};

struct bitmap_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    uint64_t disk_bytes;
    const Abi__BitmapRequest *request;
    struct source *bits; /* of other images; NULL: none */

    struct bitmap_state *state; /* those of the image, in its order, then new ones */
    uint32_t nr_states, nr_old;
    uint64_t max_states;
    uint32_t nr_live;       /* that the directory will have */
    uint64_t live_bytes;    /* of their entries */
    bool directory_changes; /* anything but a header */

    struct qcow2_alloc alloc;
    struct header_edit edit;
    uint8_t extension[24];
    uint8_t *directory;
    uint64_t directory_bytes, directory_cluster;
    uint8_t *cluster, *old_cluster, *scratch; /* one cluster, one cluster, QCOW2_BITS_SCRATCH */

    /* qcow2_bitmap_yield.c: where it stands */
    unsigned phase;
    uint32_t at_state;
    uint64_t at_entry;
};

/* qcow2_bitmap_actions.c */

/*
 * Carries out the actions on p->state, as far as the first that fails.
 *
 * out:     *out_done actions; *out_failure and *failed, what the next one fails with
 * returns: GUEST_ERR_NO_MEMORY; GUEST_ERR_IO; GUEST_ERR_BAD_REQUEST
 */
enum guest_err bitmap_act(struct bitmap_plan *p, uint32_t *out_done, enum guest_err *out_failure,
                          struct guest_err_detail *failed);

/* qcow2_bitmap_place.c */

/* Finds places for what is written, and notes what is given back. */
enum guest_err bitmap_place(struct bitmap_plan *p, struct guest_err_detail *detail);

/* Puts cluster `index` of a changed bitmap together, in p->cluster. */
enum guest_err bitmap_compose(struct bitmap_plan *p, const struct bitmap_state *s, uint64_t index,
                              struct guest_err_detail *detail);

/* qcow2_bitmap_yield.c */
extern const struct plan_verbs bitmap_verbs;

#endif
