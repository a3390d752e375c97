/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_qed.h.
 */
#ifndef COMPAT_WORDING_QED_H
#define COMPAT_WORDING_QED_H

/* Adds QED's table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_qed(void);

#endif
