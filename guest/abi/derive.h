/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a key slot may cost. Both sides hold to it: the cell that reads the header does not ask
 * for more, and the host does not start more.
 */
#ifndef INSTAR_GUEST_ABI_DERIVE_H
#define INSTAR_GUEST_ABI_DERIVE_H

#include <stdbool.h>
#include <stdint.h>

/* cryptsetup takes 1 GiB by default; an arena ends at CELL_ARENA_MAX. */
#define DERIVE_MEMORY_MAX_KIB (UINT64_C(1536) << 10)

/* Memory times passes: about a minute of one processor. cryptsetup stays at a tenth of it. */
#define DERIVE_WORK_MAX_KIB (UINT64_C(64) << 20)

/* PBKDF2; cryptsetup asks for some millions. */
#define DERIVE_ITERATIONS_MAX (UINT64_C(1) << 27)

#define DERIVE_SALT_MAX 64u
#define DERIVE_KEY_MAX  64u

/* Whether Argon2 may cost that much. */
static inline bool derive_cost_allowed(uint64_t memory_kib, uint64_t passes)
{
    return memory_kib <= DERIVE_MEMORY_MAX_KIB && passes <= DERIVE_WORK_MAX_KIB &&
           memory_kib * passes <= DERIVE_WORK_MAX_KIB;
}

#endif
