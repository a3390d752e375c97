/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a planner hands its plan over, batch by batch.
 *
 * A planner decides everything, or refuses, before its first op. It then yields ops when asked
 * (PLAN_NEXT): `next` fills one batch through plan_* calls and says whether it is done. The bytes
 * of WRITE ops live in the data window until the next batch. The same code runs hosted: the sink is
 * a struct, so that unit tests, fuzzing and the crash-point harness take plans without a cell.
 */
#ifndef INSTAR_GUEST_PLAN_PLAN_H
#define INSTAR_GUEST_PLAN_PLAN_H

#include <stdbool.h>

#include "guest/abi/hypercall.h"
#include "guest/lib/err.h"

/*
 * The bytes of one batch live in the first PLAN_WINDOW_BYTES of the data window; whoever keeps
 * something there while a plan is drained keeps it behind them. One WRITE op has at most
 * PLAN_CHUNK_BYTES, so that a batch always has room for one.
 */
#define PLAN_WINDOW_BYTES (8u << 20)
#define PLAN_CHUNK_BYTES  (2u << 20)

/* Where one batch goes. */
struct plan_sink {
    struct cell_op *ops;
    uint32_t nr_ops;
    uint32_t max_ops;
    uint8_t *window;      /* bytes of WRITE ops */
    uint64_t window_used; /* bytes */
    uint64_t window_size; /* bytes */
};

struct plan;

struct plan_verbs {
    /*
     * Fills the sink with as much of the plan as fits; sets *out_done with the last op.
     * A planner never leaves half an op: it asks plan_room first.
     */
    enum guest_err (*next)(struct plan *plan, struct plan_sink *sink, bool *out_done,
                           struct guest_err_detail *detail);
    void (*free)(struct plan *plan);
};

struct plan {
    const struct plan_verbs *verbs;
    uint64_t file_size; /* of the target blob when the plan is done */

    /* See PlanReply in guest/abi/plan.proto. */
    uint32_t new_files;
    bool replaces_text;
    bool unfinished;
};

/* Whether nr_ops more ops with `bytes` bytes of data fit into this batch. */
bool plan_room(const struct plan_sink *sink, uint32_t nr_ops, uint64_t bytes);

/*
 * Append one op. The caller has asked plan_room: no room left is a panic.
 *
 * plan_write gives the place in the window for the bytes, to be filled by the caller.
 */
uint8_t *plan_write(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                    enum cell_op_note note);
void plan_pattern(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                  const uint8_t *unit, unsigned unit_len, enum cell_op_note note);
void plan_ascend(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                 uint64_t first, uint64_t step, unsigned unit_len, enum cell_op_note note);
void plan_simple(struct plan_sink *sink, enum cell_op_kind kind, uint32_t blob, uint64_t offset,
                 uint64_t len, enum cell_op_note note);
void plan_copy(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
               uint32_t src_blob, uint64_t src_offset, enum cell_op_note note);
void plan_barrier(struct plan_sink *sink);

#endif
