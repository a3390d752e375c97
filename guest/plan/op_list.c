/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that wait in memory until they are asked for.
 */
#include "guest/plan/op_list.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct listed_op {
    uint64_t offset;
    uint64_t len;
    uint64_t from; /* COPY: where the bytes are; WRITE: where in `bytes` they are */
    uint32_t blob;
    enum cell_op_kind kind;
    enum cell_op_note note;
};

struct op_list {
    struct plan base;
    uint32_t blob; /* of the ops that are appended next */
    struct listed_op *ops;
    uint64_t nr_ops, max_ops, at;
    uint8_t *bytes;
    uint64_t nr_bytes, max_bytes;
};

static void yield(const struct op_list *list, const struct listed_op *op, struct plan_sink *sink)
{
    switch (op->kind) {
    case CELL_OP_WRITE:
        memcpy(plan_write(sink, op->blob, op->offset, op->len, op->note), &list->bytes[op->from],
               op->len);
        break;
    case CELL_OP_BARRIER:
        plan_barrier(sink);
        break;
    case CELL_OP_COPY:
        plan_copy(sink, op->blob, op->offset, op->len, op->blob, op->from, op->note);
        break;
    default:
        plan_simple(sink, op->kind, op->blob, op->offset, op->len, op->note);
    }
}

static enum guest_err list_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail)
{
    struct op_list *list = (struct op_list *)plan;

    for (; list->at < list->nr_ops; list->at++) {
        const struct listed_op *op = &list->ops[list->at];

        if (!plan_room(sink, 1, op->kind == CELL_OP_WRITE ? op->len : 0))
            break;
        yield(list, op, sink);
    }
    *out_done = list->at == list->nr_ops;
    return GUEST_OK;
}

static void list_free(struct plan *plan)
{
    struct op_list *list = (struct op_list *)plan;

    free(list->ops);
    free(list->bytes);
    free(list);
}

static const struct plan_verbs verbs = {.next = list_next, .free = list_free};

struct op_list *op_list_new(uint32_t blob)
{
    struct op_list *list = arena_array(1, sizeof(*list));

    if (list) {
        list->base.verbs = &verbs;
        list->blob = blob;
    }
    return list;
}

struct plan *op_list_plan(struct op_list *list)
{
    return &list->base;
}

void op_list_on(struct op_list *list, uint32_t blob)
{
    list->blob = blob;
}

bool op_list_empty(const struct op_list *list)
{
    return list->nr_ops == 0;
}

static enum guest_err append(struct op_list *list, struct listed_op op,
                             struct guest_err_detail *detail)
{
    if (!arena_grow((void **)&list->ops, &list->max_ops, list->nr_ops + 1, sizeof(op)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    op.blob = list->blob;
    list->ops[list->nr_ops++] = op;
    return GUEST_OK;
}

enum guest_err op_list_write(struct op_list *list, uint64_t offset, const void *bytes, uint32_t len,
                             enum cell_op_note note, struct guest_err_detail *detail)
{
    struct listed_op op = {
        .kind = CELL_OP_WRITE, .offset = offset, .len = len, .from = list->nr_bytes, .note = note};

    if (!arena_grow((void **)&list->bytes, &list->max_bytes, list->nr_bytes + len, 1))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(&list->bytes[list->nr_bytes], bytes, len);
    list->nr_bytes += len;
    return append(list, op, detail);
}

enum guest_err op_list_simple(struct op_list *list, enum cell_op_kind kind, uint64_t offset,
                              uint64_t len, enum cell_op_note note, struct guest_err_detail *detail)
{
    if (len == 0 && kind != CELL_OP_TRUNCATE && kind != CELL_OP_BARRIER)
        return GUEST_OK;
    return append(
        list, (struct listed_op){.kind = kind, .offset = offset, .len = len, .note = note}, detail);
}

enum guest_err op_list_copy(struct op_list *list, uint64_t from, uint64_t to, uint64_t len,
                            enum cell_op_note note, struct guest_err_detail *detail)
{
    return append(list,
                  (struct listed_op){
                      .kind = CELL_OP_COPY, .offset = to, .len = len, .from = from, .note = note},
                  detail);
}

enum guest_err op_list_append(struct op_list *list, struct op_list *other,
                              struct guest_err_detail *detail)
{
    uint32_t blob = list->blob;
    enum guest_err err = GUEST_OK;

    for (uint64_t i = 0; !err && i < other->nr_ops; i++) {
        const struct listed_op *op = &other->ops[i];

        list->blob = op->blob;
        if (op->kind == CELL_OP_WRITE)
            err = op_list_write(list, op->offset, &other->bytes[op->from], (uint32_t)op->len,
                                op->note, detail);
        else
            err = append(list, *op, detail);
    }
    list->blob = blob;
    other->nr_ops = other->nr_bytes = 0;
    return err;
}

void op_list_free(struct op_list *list)
{
    if (list)
        list_free(&list->base);
}
