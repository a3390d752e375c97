/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops into a batch. Nothing here decides anything.
 */
#include "guest/plan/plan.h"

#include <string.h>

#include "guest/lib/panic.h"

bool plan_room(const struct plan_sink *sink, uint32_t nr_ops, uint64_t bytes)
{
    return nr_ops <= sink->max_ops - sink->nr_ops && bytes <= sink->window_size - sink->window_used;
}

static struct cell_op *append(struct plan_sink *sink, enum cell_op_kind kind, uint32_t blob,
                              uint64_t offset, uint64_t len, enum cell_op_note note)
{
    PANIC_UNLESS(sink->nr_ops < sink->max_ops);
    struct cell_op *op = &sink->ops[sink->nr_ops++];
    *op = (struct cell_op){.kind = (uint16_t)kind,
                           .blob = blob,
                           .src_blob = CELL_NO_BLOB,
                           .offset = offset,
                           .length = len,
                           .note = note};
    return op;
}

uint8_t *plan_write(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                    enum cell_op_note note)
{
    PANIC_UNLESS(plan_room(sink, 1, len));
    struct cell_op *op = append(sink, CELL_OP_WRITE, blob, offset, len, note);
    op->data = sink->window_used;
    sink->window_used += len;
    return sink->window + op->data;
}

void plan_pattern(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                  const uint8_t *unit, unsigned unit_len, enum cell_op_note note)
{
    PANIC_UNLESS(unit_len >= 1 && unit_len <= 16);
    struct cell_op *op = append(sink, CELL_OP_PATTERN, blob, offset, len, note);
    memcpy(op->value, unit, unit_len);
    op->unit_len = (uint16_t)unit_len;
}

void plan_ascend(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
                 uint64_t first, uint64_t step, unsigned unit_len, enum cell_op_note note)
{
    PANIC_UNLESS(unit_len == 8 || unit_len == 16);
    struct cell_op *op = append(sink, CELL_OP_ASCEND, blob, offset, len, note);
    op->value[0] = first;
    op->value[1] = step;
    op->unit_len = (uint16_t)unit_len;
}

void plan_simple(struct plan_sink *sink, enum cell_op_kind kind, uint32_t blob, uint64_t offset,
                 uint64_t len, enum cell_op_note note)
{
    append(sink, kind, blob, offset, len, note);
}

void plan_copy(struct plan_sink *sink, uint32_t blob, uint64_t offset, uint64_t len,
               uint32_t src_blob, uint64_t src_offset, enum cell_op_note note)
{
    struct cell_op *op = append(sink, CELL_OP_COPY, blob, offset, len, note);
    op->src_blob = src_blob;
    op->data = src_offset;
}

void plan_barrier(struct plan_sink *sink)
{
    append(sink, CELL_OP_BARRIER, CELL_NO_BLOB, 0, 0, CELL_NOTE_NONE);
}
