/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cell.c and the two kinds know of each other. Not for anyone else.
 */
#ifndef INSTAR_SRC_SANDBOX_CELL_INTERNAL_H
#define INSTAR_SRC_SANDBOX_CELL_INTERNAL_H

#include "src/sandbox/memory.h"
#include "src/sandbox/sandbox.h"

/* One kind of cell: how its guest is started, resumed and ended. */
struct cell_verbs {
    const char *name;
    enum cell_kind kind;
    enum cell_kind_word word;
    gboolean shared_memory;
    /*
     * Makes the guest ready to run. memory is mapped and laid out.
     *
     * in:      codec: let the guest see what the processor can do
     * out:     *out_state, the kind's own
     */
    gboolean (*start)(struct cell_memory *memory, gboolean codec, void **out_state, GError **error);
    /*
     * Runs the guest until it rings.
     *
     * in:      timeout: wall time until then
     * returns: FALSE with CRASHED or TIMEOUT; the guest is not run again
     */
    gboolean (*run)(void *state, unsigned timeout_seconds, GError **error);
    void (*stop)(void *state);
};

extern const struct cell_verbs cell_kvm;
extern const struct cell_verbs cell_process;

/* The guest image that this program carries (guest_image.S). */
extern const uint8_t guest_image_start[];
extern const uint8_t guest_image_end[];

#endif
