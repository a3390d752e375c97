/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over all tables of a QED image, which a check counts and a repair writes by.
 */
#ifndef INSTAR_GUEST_FORMATS_QED_CHECK_H
#define INSTAR_GUEST_FORMATS_QED_CHECK_H

#include "guest/formats/cluster_set.h"
#include "guest/formats/qed.h"

struct qed_walk {
    struct qed *q;
    struct cluster_set used;
    uint64_t work_left; /* entries that may still be looked at */

    /* what was found */
    uint64_t invalid;   /* entries that name a place where nothing can be */
    uint64_t shared;    /* clusters that were in use already */
    uint64_t leaks;     /* clusters of the file that nothing names */
    uint64_t allocated; /* data clusters of the disk */
    uint64_t fragmented;

    /* An invalid entry at an offset of the file; may be NULL. L2 tables come before L1's entry. */
    enum guest_err (*bad)(struct qed_walk *walk, uint64_t offset, bool in_l1,
                          struct guest_err_detail *detail);
    void *user;
};

/*
 * Walks over every table and counts.
 *
 * in:      walk: q, bad and user are set, all else is zero
 * out:     the counts; `used` until qed_walk_clear
 * returns: GUEST_ERR_IO, GUEST_ERR_NO_MEMORY, GUEST_ERR_TOO_MUCH_WORK, what `bad` returned
 * bound:   each table once, as many entries as the disk can have and some more
 */
enum guest_err qed_walk_run(struct qed_walk *walk, struct guest_err_detail *detail);
void qed_walk_clear(struct qed_walk *walk);

#endif
