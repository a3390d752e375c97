/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_luks.h.
 */
#ifndef COMPAT_WORDING_LUKS_H
#define COMPAT_WORDING_LUKS_H

/* Adds the table of LUKS to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_luks(void);

#endif
