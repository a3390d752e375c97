/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of files that shall be zeros: what a writer gathers until its next plan.
 */
#ifndef INSTAR_GUEST_FORMATS_ZERO_LIST_H
#define INSTAR_GUEST_FORMATS_ZERO_LIST_H

#include "guest/plan/plan.h"

/* Writers ask for a plan when there are this many. */
#define ZERO_LIST_ENOUGH 4096u

struct zero_range {
    uint64_t offset, length; /* bytes */
    uint32_t blob;
};

/* All zero: empty. */
struct zero_list {
    struct zero_range *range;
    uint64_t nr, room;
};

/*
 * Adds a range; one that goes on where the last ends becomes a part of it.
 *
 * returns: GUEST_ERR_NO_MEMORY
 */
enum guest_err zero_list_add(struct zero_list *list, uint32_t blob, uint64_t offset,
                             uint64_t length, struct guest_err_detail *detail);

/* Appends the op of one range. The caller has asked plan_room for it. */
void zero_list_yield(const struct zero_list *list, uint64_t index, struct plan_sink *sink);

/* Gives the memory back; the list is empty. */
void zero_list_clear(struct zero_list *list);

#endif
