/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error.h, which any format may give.
 */
#ifndef COMPAT_WORDING_COMMON_H
#define COMPAT_WORDING_COMMON_H

/* Adds the common table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_common(void);

#endif
