/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_parallels.h.
 */
#ifndef COMPAT_WORDING_PARALLELS_H
#define COMPAT_WORDING_PARALLELS_H

/* Adds Parallels' table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_parallels(void);

#endif
