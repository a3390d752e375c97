/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan for people: INSTAR_EXPLAIN=plan. One line an op, one heading a stage.
 */
#include <inttypes.h>

#include "src/plan/apply.h"

static const char *const kind_names[] = {
    [CELL_OP_WRITE] = "write",       [CELL_OP_PATTERN] = "pattern", [CELL_OP_ASCEND] = "ascend",
    [CELL_OP_ZERO] = "zero",         [CELL_OP_COPY] = "copy",       [CELL_OP_TRUNCATE] = "truncate",
    [CELL_OP_ALLOCATE] = "allocate", [CELL_OP_FILL] = "fill",       [CELL_OP_BARRIER] = "barrier",
    [CELL_OP_DISCARD] = "discard",
};

static const char *const note_names[CELL_NOTE_MAX] = {
    [CELL_NOTE_NONE] = "image",
    [CELL_NOTE_HEADER] = "qcow2 header",
    [CELL_NOTE_L1_TABLE] = "L1 table",
    [CELL_NOTE_L2_TABLE] = "L2 table",
    [CELL_NOTE_REFCOUNT_TABLE] = "refcount table",
    [CELL_NOTE_REFCOUNT_BLOCK] = "refcount block",
    [CELL_NOTE_DATA] = "data",
    [CELL_NOTE_SNAPSHOT_TABLE] = "snapshot table",
    [CELL_NOTE_BITMAP] = "bitmap",
    [CELL_NOTE_BACKING_NAME] = "backing file name",
    [CELL_NOTE_FILE_SIZE] = "file size",
    [CELL_NOTE_CRYPTO] = "encryption header",
    [CELL_NOTE_BLOCK_MAP] = "block map",
};

const char *apply_note_name(unsigned note)
{
    return note < CELL_NOTE_MAX ? note_names[note] : note_names[CELL_NOTE_NONE];
}

static void explain_op(FILE *out, const struct cell_op *op)
{
    fprintf(out, "plan:   %-8s blob %u at 0x%" PRIx64, kind_names[op->kind], op->blob, op->offset);
    if (op->kind != CELL_OP_TRUNCATE)
        fprintf(out, " + 0x%" PRIx64, op->length);
    fprintf(out, "  %s", apply_note_name(op->note));
    if (op->kind == CELL_OP_ASCEND)
        fprintf(out, " (from 0x%" PRIx64 " by 0x%" PRIx64 ")", op->value[0], op->value[1]);
    else if (op->kind == CELL_OP_COPY)
        fprintf(out, " (from blob %u at 0x%" PRIx64 ")", op->src_blob, op->data);
    fputc('\n', out);
}

void apply_explain_ops(FILE *out, const struct cell_op *ops, unsigned nr_ops, unsigned *stage)
{
    for (unsigned i = 0; i < nr_ops; i++) {
        if (*stage == 0)
            fprintf(out, "plan: stage %u\n", ++*stage);
        if (ops[i].kind == CELL_OP_BARRIER)
            fprintf(out, "plan: stage %u\n", ++*stage);
        else
            explain_op(out, &ops[i]);
    }
}
