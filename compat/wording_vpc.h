/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences of the codes in guest/abi/error_vpc.h.
 */
#ifndef COMPAT_WORDING_VPC_H
#define COMPAT_WORDING_VPC_H

/* Adds the VHD table to those that wording_cell_sentence searches. Call once, at start. */
void wording_register_vpc(void);

#endif
