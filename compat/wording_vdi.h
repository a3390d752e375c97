/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_vdi.h.
 */
#ifndef COMPAT_WORDING_VDI_H
#define COMPAT_WORDING_VDI_H

/* Adds VDI's table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_vdi(void);

#endif
