/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_vmdk.h.
 */
#ifndef COMPAT_WORDING_VMDK_H
#define COMPAT_WORDING_VMDK_H

/* Adds vmdk's table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_vmdk(void);

#endif
