/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences about formats that are only read: guest/abi/error_bochs.h, error_cloop.h and
 * error_dmg.h.
 */
#ifndef COMPAT_WORDING_READONLY_H
#define COMPAT_WORDING_READONLY_H

/* Adds their table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_readonly(void);

#endif
