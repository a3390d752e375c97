/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_qcow.h.
 */
#ifndef COMPAT_WORDING_QCOW_H
#define COMPAT_WORDING_QCOW_H

/* Adds the table of qcow version 1 to those that wording_cell_sentence searches. Call once. */
void wording_register_qcow(void);

#endif
