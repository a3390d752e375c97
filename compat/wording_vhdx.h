/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_vhdx.h.
 */
#ifndef COMPAT_WORDING_VHDX_H
#define COMPAT_WORDING_VHDX_H

/* Adds the VHDX table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_vhdx(void);

#endif
