/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_plan.h.
 */
#ifndef COMPAT_WORDING_PLAN_H
#define COMPAT_WORDING_PLAN_H

/* Adds the planners' table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_plan(void);

#endif
