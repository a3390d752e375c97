/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's end of the doorbell, and the fixed places of the shared memory.
 */
#ifndef INSTAR_GUEST_ARCH_DOORBELL_H
#define INSTAR_GUEST_ARCH_DOORBELL_H

#include "guest/abi/hypercall.h"

static inline const struct cell_boot *doorbell_boot(void)
{
    return (const struct cell_boot *)CELL_BOOT_GVA;
}

static inline struct cell_doorbell *doorbell_page(void)
{
    return (struct cell_doorbell *)CELL_DOORBELL_GVA;
}

static inline uint8_t *doorbell_records(void)
{
    return (uint8_t *)CELL_RECORDS_GVA;
}

/*
 * Rings, and returns when the host has answered. Ends the guest when the host is gone.
 */
void doorbell_ring(enum cell_ring why);

#endif
