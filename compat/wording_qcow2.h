/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_qcow2.h.
 */
#ifndef COMPAT_WORDING_QCOW2_H
#define COMPAT_WORDING_QCOW2_H

/* Adds qcow2's table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_qcow2(void);

#endif
