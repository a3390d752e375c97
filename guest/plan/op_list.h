/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan that is a list of small ops, all known before the first is given out: for changes whose
 * number follows from what is wrong with an image, or is fixed.
 */
#ifndef INSTAR_GUEST_PLAN_OP_LIST_H
#define INSTAR_GUEST_PLAN_OP_LIST_H

#include "guest/plan/plan.h"

#define OP_LIST_WRITE_MAX 4096u /* bytes of one write */

struct op_list;

/* returns: NULL when out of memory */
struct op_list *op_list_new(uint32_t blob);

/* The plan: freed with its verb. */
struct plan *op_list_plan(struct op_list *list);

/*
 * Ops that are appended from here on are on another blob.
 */
void op_list_on(struct op_list *list, uint32_t blob);

/*
 * Append one op on the list's blob.
 *
 * in:      bytes: copied, at most OP_LIST_WRITE_MAX of them
 * returns: GUEST_ERR_NO_MEMORY
 */
enum guest_err op_list_write(struct op_list *list, uint64_t offset, const void *bytes, uint32_t len,
                             enum cell_op_note note, struct guest_err_detail *detail);
/* kind: ZERO, TRUNCATE (length 0), FILL, BARRIER (all 0); a length of 0 is no op for the others */
enum guest_err op_list_simple(struct op_list *list, enum cell_op_kind kind, uint64_t offset,
                              uint64_t len, enum cell_op_note note,
                              struct guest_err_detail *detail);
/* Bytes of the same blob, to another place. */
enum guest_err op_list_copy(struct op_list *list, uint64_t from, uint64_t to, uint64_t len,
                            enum cell_op_note note, struct guest_err_detail *detail);

/*
 * Appends all ops of another list, which is empty then.
 */
enum guest_err op_list_append(struct op_list *list, struct op_list *other,
                              struct guest_err_detail *detail);

/* A list that becomes no plan; may be NULL. */
void op_list_free(struct op_list *list);

/* Whether there is nothing in it. */
bool op_list_empty(const struct op_list *list);

#endif
